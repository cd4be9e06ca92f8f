"""Metrics of the outputs of detectors: predictions, labels, their quality and the value of flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry

from stream_app.core.learning.learner import BUDGETS, Learner
from stream_app.core.outputs import CONTINUE, NOT_PUSHED, OPEN, PRUNE, PUSHED, Example, Output, StageRecord, Verdict
from stream_app.metrics.catalogue import BINS, CAUSES, DECISIONS, OUTCOMES, WORDS
from stream_app.metrics.registry import counter, histogram
from stream_app.metrics.state import DetectorMetrics, LearnerMetrics, Measured


class Metrics:
    """Metrics of outputs, of the state of detectors and of a learner, which workers and the HTTP service share.

    Parameters
    ----------
    registry
        Where they are registered.
    budgets
        The budgets of the policies, in rising order.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float] = BUDGETS) -> None:
        # Children are kept: finding one by its labels takes longer than counting.
        predictions = counter(registry, "predictions_total")
        self._predictions = {decision: predictions.labels(decision) for decision in DECISIONS}
        self._score = histogram(registry, "prediction_score")
        self._ahead = histogram(registry, "flag_remaining_compute_ratio")
        labels = counter(registry, "labels_joined_total")
        self._labels = {cause: labels.labels(outcome, cause) for cause, outcome in CAUSES.items()}
        outcomes = counter(registry, "prequential_outcomes_total")
        self._outcomes = {
            (flagged, pushed): outcomes.labels(PRUNE if flagged else CONTINUE, PUSHED if pushed else NOT_PUSHED)
            for flagged in (True, False)
            for pushed in (True, False)
        }
        words = counter(registry, "flag_words_total")
        self._words = {
            (word, pushed): words.labels(word, PUSHED if pushed else NOT_PUSHED)
            for word in WORDS
            for pushed in (True, False)
        }
        self._corrections = counter(registry, "label_corrections_total")
        self._delay = histogram(registry, "label_delay_seconds")
        self._deployments = counter(registry, "deployments_total")
        self._flagged = counter(registry, "deployments_flagged_total")
        self._bins = {}
        for name in ("predictions", "positives", "score_sum"):
            binned = counter(registry, f"calibration_{name}_total")
            self._bins[name] = [binned.labels(bin_) for bin_ in BINS]
        evicted = counter(registry, "graphlets_evicted_total")
        self._evicted = {outcome: evicted.labels(outcome) for outcome in (OPEN, *OUTCOMES)}
        self._detectors = DetectorMetrics(registry, budgets)
        self._learner = LearnerMetrics(registry, budgets)

    def observe(self, outputs: Iterable[Output]) -> None:
        """Count outputs that were sent.

        Parameters
        ----------
        outputs
            The outputs of a detector, in order.
        """
        for output in outputs:
            if isinstance(output, Verdict):
                self._predictions[output.decision].inc()
                self._score.observe(output.p_push)
                if output.decision == PRUNE:
                    self._ahead.observe(output.cost_left / max(output.cost + output.cost_left, 1e-9))
            elif isinstance(output, Example):
                self._observe_example(output)
            else:
                self._evicted[output.graphlet["outcome"]].inc()

    def _observe_example(self, example: Example) -> None:
        pushed = example.pushed
        self._labels[example.cause].inc()
        self._delay.observe(max(0, example.announced_ms - example.time_ms) / 1000)
        if example.label_revision > 1:
            self._corrections.inc()
        if pushed is None or example.trainer is None:
            return
        flagged = any(was_flagged(record) for record in (*example.inherited, *example.stages))
        self._outcomes[flagged, pushed].inc()
        if flagged and (example.word, pushed) in self._words:
            self._words[example.word, pushed].inc()
        if pushed:
            self._deployments.inc()
            self._flagged.inc(flagged)
        self._bin(example.stages, pushed)

    def _bin(self, stages: Iterable[StageRecord], pushed: bool) -> None:
        for record in stages:
            bin_ = min(9, int(record.p * 10))
            self._bins["predictions"][bin_].inc()
            self._bins["positives"][bin_].inc(pushed)
            self._bins["score_sum"][bin_].inc(record.p)

    def measure(self, detectors: Iterable[Measured]) -> None:
        """Update the metrics of the state of detectors; see `DetectorMetrics.measure`."""
        self._detectors.measure(detectors)

    def measure_learner(self, learner: Learner) -> None:
        """Update the metrics of a learner; see `LearnerMetrics.measure`."""
        self._learner.measure(learner)


def was_flagged(record: StageRecord) -> bool:
    """Whether the policy in force flagged at a stage, held-out runs included.

    Only a flagged run is held out, so a propensity below 1 tells of a flag where the decision is to continue.

    Parameters
    ----------
    record
        The prediction of one stage.

    Returns
    -------
    bool
    """
    return record.decision == PRUNE or record.propensity < 1.0


def outcome_of(example: Example) -> str:
    """What became of the graphlet: one of OUTCOMES."""
    return CAUSES[example.cause]
