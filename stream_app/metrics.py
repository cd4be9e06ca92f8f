"""What is exported of the detector's words and their quality; the worker adds its own (`stream_app.kafka`).

Labels come from closed sets, units are base units, and every series is there from the start. No label holds a
pipeline, a run or a graphlet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_app.core.learning import Learner
from stream_app.core.ledger import PENDING, UNATTRIBUTED, USEFUL, WASTED, Ledger
from stream_app.core.outputs import CONTINUE, PRUNE, STAGES, WARN, Example, Output, Verdict

DECISIONS = (CONTINUE, WARN, PRUNE)
OUTCOMES = ("pushed", "not_pushed", "pruned")
CLASSES = (USEFUL, WASTED, PENDING, UNATTRIBUTED)
#: Bins of predicted probabilities, named by their upper edges.
BINS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_DELAYS = (_MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY)


class Measured(Protocol):
    """The part of a detector that is counted."""

    @property
    def pipelines(self) -> Mapping[str, object]: ...
    def ledger(self, pipeline: str) -> Ledger: ...


class Metrics:
    """Metrics of outputs, of detectors and of a learner.

    Parameters: `registry` is where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stream_app_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(f"stream_app_{name}", text, registry=registry, buckets=tuple(buckets))

        predictions = counter("predictions_total", "Verdicts said, by decision.", "decision")
        self._predictions = {decision: predictions.labels(decision) for decision in DECISIONS}
        self._score = histogram("prediction_score", "Probability of a push, as said.", (n / 10 for n in range(1, 11)))
        labels = counter("labels_total", "Outcomes said, by outcome.", "outcome")
        self._labels = {outcome: labels.labels(outcome) for outcome in OUTCOMES}
        self._corrections = counter("label_corrections_total", "Outcomes that replaced an earlier one.")
        self._delay = histogram("label_delay_seconds", "Event time from an outcome to its being said.", _DELAYS)
        self._deployments = counter("deployments_total", "Pushes seen.")
        self._flagged = counter("deployments_flagged_total", "Pushes that had been flagged at some stage.")
        binned = {
            "predictions": counter("calibration_predictions_total", "Labelled predictions, by bin.", "bin"),
            "positives": counter("calibration_positives_total", "Pushes among them, by bin.", "bin"),
            "scores": counter("calibration_score_sum_total", "Sum of their probabilities, by bin.", "bin"),
        }
        self._bins = {name: [family.labels(bin_) for bin_ in BINS] for name, family in binned.items()}
        self._quality = {
            name: gauge(f"prequential_{name}", f"{text}, over all labels so far.", "stage", "of")
            for name, text in (
                ("auc", "Area under the ROC curve of what was said"),
                ("log_loss", "Log loss of what was said"),
                ("balanced_accuracy", "Balanced accuracy of what was said"),
            )
        }
        self._support = gauge("prequential_support", "Labels behind the prequential metrics.", "stage")
        self._model = {
            "records": gauge("model_records", "Examples folded into the model."),
            "rollbacks": gauge("model_rollbacks", "Times a stage fell back to a fresh model."),
            "discarded": gauge("model_updates_discarded", "Updates refused: they would not have been finite."),
            "drifts": gauge("drift_detections", "Changes of the log loss that were detected."),
        }
        compute = gauge("compute_node_seconds", "Compute of what is kept, by what became of it.", "class")
        self._compute = {name: compute.labels(name) for name in CLASSES}
        self._pipelines = gauge("pipelines", "Pipelines known.")
        for stage in STAGES:
            self._support.labels(stage)

    def observe(self, outputs: Iterable[Output]) -> None:
        """Count outputs that were sent."""
        for output in outputs:
            if isinstance(output, Verdict):
                self._predictions[output.decision].inc()
                self._score.observe(output.p_push)
            elif isinstance(output, Example):
                self._observe_example(output)

    def _observe_example(self, example: Example) -> None:
        pushed = example.pushed
        self._labels["pruned" if pushed is None else "pushed" if pushed else "not_pushed"].inc()
        self._delay.observe(max(0, example.said_ms - example.time_ms) / 1000)
        if example.label_revision > 1:
            self._corrections.inc()
        if pushed is None or example.trainer is None:
            return
        if pushed:
            self._deployments.inc()
            if any(record.decision == PRUNE for record in (*example.inherited, *example.stages)):
                self._flagged.inc()
        for record in example.stages:
            place = min(9, int(record.p * 10))
            self._bins["predictions"][place].inc()
            self._bins["positives"][place].inc(pushed)
            self._bins["scores"][place].inc(record.p)

    def measure(self, detectors: Iterable[Measured]) -> None:
        """Take the state of detectors: their ledgers and how many pipelines they hold."""
        total, pipelines = Ledger(), 0
        for detector in detectors:
            for name in list(detector.pipelines):
                total.merge(detector.ledger(name))
                pipelines += 1
        for name in CLASSES:
            self._compute[name].set(getattr(total, name) / 1000)
        self._pipelines.set(pipelines)

    def measure_learner(self, learner: Learner) -> None:
        """Take a learner's prequential metrics; what needs both classes is absent until there are both."""
        self._model["records"].set(learner.records)
        self._model["rollbacks"].set(learner.rollbacks)
        self._model["discarded"].set(learner.discarded)
        self._model["drifts"].set(learner.drifts)
        for stage, measured in learner.metrics().items():
            self._support.labels(stage).set(measured.support)
            for of, quality in (("model", measured.model), ("baseline", measured.baseline)):
                for name in ("auc", "log_loss", "balanced_accuracy"):
                    value = getattr(quality, name)
                    if value is not None:
                        self._quality[name].labels(stage, of).set(value)
