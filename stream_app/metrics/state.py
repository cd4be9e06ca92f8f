"""What is exported of the state of detectors and of the model: gauges, set anew now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge

from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.core.state.entities import Pipeline
from stream_app.core.state.ledger import HINDSIGHT, PENDING, UNATTRIBUTED, USEFUL, WASTED, Ledger

CLASSES = (USEFUL, WASTED, PENDING, UNATTRIBUTED)
#: Which of the ledger's sums by policy holds what became of flagged compute.
FLAGGED = {WASTED: "saved", USEFUL: "harmed", PENDING: "undecided"}


class Measured(Protocol):
    """The part of a detector that is measured."""

    @property
    def pipelines(self) -> Mapping[str, Pipeline]: ...
    def ledger(self, pipeline: str) -> Ledger: ...


class DetectorMetrics:
    """Gauges of detectors.

    Parameters: `registry` is where they are registered; `budgets` are those of the policies, rising.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float]) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", text, labels, registry=registry)

        compute = gauge("compute_node_seconds", "Compute of what is kept, by what became of it.", "class")
        self._compute = {name: compute.labels(name) for name in CLASSES}
        flagged = gauge(
            "compute_flagged_node_seconds",
            "Compute that began after a flag of the budget's policy, by what became of it.",
            "budget",
            "class",
        )
        names = {**{index: f"{budget:g}" for index, budget in enumerate(budgets)}, HINDSIGHT: "hindsight"}
        self._flagged = {
            (index, sums): flagged.labels(name, kind) for index, name in names.items() for kind, sums in FLAGGED.items()
        }
        self._avoided = gauge("compute_avoided_node_seconds", "Compute expected ahead of runs that were pruned.")
        self._pipelines = gauge("pipelines", "Pipelines known.")
        self._graphlets = gauge("graphlets", "Graphlets kept.")
        self._open = gauge("graphlets_open", "Graphlets whose outcome is not known.")
        self._awaiting = gauge("predictions_awaiting_label", "Open graphlets of which a verdict was said.")

    def measure(self, detectors: Iterable[Measured]) -> None:
        """Take the sums over detectors."""
        total, pipelines, graphlets, open_, awaiting = Ledger(), 0, 0, 0, 0
        for detector in detectors:
            for name, pipeline in list(detector.pipelines.items()):
                total.merge(detector.ledger(name))
                pipelines += 1
                graphlets += len(pipeline.graphlets)
                open_ += len(pipeline.open)
                awaiting += sum(graphlet.talk is not None for graphlet in pipeline.open)
        for name in CLASSES:
            self._compute[name].set(getattr(total, name) / 1000)
        for (index, sums), gauge in self._flagged.items():
            gauge.set(getattr(total, sums).get(index, 0) / 1000)
        self._avoided.set(total.avoided / 1000)
        self._pipelines.set(pipelines)
        self._graphlets.set(graphlets)
        self._open.set(open_)
        self._awaiting.set(awaiting)


class LearnerMetrics:
    """Gauges of a learner.

    Parameters: as those of `DetectorMetrics`.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float]) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", text, labels, registry=registry)

        self._quality = {
            name: gauge(f"prequential_{name}", f"{text}, over all labels so far.", "stage", "of")
            for name, text in (
                ("auc", "Area under the ROC curve of what was said"),
                ("log_loss", "Log loss of what was said"),
                ("balanced_accuracy", "Balanced accuracy of what was said"),
            )
        }
        self._support = gauge("prequential_support", "Labels behind the prequential metrics.", "stage")
        self._drifts = gauge("drift_detections", "Changes of the log loss that were detected.", "stage")
        self._on_trial = gauge("model_on_trial", "1 while a new model of the stage proves itself.", "stage")
        for stage in STAGES:
            for by_stage in (self._support, self._drifts, self._on_trial):
                by_stage.labels(stage)
        self._info = gauge("model_info", "1; of which features the model is.", "feature_schema")
        self._records = gauge("model_records", "Examples folded into the model.")
        self._rollbacks = gauge("model_rollbacks", "Times a stage fell back to a fresh model.")
        self._discarded = gauge("model_updates_discarded", "Updates refused: they would not have been finite.")
        self._forgotten = gauge(
            "model_labels_forgotten", "Labels forgotten within the retention: a correction counts beside them."
        )
        stopped = gauge("flags_stopped", "1 while too many of the last pushes had been flagged.", "budget")
        self._stopped = {budget: stopped.labels(f"{budget:g}") for budget in budgets}

    def measure(self, learner: Learner) -> None:
        """Take a learner's figures; what needs both classes is absent until there are both."""
        self._info.clear()
        self._info.labels(learner.version.partition("-")[2]).set(1)
        self._records.set(learner.records)
        self._rollbacks.set(learner.rollbacks)
        self._discarded.set(learner.discarded)
        self._forgotten.set(learner.forgotten)
        for budget, gauge in self._stopped.items():
            gauge.set(learner.stopped(budget))
        for stage, measured in learner.metrics().items():
            self._support.labels(stage).set(measured.support)
            self._drifts.labels(stage).set(measured.drifts)
            self._on_trial.labels(stage).set(measured.on_trial)
            for of, quality in (("model", measured.model), ("baseline", measured.baseline)):
                for name in ("auc", "log_loss", "balanced_accuracy"):
                    value = getattr(quality, name)
                    if value is not None:
                        self._quality[name].labels(stage, of).set(value)
