"""What is exported of the detector's words and their quality; the worker adds its own (`stream_app.kafka`).

Labels come from closed sets, units are base units, and every series is there from the start. No label holds a
pipeline, a run or a graphlet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from stream_app.core.learning.learner import BUDGETS, Learner
from stream_app.core.outputs import (
    CONTINUE,
    EXPIRED,
    FAILED,
    NOT_PUSHED,
    OPEN,
    PRUNE,
    PRUNED,
    PUSHED,
    RUN_ENDED,
    SUPERSEDED,
    WARN,
    Example,
    Output,
    StageRecord,
    Verdict,
)
from stream_app.metrics.state import DetectorMetrics, LearnerMetrics, Measured

DECISIONS = (CONTINUE, WARN, PRUNE)
OUTCOMES = (PUSHED, NOT_PUSHED, PRUNED)
#: What is said of a graphlet, and why it was not pushed.
CAUSES = {PUSHED: PUSHED, PRUNED: PRUNED, **dict.fromkeys((FAILED, RUN_ENDED, SUPERSEDED, EXPIRED), NOT_PUSHED)}
#: Bins of predicted probabilities, named by their upper edges.
BINS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_DELAYS = (_MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY)


class Metrics:
    """Metrics of outputs, of detectors and of a learner.

    Parameters: `registry` is where they are registered; `budgets` are those of the policies, rising.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float] = BUDGETS) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stream_app_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(f"stream_app_{name}", text, registry=registry, buckets=tuple(buckets))

        predictions = counter("predictions_total", "Verdicts said, by decision.", "decision")
        self._predictions = {decision: predictions.labels(decision) for decision in DECISIONS}
        self._score = histogram("prediction_score", "Probability of a push, as said.", (n / 10 for n in range(1, 11)))
        self._ahead = histogram(
            "flag_remaining_compute_ratio",
            "Share of the expected compute that is ahead at a verdict to prune.",
            (n / 10 for n in range(1, 11)),
        )
        labels = counter("labels_total", "Outcomes said, with their causes.", "outcome", "cause")
        self._labels = {cause: labels.labels(outcome, cause) for cause, outcome in CAUSES.items()}
        decided = counter("prequential_outcomes_total", "Labels, by what was said before.", "predicted", "actual")
        self._decided = {
            (flagged, pushed): decided.labels("prune" if flagged else "continue", PUSHED if pushed else NOT_PUSHED)
            for flagged in (True, False)
            for pushed in (True, False)
        }
        self._corrections = counter("label_corrections_total", "Outcomes that replaced an earlier one.")
        self._delay = histogram("label_delay_seconds", "Event time from an outcome to its being said.", _DELAYS)
        self._deployments = counter("deployments_total", "Pushes seen.")
        self._flagged = counter(
            "deployments_flagged_total", "Pushes that had been flagged at some stage, held out or not."
        )
        binned = {
            "predictions": counter("calibration_predictions_total", "Labelled predictions, by bin.", "bin"),
            "positives": counter("calibration_positives_total", "Pushes among them, by bin.", "bin"),
            "scores": counter("calibration_score_sum_total", "Sum of their probabilities, by bin.", "bin"),
        }
        self._bins = {name: [family.labels(bin_) for bin_ in BINS] for name, family in binned.items()}
        closed = counter("graphlets_evicted_total", "Graphlets evicted, by what had become of them.", "outcome")
        self._closed = {outcome: closed.labels(outcome) for outcome in (OPEN, *OUTCOMES)}
        self._detectors = DetectorMetrics(registry, budgets)
        self._learner = LearnerMetrics(registry, budgets)

    def observe(self, outputs: Iterable[Output]) -> None:
        """Count outputs that were sent."""
        for output in outputs:
            if isinstance(output, Verdict):
                self._predictions[output.decision].inc()
                self._score.observe(output.p_push)
                if output.decision == PRUNE:
                    self._ahead.observe(output.cost_left / max(output.cost + output.cost_left, 1e-9))
            elif isinstance(output, Example):
                self._observe_example(output)
            else:
                self._closed[output.graphlet["outcome"]].inc()

    def _observe_example(self, example: Example) -> None:
        pushed = example.pushed
        self._labels[example.cause].inc()
        self._delay.observe(max(0, example.said_ms - example.time_ms) / 1000)
        if example.label_revision > 1:
            self._corrections.inc()
        if pushed is None or example.trainer is None:
            return
        flagged = any(was_flagged(record) for record in (*example.inherited, *example.stages))
        self._decided[flagged, pushed].inc()
        if pushed:
            self._deployments.inc()
            self._flagged.inc(flagged)
        self._bin(example.stages, pushed)

    def _bin(self, stages: Iterable[StageRecord], pushed: bool) -> None:
        for record in stages:
            place = min(9, int(record.p * 10))
            self._bins["predictions"][place].inc()
            self._bins["positives"][place].inc(pushed)
            self._bins["scores"][place].inc(record.p)

    def measure(self, detectors: Iterable[Measured]) -> None:
        """Take the state of detectors: their ledgers, and how much they hold."""
        self._detectors.measure(detectors)

    def measure_learner(self, learner: Learner) -> None:
        """Take a learner's prequential metrics and figures."""
        self._learner.measure(learner)


def was_flagged(record: StageRecord) -> bool:
    """Whether the policy in force flagged here, also where the run was then drawn to run on: only that has a chance."""
    return record.decision == PRUNE or record.propensity < 1.0


def outcome_of(example: Example) -> str:
    """What became of the graphlet: one of OUTCOMES."""
    return CAUSES[example.cause]
