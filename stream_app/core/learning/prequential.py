"""Prequential metrics: the quality of a series of probabilities, each predicted before its label was known.

All of them are weighted sums over labels (a histogram of log-odds for each class, and the losses), so that a correction
removes the first label exactly, and the size never grows. Weights are one over the propensity.

Balanced accuracy needs a threshold. The prequential one classifies each label with the threshold that was best over all
labels before it, chosen anew after every 50; `best_balanced_accuracy` is that of the threshold chosen in hindsight, as
offline studies report it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_app.core.learning.drift import log_loss
from stream_app.core.learning.feature_space import log_odds, probability

_EDGE, _STEPS = 12.0, 20
_BINS = int(2 * _EDGE * _STEPS)
_RECHOOSE = 50
_DECILES = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A tenth of the labels, by predicted probability.

    Attributes
    ----------
    predicted, observed
        Mean predicted probability, and share of pushes.
    weight
        Sum of the labels' weights.
    """

    predicted: float
    observed: float
    weight: float


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of one series of probabilities; None where both classes are needed and one is absent.

    Attributes
    ----------
    balanced_accuracy, best_balanced_accuracy
        With the threshold of the time, and with the one chosen in hindsight.
    auc, log_loss, brier
        Area under the ROC curve, mean log loss, mean squared error.
    calibration_slope
        Slope of the label's log-odds on the predicted ones; 1 is calibrated, below 1 is overconfident.
    calibration
        Tenths of the labels.
    """

    balanced_accuracy: float | None
    best_balanced_accuracy: float | None
    auc: float | None
    log_loss: float | None
    brier: float | None
    calibration_slope: float | None
    calibration: tuple[CalibrationBin, ...]


class Scoring:
    """Weighted sums over the labels of one series of probabilities."""

    def __init__(self) -> None:
        self._pushed = [0.0] * _BINS
        self._not = [0.0] * _BINS
        self._loss = self._brier = 0.0
        #: Weight of pushes, and of the rest, that the threshold of their time classified correctly.
        self._hits = self._passes = 0.0
        self._labels = 0
        self._threshold = _BINS

    def add(self, p: float, pushed: bool, weight: float) -> bool:
        """Counts a label; returns whether the threshold of the moment predicted a push."""
        position = _bin(p)
        predicted = position >= self._threshold
        self._sum(p, position, pushed, weight, predicted)
        self._labels += 1
        if self._labels % _RECHOOSE == 0:
            self._threshold = self._best()[0]
        return predicted

    def remove(self, p: float, pushed: bool, weight: float, predicted: bool) -> None:
        """Takes back a label that `add` counted; `predicted` is the value that `add` returned."""
        self._sum(p, _bin(p), pushed, -weight, predicted)

    def _sum(self, p: float, position: int, pushed: bool, weight: float, predicted: bool) -> None:
        (self._pushed if pushed else self._not)[position] += weight
        self._loss += weight * log_loss(p, pushed)
        self._brier += weight * (p - pushed) ** 2
        if pushed and predicted:
            self._hits += weight
        elif not pushed and not predicted:
            self._passes += weight

    def _best(self) -> tuple[int, float]:
        """The bin from which predicting a push gives the best balanced accuracy, and that accuracy."""
        pushed, others = math.fsum(self._pushed), math.fsum(self._not)
        if pushed <= 0.0 or others <= 0.0:
            return _BINS, 0.5
        best, position, hits, passes = 0.5, _BINS, 0.0, others
        for i in range(_BINS - 1, -1, -1):
            hits += self._pushed[i]
            passes -= self._not[i]
            accuracy = (hits / pushed + passes / others) / 2
            if accuracy > best:
                best, position = accuracy, i
        return position, best

    def quality(self) -> Quality:
        """The metrics of all labels so far."""
        pushed, others = math.fsum(self._pushed), math.fsum(self._not)
        total = pushed + others
        both = pushed > 0.0 and others > 0.0
        return Quality(
            balanced_accuracy=(self._hits / pushed + self._passes / others) / 2 if both else None,
            best_balanced_accuracy=self._best()[1] if both else None,
            auc=self._auc(pushed, others) if both else None,
            log_loss=self._loss / total if total > 0.0 else None,
            brier=self._brier / total if total > 0.0 else None,
            calibration_slope=self._slope() if both else None,
            calibration=self._deciles(total),
        )

    def _auc(self, pushed: float, others: float) -> float:
        above, area = pushed, 0.0
        for yes, no in zip(self._pushed, self._not, strict=True):
            above -= yes
            area += no * (above + yes / 2)
        return area / (pushed * others)

    def _filled(self) -> list[tuple[float, float, float]]:
        """Log-odds, weight of pushes and weight of the rest, for every bin that is not empty."""
        both = zip(self._pushed, self._not, strict=True)
        return [((i + 0.5) / _STEPS - _EDGE, yes, no) for i, (yes, no) in enumerate(both) if yes + no > 1e-9]

    def _slope(self) -> float | None:
        """The slope of a logistic regression of the label on the log-odds, by Newton's method."""
        rows = self._filled()
        intercept, slope = 0.0, 1.0
        for _ in range(25):
            g0 = g1 = h00 = h01 = h11 = 0.0
            for x, yes, no in rows:
                p = probability(intercept + slope * x)
                error, spread = yes - (yes + no) * p, (yes + no) * p * (1.0 - p)
                g0, g1 = g0 + error, g1 + error * x
                h00, h01, h11 = h00 + spread, h01 + spread * x, h11 + spread * x * x
            det = h00 * h11 - h01 * h01
            if det <= 1e-9 * h00 * h11:
                return None
            intercept += (h11 * g0 - h01 * g1) / det
            slope += (h00 * g1 - h01 * g0) / det
        return slope if math.isfinite(slope) and abs(slope) < 1e3 else None

    def _deciles(self, total: float) -> tuple[CalibrationBin, ...]:
        bins: list[CalibrationBin] = []
        weight = pushed = predicted = 0.0
        for x, yes, no in self._filled():
            weight, pushed = weight + yes + no, pushed + yes
            predicted += (yes + no) * probability(x)
            if weight >= total / _DECILES * (1 - 1e-9):
                bins.append(CalibrationBin(predicted / weight, pushed / weight, weight))
                weight = pushed = predicted = 0.0
        if weight > 0.0:
            bins.append(CalibrationBin(predicted / weight, pushed / weight, weight))
        return tuple(bins)


def _bin(p: float) -> int:
    return min(max(int((log_odds(p) + _EDGE) * _STEPS), 0), _BINS - 1)
