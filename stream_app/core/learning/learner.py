"""The learner: models, thresholds and metrics as one fold over the examples log.

Its state is a function of the log so far: the same records in the same order give the same model, bit for bit, on every
worker. It reads no clock and draws nothing at random.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence

from stream_app.core.learning.calibration import PushCalibration
from stream_app.core.learning.model import Prediction
from stream_app.core.learning.savings import Savings
from stream_app.core.learning.seen_examples import RETENTION_MS, SeenExamples
from stream_app.core.learning.stage import StageLearning, StageMetrics, unit
from stream_app.core.outputs import PRUNE, STAGES, Example, Guard

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.10, 0.20)

#: A correction is learned as one more positive of this weight: it outweighs the negative learned before.
_CORRECTION = 2.0
#: Labels over which the fleet's push rate is averaged.
_RATE_OVER = 5000
#: Prior of the fleet's push rate: one push in five runs, with the weight of five runs.
_PRIOR_PUSHES, _PRIOR_RUNS = 1.0, 5.0
#: Lower propensities count as this one; those of the holdout are at least 2 %.
_PROPENSITY_MIN = 0.01
#: Numbers kept for each label counted: stage, label, weight, p, baseline, predictions of the two thresholds.
_COUNTED = 7


class Learner:
    """Folds the examples log; gives probabilities, thresholds and metrics.

    `Settings.learner` makes the learner that fits a detector.

    Parameters
    ----------
    budgets
        The budgets to keep thresholds for, each between 0 and 1.
    retention_ms
        How long a label is remembered, in ms of its pipeline's own time; at least the detector's retention and lateness
        together.
    """

    def __init__(self, budgets: Sequence[float] = BUDGETS, retention_ms: int = RETENTION_MS) -> None:
        self._stages = {stage: StageLearning() for stage in STAGES}
        self._calibration = PushCalibration(budgets)
        self._memory = SeenExamples(retention_ms)
        self.savings = Savings()
        #: Examples folded, duplicates not counted.
        self.records = 0
        #: Times a stage's model fell behind the past push rate and was replaced.
        self.rollbacks = 0
        self._rate_pushes, self._rate_runs = _PRIOR_PUSHES, _PRIOR_RUNS
        self._schema = _schema(self._stages)

    def predict(self, stage: str, features: Mapping[str, float], baseline: float) -> Prediction:
        """The probability that a graphlet is pushed.

        Parameters
        ----------
        stage
            One of `STAGES`.
        features
            Feature name to value, as `extraction.extract` gives them.
        baseline
            The pipeline's past push rate, between 0 and 1.

        Returns
        -------
        Prediction
            The calibrated probability; the baseline while the stage has no model that is better.
        """
        found = self._stages[stage]
        return found.model.fallback(baseline) if found.trial else found.model.predict(features, baseline)

    def threshold(self, stage: str, budget: float) -> float | None:
        """The threshold of a stage under a budget.

        Parameters
        ----------
        stage
            One of `STAGES`.
        budget
            One of the budgets kept.

        Returns
        -------
        float or None
            A graphlet is flagged strictly below it. None while pushes are missing, or when the stage gets no budget.

        Raises
        ------
        ValueError
            No thresholds are kept for the budget.
        """
        return self._calibration.threshold(budget) if self._stages[stage].has_budget else None

    def pushes_missing(self, budget: float) -> int:
        """The number of labelled pushes still missing before a budget has thresholds.

        Parameters
        ----------
        budget
            Any budget between 0 and 1.

        Returns
        -------
        int
            0 when there are enough.
        """
        return self._calibration.pushes_missing(budget)

    def lowest_push_score(self, stage: str) -> float | None:
        """The lowest score of any labelled push.

        Parameters
        ----------
        stage
            One of `STAGES`.

        Returns
        -------
        float or None
            None without a push, and at a stage that gets no budget.
        """
        return self._calibration.lowest_push_score() if self._stages[stage].has_budget else None

    def flags_stopped(self, budget: float) -> bool:
        """Whether flags under a budget must stop because too many of the last labelled pushes were flagged.

        Parameters
        ----------
        budget
            One of the budgets kept.

        Returns
        -------
        bool
            True when the 95 % lower bound of the share flagged exceeds the budget.
        """
        return self._calibration.flags_stopped(budget)

    def fleet_rate(self) -> float:
        """The recent share of pushes among labels over all pipelines: the prior of a pipeline without history."""
        return self._rate_pushes / self._rate_runs

    @property
    def version(self) -> str:
        """Number of records folded and a hash of the features seen. Equal versions of one log are equal models."""
        return f"{self.records}-{self._schema}"

    @property
    def discarded(self) -> int:
        """Number of updates refused because they would have made numbers infinite."""
        return sum(stage.model.discarded for stage in self._stages.values())

    @property
    def forgotten(self) -> int:
        """Number of graphlets whose labels were forgotten within the retention.

        The correction of a forgotten label counts as a new label.
        """
        return self._memory.forgotten

    @property
    def drifts(self) -> int:
        """Number of changes of the log loss that the drift detectors saw."""
        return sum(stage.drift.detections for stage in self._stages.values())

    def metrics(self) -> dict[str, StageMetrics]:
        """The prequential metrics of the probabilities predicted at the time.

        Returns
        -------
        dict of str to StageMetrics
            Metrics by stage.
        """
        return {
            name: StageMetrics(
                support=stage.support,
                pushes=stage.pushes,
                model=stage.scoring.quality(),
                baseline=stage.baseline_scoring.quality(),
                on_trial=stage.trial is not None,
                drifts=stage.drift.detections,
            )
            for name, stage in self._stages.items()
        }

    def learn(self, example: Example) -> None:
        """Folds one record of the log.

        Parameters
        ----------
        example
            The record. It is ignored when it was learned before, or when its correction was.
        """
        if self._memory.known(example):
            return
        self.records += 1
        earlier = self._memory.counted(example)
        if earlier is None:
            self.savings.add(example)
        counted = array("d")
        if example.pushed is not None:
            weight = 1.0 / max(_PROPENSITY_MIN, _propensity(example))
            if earlier:
                self._discount(earlier)
            self._learn_rate(example.pushed, weight, corrects=bool(earlier))
            counted = self._learn_stages(example, example.pushed, weight)
            if example.pushed and example.trainer is not None:
                self._calibrate(example, weight)
        self._memory.keep(example, counted)

    def _learn_stages(self, example: Example, pushed: bool, weight: float) -> array[float]:
        counted = array("d")
        model_weight = weight * (_CORRECTION if example.label_revision > 1 else 1.0)
        for record in example.stages:
            stage = self._stages[record.stage]
            p, baseline = unit(record.p), unit(record.baseline)
            predicted = stage.count(p, baseline, pushed, weight)
            counted.extend((STAGES.index(record.stage), pushed, weight, p, baseline, *predicted))
            stage.note_cost(record)
            # The correction of a push, or of a failed training, has no features to learn from.
            if record.features:
                if stage.model.admit(record.features):
                    self._schema = _schema(self._stages)
                self.rollbacks += stage.learn(record, pushed, model_weight)
        return counted

    def _discount(self, counted: array[float]) -> None:
        for at in range(0, len(counted), _COUNTED):
            stage, pushed, weight, p, baseline, *predicted = counted[at : at + _COUNTED]
            predicted_both = (bool(predicted[0]), bool(predicted[1]))
            self._stages[STAGES[int(stage)]].discount(bool(pushed), weight, p, baseline, predicted_both)

    def _learn_rate(self, pushed: bool, weight: float, corrects: bool) -> None:
        if not corrects:
            keep = 1.0 - 1.0 / _RATE_OVER
            self._rate_pushes *= keep
            self._rate_runs = self._rate_runs * keep + weight
        self._rate_pushes += weight * pushed

    def _calibrate(self, example: Example, weight: float) -> None:
        records = (*example.inherited, *example.stages)
        if records and all(record.guard == Guard.FIRST for record in records):
            # Later pushes of the pipeline have no such guard, so this one does not represent them. If it counted, they
            # would get its part of the budget (a fleet of young pipelines had 6.4 % of its pushes flagged at 5 %).
            return
        scores: dict[str, float] = {}
        for record in records:
            if record.guard is None and math.isfinite(record.score):
                scores[record.stage] = min(record.score, scores.get(record.stage, record.score))
        flagged = {budget for record in records for budget in record.flagged}
        budgeted_stages = {name for name, stage in self._stages.items() if stage.has_budget}
        self._calibration.add(example.graphlet, scores, flagged, weight, budgeted_stages)


def _propensity(example: Example) -> float:
    """The probability that the draw let the graphlet continue; there is one draw a run, so that of its likeliest prune.

    A graphlet that was flagged and continued regardless was not drawn.
    """
    records = (*example.inherited, *example.stages)
    return min((record.propensity for record in records if record.decision != PRUNE), default=1.0)


def _schema(stages: Mapping[str, StageLearning]) -> str:
    names = ";".join(f"{name}:{','.join(sorted(stage.model.space.names))}" for name, stage in stages.items())
    return hashlib.sha256(names.encode()).hexdigest()[:8]
