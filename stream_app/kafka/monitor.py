"""What a worker shows of itself: metrics kept up to date, probes, and the progress that the watchdog looks at."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from stream_app.core.outputs import Output
from stream_app.kafka.assignment import Assignment
from stream_app.kafka.learning import Learning
from stream_app.kafka.monitoring import Counts, Endpoints, Probe, Server, WorkerMetrics
from stream_app.kafka.watchdog import Progress, Watchdog
from stream_app.metrics import Metrics

#: A loop that has not turned for this long is not live.
LIVE_SECONDS = 30.0
_TURN_SECONDS = 1.0
#: Turns between two measurements of detectors and learner, which cost more than the rest.
_MEASURE_TURNS = 15


class Monitor:
    """Watches a worker; the worker sets `assignment` and `learning` when it has them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.counts = Counts()
        self.assignment: Assignment | None = None
        self.learning: Learning | None = None
        self.stopping = False
        self._metrics = Metrics(self.registry)
        self._worker = WorkerMetrics(self.registry, self.counts)
        self._turned = time.monotonic()

    def serve(self, host: str, port: int) -> Server:
        """Serve metrics and probes; see `Endpoints.serve`. Raises OSError when the port is taken."""
        return Endpoints(self.registry, self.live, self.ready).serve(host, port)

    def observe(self, outputs: list[Output], log_ms: int) -> None:
        """Count outputs that were sent, made from records up to this log time (ms since 1970 UTC)."""
        self._metrics.observe(outputs)
        self._worker.latency.observe(max(0.0, time.time() - log_ms / 1000))
        self._worker.log_time.set(log_ms / 1000)

    async def run(self, watchdog: Watchdog) -> None:
        """Tell the watchdog that the event loop turns, and keep the gauges up to date, until cancelled."""
        turns = 0
        while True:
            watchdog.turn()
            self._turned = time.monotonic()
            self._refresh()
            if turns % _MEASURE_TURNS == 0:
                self._measure()
            turns += 1
            await asyncio.sleep(_TURN_SECONDS)

    def _refresh(self) -> None:
        assignment = self.assignment
        if assignment is not None:
            self.counts.rebalances = assignment.rebalances
            self._worker.set_lags({number: assignment.lag(number) for number in assignment.partitions})
        if self.learning is not None:
            self._worker.examples.set(self.learning.log.position)
            self._worker.checkpoint_time.set(self.learning.checkpoint.time)
            self._worker.checkpoint_size.set(self.learning.checkpoint.size)
        self._worker.ready.set(self.ready().well)

    def _measure(self) -> None:
        if self.assignment is not None:
            self._metrics.measure(partition.detector for partition in self.assignment.partitions.values())
        if self.learning is not None:
            self._metrics.measure_learner(self.learning.learner)

    def live(self) -> Probe:
        """Whether the process works at all; never asks Kafka, and an outage of Kafka does not make it false."""
        lag = time.monotonic() - self._turned
        self._worker.loop_lag.set(lag)
        return Probe(lag < LIVE_SECONDS, {"event_loop_lag_seconds": round(lag, 1)})

    def ready(self) -> Probe:
        """Whether partitions are assigned and restored and the model has caught up."""
        detail: dict[str, object] = {
            "stopping": self.stopping,
            "partitions_restored": self.assignment is not None and self.assignment.complete,
            "model_caught_up": self.learning is not None and self.learning.caught_up,
        }
        well = not self.stopping and bool(detail["partitions_restored"] and detail["model_caught_up"])
        return Probe(well, detail)

    def progress(self) -> Progress:
        """Whether there is input, and how far the worker has come; called from the watchdog's thread."""
        assignment = self.assignment
        if assignment is None or self.stopping:
            return Progress(False, None)
        done = {number: partition.table.position for number, partition in list(assignment.partitions.items())}
        behind = any(assignment.lag(number) for number in done)
        return Progress(behind or not assignment.complete, (done, assignment.rebalances))
