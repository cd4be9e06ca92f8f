"""How good the predictions were, by stage: the learner's prequential metrics with intervals over pipelines.

The metrics are the learner's own, of what was said at the time. Their intervals come from labels counted in bins of
log-odds by pipeline and drawn again: that of the AUC is the AUC's of the bins, that of the balanced accuracy the one at
the threshold that is best over all labels; both are moved to the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_app.analysis.intervals import Estimate, Figure, Resamples, Sums, share
from stream_app.analysis.sums import BASELINE, BINS, MODEL, PipelineSums
from stream_app.core.learning.prequential import Quality
from stream_app.core.learning.stage import StageMetrics
from stream_app.core.outputs import STAGES

#: Fewer labels of either class than this say nothing about how good predictions are.
_LABELS_MIN = 10
_NONE = Estimate(None)


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """A tenth of the labels: what was predicted on average, and the share pushed (Wilson's interval)."""

    predicted: float
    observed: Estimate
    labels: float


@dataclass(frozen=True, slots=True)
class SeriesFigures:
    """One series of probabilities: the model's, or the baseline's."""

    balanced_accuracy: Estimate
    #: At the threshold that hindsight picks, as offline studies report it.
    best_balanced_accuracy: float | None
    auc: Estimate
    log_loss: float | None
    brier: float | None
    calibration_slope: float | None
    calibration: list[CalibrationPoint]


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage; labels and pushes are weighted by one over the propensity."""

    stage: str
    labels: float
    pushes: float
    #: Whether there are enough labels of both classes; if not, most figures are None.
    enough: bool
    on_trial: bool
    drifts: int
    model: SeriesFigures
    baseline: SeriesFigures
    #: Balanced accuracy of the model less that of the baseline, on the same labels.
    gain: Estimate


def stage_figures(metrics: StageMetrics, stage: str, pipelines: Sequence[PipelineSums], seed: int) -> StageFigures:
    """The figures of one stage."""
    index = STAGES.index(stage)
    rows = label_rows(pipelines, index)
    enough = min(metrics.pushes, metrics.support - metrics.pushes) >= _LABELS_MIN and len(rows) > 0
    resamples = Resamples(rows, seed) if enough else None
    model, baseline = metrics.model, metrics.baseline
    gain = _NONE
    if resamples is not None and model.balanced_accuracy is not None and baseline.balanced_accuracy is not None:
        ours, theirs = accuracy(resamples.total, MODEL), accuracy(resamples.total, BASELINE)
        difference = model.balanced_accuracy - baseline.balanced_accuracy
        gain = resamples.estimate(lambda sums: ours(sums) - theirs(sums), difference)
    return StageFigures(
        stage=stage,
        labels=metrics.support,
        pushes=metrics.pushes,
        enough=enough,
        on_trial=metrics.on_trial,
        drifts=metrics.drifts,
        model=series_figures(model, resamples, MODEL),
        baseline=series_figures(baseline, resamples, BASELINE),
        gain=gain,
    )


def series_figures(quality: Quality, resamples: Resamples | None, series: int) -> SeriesFigures:
    """The figures of one series; None for those that need enough labels when there are not."""
    if resamples is None or quality.balanced_accuracy is None:
        return SeriesFigures(_NONE, None, _NONE, quality.log_loss, quality.brier, None, [])
    figure = accuracy(resamples.total, series)
    return SeriesFigures(
        balanced_accuracy=bounded(resamples.estimate(figure, quality.balanced_accuracy)),
        best_balanced_accuracy=quality.best_balanced_accuracy,
        auc=bounded(resamples.estimate(area(series), quality.auc)),
        log_loss=quality.log_loss,
        brier=quality.brier,
        calibration_slope=quality.calibration_slope,
        calibration=[
            CalibrationPoint(each.predicted, share(each.observed * each.weight, each.weight), each.weight)
            for each in quality.calibration
        ],
    )


def label_rows(pipelines: Sequence[PipelineSums], stage: int) -> Sums:
    """Labels of a stage: a row a pipeline that has any, a column a bin of (series, label)."""
    width = 4 * BINS
    first = stage * width
    found = []
    for sums in pipelines:
        cells = [(key - first, count) for key, count in sums.cells.items() if first <= key < first + width and count]
        if cells:
            row = np.zeros(width)
            for place, count in cells:
                row[place] = count
            found.append(row)
    return np.array(found) if found else np.zeros((0, width))


def columns(sums: Sums, series: int) -> tuple[Sums, Sums]:
    """Labels not pushed and pushed, by bin."""
    first = series * 2 * BINS
    return sums[:, first : first + BINS], sums[:, first + BINS : first + 2 * BINS]


def area(series: int) -> Figure:
    """The area under the ROC curve of a series."""

    def figure(sums: Sums) -> Sums:
        others, pushed = columns(sums, series)
        positives, negatives = pushed.sum(axis=1), others.sum(axis=1)
        above = positives[:, None] - np.cumsum(pushed, axis=1)
        found: Sums = (others * (above + pushed / 2)).sum(axis=1) / (positives * negatives)
        return found

    return figure


def accuracy(total: Sums, series: int) -> Figure:
    """The balanced accuracy of a series at the bin that is best over all labels."""
    best = int(np.nanargmax(balanced_accuracies(total[None, :], series)[0]))
    return lambda sums: balanced_accuracies(sums, series)[:, best]


def balanced_accuracies(sums: Sums, series: int) -> Sums:
    """The balanced accuracy of predicting a push from each bin on."""
    others, pushed = columns(sums, series)
    hits = 1 - (np.cumsum(pushed, axis=1) - pushed) / pushed.sum(axis=1)[:, None]
    passes = (np.cumsum(others, axis=1) - others) / others.sum(axis=1)[:, None]
    found: Sums = (hits + passes) / 2
    return found


def bounded(estimate: Estimate) -> Estimate:
    """An estimate whose interval keeps within 0 and 1."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))
