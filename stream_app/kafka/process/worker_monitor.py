"""Watches a worker: what `Monitor` does, and its outputs, its detectors and its model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stream_app.core.learning.learner import BUDGETS
from stream_app.core.outputs import PRUNE, Output, Verdict
from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.metrics.collectors import WorkerMetrics
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.learning import Learning
from stream_app.kafka.process.monitor import Monitor
from stream_app.kafka.processing.partition import Partition
from stream_app.metrics.outputs import Metrics
from stream_app.metrics.registry import make_registry


class WorkerMonitor(Monitor):
    """Watches a worker, which sets `assignment`, `learning` and `producers` when it has them.

    Parameters
    ----------
    flow
        The topics.
    budgets
        The budgets of the policies, in rising order.
    stale_seconds
        Seconds without an answer of Kafka after which the worker is not ready.
    """

    assignment: Assignment[Partition] | None

    def __init__(self, flow: Flow, budgets: Sequence[float] = BUDGETS, stale_seconds: float = 60.0) -> None:
        registry = make_registry()
        topics = (*flow.sources, flow.keyed)
        self.counts = Counts(sources=dict.fromkeys(flow.sources, 0), lost=dict.fromkeys(topics, 0))
        self.learning: Learning | None = None
        self._metrics = Metrics(registry, budgets)
        self._worker = WorkerMetrics(registry, self.counts)
        super().__init__(flow, stale_seconds, registry, self.counts, self._worker)

    def observe(self, outputs: list[Output], log_ms: int) -> None:
        """Count outputs that were sent.

        Parameters
        ----------
        outputs
            The outputs, in order.
        log_ms
            Log time of the last record that they were made from, in ms since 1970 UTC.
        """
        self._metrics.observe(outputs)
        latency = max(0.0, time.time() - log_ms / 1000)
        self.counts.latency.add(latency)
        for output in outputs:
            if isinstance(output, Verdict) and output.decision == PRUNE:
                self.counts.flag_latency.add(latency)
        self._worker.log_time.set(log_ms / 1000)

    def refresh(self) -> None:
        """Update the gauges that are cheap to update."""
        super().refresh()
        self._worker.tick_time.set(self.counts.tick_ms / 1000)
        if self.learning is not None:
            self._worker.examples.set(self.learning.log.position)
            self.counts.examples_skipped = self.learning.log.skipped
            self._worker.examples_missing.set(self.learning.checkpoint.first)
            self._worker.set_identity(self.learning.checkpoint.identity)
            self._worker.checkpoint_time.set(self.learning.checkpoint.time)
            self._worker.checkpoint_size.set(self.learning.checkpoint.size)

    def measure(self) -> None:
        """Update the gauges that take a walk over all pipelines, the model and the local copies."""
        super().measure()
        if self.assignment is not None:
            partitions = self.assignment.partitions.values()
            self._metrics.measure(partition.detector for partition in partitions)
            self._worker.flags.set(sum(partition.open_flags for partition in partitions))
        if self.learning is not None:
            self._metrics.measure_learner(self.learning.learner)

    def caught_up(self) -> dict[str, bool]:
        """Whether the model has learned what was in the examples topic at the start."""
        return {"model_caught_up": self.learning is not None and self.learning.caught_up}
