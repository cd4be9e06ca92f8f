"""The model of one stage: a river logistic regression over curves of the features, blended with the baseline.

It minimises log loss without reweighting, so that few pushes among many runs leave the probabilities what
they are; AdaGrad gives the rare knot the large step that imbalance calls for. Each label is learned together
with an earlier one, taken in turn from the last 2,000: a second look at every label that costs the same at
any length of the log. The blend starts at the baseline, hence so does the model, and learns how far to trust
the regression.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from river import linear_model, optim
from river.optim.base import DictLike

from stream_app.core import encoding
from stream_app.core.blending import Blend
from stream_app.core.encoding import KEYS, FeatureSpace, Knots, View, on_curve, probability

#: Labels, and among them pushes and others, before a stage answers with more than the baseline.
READY_LABELS, READY_EACH = 50, 5
#: No label counts for more than this in a model, whatever its propensity.
WEIGHT_MAX = 3.0

_LEARNING_RATE = 0.08
#: Log-odds at which an empty regression starts: pushes are rare.
_INTERCEPT = -2.0
#: A label is learned again only when the regression errs by as much.
_SURE = 0.2
#: Labels remembered, and the stride through them: with no common factor, so that it meets each.
_REMEMBERED, _STRIDE = 2000, 619


class Label(NamedTuple):
    """A label as it was learned."""

    vector: array[float]
    pushed: bool
    weight: float


class _AdaGrad(optim.AdaGrad):
    """river's, with the learning rate read once a step instead of once a key: 39 us instead of 54 for 113 keys."""

    def _step_with_dict(self, w: DictLike, g: DictLike) -> DictLike:
        squares, rate, eps = self.g2, self.learning_rate, self.eps
        for key, slope in g.items():
            square = squares[key] = squares[key] + slope * slope
            w[key] -= rate / (square + eps) ** 0.5 * slope
        return w


