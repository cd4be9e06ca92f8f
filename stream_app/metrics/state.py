"""Metrics of the state of detectors and of the model, measured now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry

from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.core.state.ledger import HINDSIGHT, PENDING, USEFUL, WASTED, Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.metrics.catalogue import BASELINE, CLASSES, HINDSIGHT_BUDGET, MODEL
from stream_app.metrics.registry import Snapshot, gauge

#: Class of flagged compute -> the sums of the ledger, by policy, that hold it.
FLAGGED = {WASTED: "saved", USEFUL: "harmed", PENDING: "undecided"}


class Measured(Protocol):
    """The part of a detector that is measured."""

    @property
    def pipelines(self) -> Mapping[str, Pipeline]: ...
    def ledger(self, pipeline: str) -> Ledger: ...


class DetectorMetrics:
    """Gauges of the state of detectors.

    Parameters
    ----------
    registry
        Where they are registered.
    budgets
        The budgets of the policies, in rising order.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float]) -> None:
        compute = gauge(registry, "compute_node_seconds")
        self._compute = {name: compute.labels(name) for name in CLASSES}
        flagged = gauge(registry, "compute_flagged_node_seconds")
        names = {**{index: _label(budget) for index, budget in enumerate(budgets)}, HINDSIGHT: HINDSIGHT_BUDGET}
        self._flagged = {
            (index, sums): flagged.labels(name, kind) for index, name in names.items() for kind, sums in FLAGGED.items()
        }
        self._avoided = gauge(registry, "compute_avoided_node_seconds")
        self._pipelines = gauge(registry, "pipelines")
        self._graphlets = gauge(registry, "graphlets")
        self._open = gauge(registry, "graphlets_open")
        self._awaiting = gauge(registry, "predictions_awaiting_label")

    def measure(self, detectors: Iterable[Measured]) -> None:
        """Set the gauges to the sums over detectors.

        Parameters
        ----------
        detectors
            All detectors of the process; they must not change meanwhile.
        """
        total, pipelines, graphlets, open_, awaiting = Ledger(), 0, 0, 0, 0
        for detector in detectors:
            for name, pipeline in list(detector.pipelines.items()):
                total.merge(detector.ledger(name))
                pipelines += 1
                graphlets += len(pipeline.graphlets)
                open_ += len(pipeline.open)
                awaiting += sum(graphlet.predictions is not None for graphlet in pipeline.open)
        for name in CLASSES:
            self._compute[name].set(getattr(total, name) / 1000)
        for (index, sums), flagged in self._flagged.items():
            flagged.set(getattr(total, sums).get(index, 0) / 1000)
        self._avoided.set(total.avoided / 1000)
        self._pipelines.set(pipelines)
        self._graphlets.set(graphlets)
        self._open.set(open_)
        self._awaiting.set(awaiting)


class LearnerMetrics:
    """Metrics of a learner.

    Parameters
    ----------
    registry
        Where they are registered.
    budgets
        The budgets of the policies, in rising order.
    """

    def __init__(self, registry: CollectorRegistry, budgets: Sequence[float]) -> None:
        self._budgets = budgets
        self._snapshot = snapshot = Snapshot(
            registry, *_BY_STAGE, *_BY_PREDICTOR, *_TOTALS, "flags_stopped", "model_info"
        )
        # Rates and alerts need a beginning at zero. Quality is not among these: zero would be an alarm.
        for name in _TOTALS:
            snapshot.set(name, 0)
        for name in _BY_STAGE:
            for stage in STAGES:
                snapshot.set(name, 0, stage)
        for budget in budgets:
            snapshot.set("flags_stopped", 0, _label(budget))

    def measure(self, learner: Learner) -> None:
        """Set the metrics to the figures of a learner.

        Quality that cannot be computed before there are labels of both classes is absent until then.

        Parameters
        ----------
        learner
            It must not learn meanwhile.
        """
        snapshot = self._snapshot
        snapshot.clear("model_info")
        snapshot.set("model_info", 1, learner.version.partition("-")[2])
        for name, attribute in _TOTALS.items():
            snapshot.set(name, getattr(learner, attribute))
        for budget in self._budgets:
            snapshot.set("flags_stopped", learner.flags_stopped(budget), _label(budget))
        for stage, measured in learner.metrics().items():
            for name, attribute in _BY_STAGE.items():
                snapshot.set(name, getattr(measured, attribute), stage)
            for predictor, quality in ((MODEL, measured.model), (BASELINE, measured.baseline)):
                for name, attribute in _BY_PREDICTOR.items():
                    value = getattr(quality, attribute)
                    if value is not None:
                        snapshot.set(name, value, stage, predictor)


#: Metric -> the attribute of the learner, of the metrics of a stage, and of the quality of a predictor, in this order.
_TOTALS = {
    "model_examples_total": "records",
    "model_rollbacks_total": "rollbacks",
    "model_updates_discarded_total": "discarded",
    "model_labels_forgotten_total": "forgotten",
}
_BY_STAGE = {"prequential_support": "support", "drift_detections_total": "drifts", "model_on_trial": "on_trial"}
_BY_PREDICTOR = {f"prequential_{attribute}": attribute for attribute in ("auc", "log_loss", "balanced_accuracy")}


def _label(budget: float) -> str:
    return f"{budget:g}"
