"""The learning of one stage: its model, the comparison that may replace it, its metrics, and the cost it has ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream_app.core.learning.drift import BaselineComparison, DriftCounter
from stream_app.core.learning.feature_space import Floats
from stream_app.core.learning.model import StageModel
from stream_app.core.learning.prequential import Quality, Scoring
from stream_app.core.outputs import StageRecord

#: A stage with less of the run's expected cost ahead than this share gets no budget.
_AHEAD_MIN = 0.05
#: Records over which the share ahead is averaged.
_AHEAD_OVER = 500
#: Labels that a fresh model is refolded from.
_REFOLDED = 2000


@dataclass(frozen=True, slots=True)
class StageMetrics:
    """Prequential metrics of one stage.

    Attributes
    ----------
    support, pushes
        Labels, and pushes among them, weighted by one over the propensity.
    model, baseline
        Quality of the model's probabilities, and of the baseline's.
    on_trial
        Whether the stage answers with the baseline while a fresh model is on trial.
    drifts
        Number of changes of the log loss.
    """

    support: float
    pushes: float
    model: Quality
    baseline: Quality
    on_trial: bool
    drifts: int


class StageLearning:
    """The state of learning of one stage."""

    def __init__(self) -> None:
        self.model = StageModel()
        self.comparison = BaselineComparison()
        self.drift = DriftCounter()
        #: The comparison of a fresh model on trial; None while the model answers.
        self.trial: BaselineComparison | None = None
        self.scoring = Scoring()
        self.baseline_scoring = Scoring()
        self.support = self.pushes = 0.0
        #: Mean share of the run's expected cost still ahead, and records in it up to its window.
        self.ahead = 0.0
        self.ahead_records = 0

    def learn(self, record: StageRecord, pushed: bool, weight: float) -> bool:
        """Judges and teaches the model; returns whether it failed and was replaced by a fresh one."""
        vector = self.model.space.vector(record.features, record.baseline)
        failed = self._judge(record, vector, pushed)
        self.model.learn(vector, pushed, weight)
        if failed:
            self._refold()
        return failed

    def _judge(self, record: StageRecord, vector: Floats, pushed: bool) -> bool:
        p, baseline = unit(record.p), unit(record.baseline)
        self.drift.add(p, pushed)
        if self.trial is None:
            self.comparison.add(p, baseline, pushed)
            return self.comparison.worse
        self.trial.add(self.model.p(vector), baseline, pushed)
        if self.model.ready and self.trial.better:
            self.trial, self.comparison = None, BaselineComparison()
        return False

    def _refold(self) -> None:
        old = self.model
        self.model = StageModel(old.space.names)
        self.model.discarded = old.discarded
        self.trial = BaselineComparison()
        width = len(self.model.space.names)
        for vector, pushed, weight in old.window.last(_REFOLDED):
            # A vector from before a name was known lacks that feature.
            self.model.learn(np.append(vector, np.full(width - len(vector), math.nan)), pushed, weight)

    def count(self, p: float, baseline: float, pushed: bool, weight: float) -> tuple[bool, bool]:
        """Counts a label in the metrics; returns what the thresholds of model and baseline predicted."""
        self.support += weight
        self.pushes += weight * pushed
        return self.scoring.add(p, pushed, weight), self.baseline_scoring.add(baseline, pushed, weight)

    def discount(self, pushed: bool, weight: float, p: float, baseline: float, predicted: tuple[bool, bool]) -> None:
        """Removes a label from the metrics."""
        self.support -= weight
        self.pushes -= weight * pushed
        self.scoring.remove(p, pushed, weight, predicted[0])
        self.baseline_scoring.remove(baseline, pushed, weight, predicted[1])

    def note_cost(self, record: StageRecord) -> None:
        """Adds the share of the run's expected cost that was ahead."""
        total = record.cost + record.cost_left
        if 0.0 < total < math.inf:
            self.ahead_records = min(self.ahead_records + 1, _AHEAD_OVER)
            self.ahead += (record.cost_left / total - self.ahead) / self.ahead_records

    @property
    def has_budget(self) -> bool:
        """Whether enough cost is ahead at this stage for a share of the budgets."""
        return self.ahead >= _AHEAD_MIN


def unit(p: float) -> float:
    """The probability in a record; a half when the value is not a probability."""
    return p if 0.0 <= p <= 1.0 else 0.5