class Regression:
    """A river logistic regression that keeps to the finite numbers."""

    def __init__(self) -> None:
        optimizer = _AdaGrad(_LEARNING_RATE)
        self._river = linear_model.LogisticRegression(optimizer, intercept_init=_INTERCEPT)

    def log_odds(self, view: View) -> float:
        # river's public answer is a probability, from which large log-odds cannot be had back.
        return float(self._river._raw_dot_one(view))

    def learn(self, view: View, label: bool, weight: float, log_odds: float) -> bool:
        """Learn a label of a view that has these log-odds now; False when that is refused.

        From finite log-odds a step of AdaGrad is at most its learning rate, so weights stay finite. Should some
        be lost all the same, the label is refused, and those of them that are in this view start anew.
        """
        if math.isfinite(log_odds):
            self._river.learn_one(view, label, weight)
            return True
        self._repair(view)
        return False

    def _repair(self, view: View) -> None:
        weights, squares = self._river._weights, self._river.optimizer.g2
        if not math.isfinite(self._river.intercept):
            self._river.intercept = _INTERCEPT
        for key in view:
            if not math.isfinite(weights.get(key, 0.0)) or not math.isfinite(squares.get(key, 0.0)):
                weights[key] = squares[key] = 0.0

    def parts(self, view: View, features: int) -> list[float]:
        """What each of a number of features adds to the log-odds of a view, by its index."""
        weight = self._river._weights.get
        parts = [0.0] * features
        for key, amount in view.items():
            parts[key // KEYS] += amount * weight(key, 0.0)
        return parts

    def move(self, feature: int, old: Knots, new: Knots) -> None:
        """Put the learned curve of a feature on other knots, with the shape it had."""
        first = feature * KEYS
        for numbers in (self._river._weights, self._river.optimizer.g2):
            heights = [numbers.get(first + j, 0.0) for j in range(len(old))]
            for j in range(max(len(old), len(new))):
                numbers[first + j] = on_curve(old, heights, new[j]) if j < len(new) else 0.0


@dataclass(slots=True)
class Prediction:
    """The probability of a push at one stage. Ask for reasons before the model learns again."""

    #: Calibrated, finite, strictly inside (0, 1).
    p: float
    _model: StageModel
    #: None when the answer is the baseline itself, which has no reasons.
    _vector: list[float] | None

    def reasons(self, k: int) -> list[tuple[str, float]]:
        """The `k` features that move the answer most, with what they add to its log-odds.

        The effect of a feature is the log-odds as they are less the log-odds with this feature at its typical
        value (missing, where it mostly is). `encoding.BASELINE` stands for the past push rate.
        """
        return [] if self._vector is None else self._model.effects(self._vector)[:k]


class StageModel:
    """Predicts pushes at one stage and learns from their labels, one at a time, in the order of the log."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.space = FeatureSpace(names)
        self.regression = Regression()
        self.blend = Blend(2)
        self.labels = 0
        self.pushes = 0
        #: Updates that were refused because they would have left the finite numbers.
        self.discarded = 0
        #: The last labels; the oldest is overwritten.
        self._ring: list[Label] = []

    @property
    def ready(self) -> bool:
        others = self.labels - self.pushes
        return self.labels >= READY_LABELS and min(self.pushes, others) >= READY_EACH

    def predict(self, features: Mapping[str, float], baseline: float) -> Prediction:
        """The calibrated probability; the baseline until `ready`. Changes nothing."""
        if not self.ready:
            return self.fallback(baseline)
        vector = self.space.vector(features, baseline)
        return Prediction(self.p(vector), self, vector)

    def fallback(self, baseline: float) -> Prediction:
        """The baseline as an answer."""
        return Prediction(probability(encoding.log_odds(baseline)), self, None)

    def p(self, vector: Sequence[float]) -> float:
        """The probability for a vector of `space`; its baseline when the model has no finite answer."""
        answer = self.blend.log_odds((vector[0], self.regression.log_odds(self.space.view(vector))))
        return probability(answer if math.isfinite(answer) else vector[0])

    def learn(self, vector: Sequence[float], label: bool, weight: float) -> None:
        """Learn a label of a vector of `space`: first how far to trust the regression, then that itself."""
        weight = min(weight, WEIGHT_MAX)
        for feature, old, new in self.space.learn(vector):
            self.regression.move(feature, old, new)
        view = self.space.view(vector)
        log_odds = self.regression.log_odds(view)
        kept = self.blend.learn((vector[0], log_odds), label, weight)
        kept &= self.regression.learn(view, label, weight, log_odds)
        if self._ring:
            kept &= self._rehearse(self._ring[self.labels * _STRIDE % len(self._ring)])
        self._remember(Label(array("d", vector), label, weight))
        self.discarded += not kept
        self.labels += 1
        self.pushes += label

    def _rehearse(self, label: Label) -> bool:
        """Learn an earlier label again, unless the regression is sure of it: there is little left to learn."""
        view = self.space.view(label.vector)
        log_odds = self.regression.log_odds(view)
        if abs(label.pushed - probability(log_odds)) < _SURE:
            return True
        return self.regression.learn(view, label.pushed, label.weight, log_odds)

    def _remember(self, label: Label) -> None:
        if len(self._ring) < _REMEMBERED:
            self._ring.append(label)
        else:
            self._ring[self.labels % _REMEMBERED] = label

    def recent(self) -> list[Label]:
        """The last 2,000 labels as they were learned, the oldest first."""
        oldest = self.labels % _REMEMBERED if len(self._ring) == _REMEMBERED else 0
        return self._ring[oldest:] + self._ring[:oldest]

    def effects(self, vector: Sequence[float]) -> list[tuple[str, float]]:
        """Every feature that is not at its typical value, with its effect on the log-odds, largest first."""
        direct, trust, _ = self.blend.weights
        space = self.space
        here, usual = (self.regression.parts(view, len(vector)) for view in (space.view(vector), space.typical_view))
        found = []
        for i, (name, value, typical) in enumerate(zip(space.names, vector, space.typical, strict=True)):
            if value != typical and (value == value or typical == typical):
                moved = trust * (here[i] - usual[i])
                found.append((name, moved + direct * (value - typical) if i == 0 else moved))
        return sorted(found, key=lambda each: (-abs(each[1]), each[0]))
