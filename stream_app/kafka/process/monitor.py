"""Watches a worker: keeps its metrics up to date, answers its probes, and tells the watchdog of its progress."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from stream_app.core.learning.learner import BUDGETS
from stream_app.core.outputs import PRUNE, Output, Verdict
from stream_app.kafka.clients.producer import unacknowledged
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.metrics.collectors import LineCounter, WorkerMetrics
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.learning import Learning
from stream_app.kafka.process.watchdog import Progress, Watchdog
from stream_app.metrics.outputs import Metrics
from stream_app.metrics.probes import Probe, Probes
from stream_app.metrics.registry import make_registry

log = logging.getLogger(__name__)

#: Seconds after which an event loop that has not turned is not live.
LIVE_SECONDS = 30.0
#: Seconds for which a worker is not ready after records were lost.
UNREADY_SECONDS = 300.0
_TURN_SECONDS = 1.0
#: Turns between two measurements of detectors and learner, which cost more than the rest.
_MEASURE_TURNS = 15


class Monitor:
    """Watches a worker, which sets `assignment`, `learning` and `producers` when it has them.

    Parameters
    ----------
    sources
        The source topics.
    events
        The topic of events.
    budgets
        The budgets of the policies, in rising order.
    stale_seconds
        Seconds without an answer of Kafka after which a worker is not ready.
    """

    def __init__(
        self, sources: Sequence[str], events: str, budgets: Sequence[float] = BUDGETS, stale_seconds: float = 60.0
    ) -> None:
        self.registry = make_registry()
        self.counts = Counts(sources=dict.fromkeys(sources, 0), lost=dict.fromkeys((*sources, events), 0))
        self.assignment: Assignment | None = None
        self.learning: Learning | None = None
        self.producers: Sequence[AIOKafkaProducer] = ()
        self._stale_seconds = stale_seconds
        self.stopping = False
        #: What the worker cannot work without, and has not; "" when there is nothing.
        self.waiting_for = ""
        self.probes = Probes(self.registry, self.live, self.ready)
        self._metrics = Metrics(self.registry, budgets)
        self._worker = WorkerMetrics(self.registry, self.counts)
        self._turned = time.monotonic()
        self._lost_until = 0.0
        #: When a broker answered a fetch last, in seconds since 1970, and whether that is too long ago.
        self._fetched: float | None = None
        #: When that was seen to change last: the wall clock may be set while Kafka is away.
        self._answered = time.monotonic()
        self._is_away = False
        #: Whether Kafka has owed an acknowledgement for too long.
        self._is_stuck = False
        #: As the event loop saw them last: the watchdog's thread must not ask Faust, which makes what is asked for.
        self._lags: dict[tuple[str, int], int | None] = {}

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

    def lose(self, topic: str, partition: int, first: int, end: int) -> None:
        """Report records that Kafka had deleted before they were read.

        Parameters
        ----------
        topic, partition
            Where they were.
        first, end
            The first of their offsets, and the one after the last.
        """
        self.counts.lost[topic] += end - first
        self._lost_until = time.monotonic() + UNREADY_SECONDS
        log.error(
            "offsets %d to %d of %s[%d] were gone before they were read: %d records are lost; "
            "their retention is shorter than the time for which the worker was away or behind",
            first, end - 1, topic, partition, end - first,
        )  # fmt: skip

    async def run(self, watchdog: Watchdog) -> None:
        """Report to the watchdog that the event loop turns, and keep the gauges up to date, until cancelled."""
        turns = 0
        lines = LineCounter(self.counts.lines)
        logging.getLogger().addHandler(lines)
        try:
            while True:
                watchdog.turn()
                self._turned = time.monotonic()
                self.refresh()
                if turns % _MEASURE_TURNS == 0:
                    self.measure()
                turns += 1
                due = time.monotonic() + _TURN_SECONDS
                await asyncio.sleep(_TURN_SECONDS)
                self.counts.loop.add(max(0.0, time.monotonic() - due))
        finally:
            logging.getLogger().removeHandler(lines)

    def refresh(self) -> None:
        """Update the gauges that are cheap to update."""
        assignment = self.assignment
        self._tell_stuck()
        if assignment is not None:
            self.counts.rebalances = assignment.rebalances
            fetched = assignment.last_fetch()
            if fetched is None or fetched != self._fetched:
                self._answered = time.monotonic()
            self._fetched = fetched
            self._tell_away()
            self._lags = dict.fromkeys(assignment.lags()) if self._is_away else assignment.lags()
            self._worker.fetch_time.set(self._fetched or 0)
            self._worker.set_lags(self._lags, assignment.partitions)
            self._worker.restoring.set(not assignment.complete)
            opening = assignment.opening
            self._worker.remaining.set(opening.table.remaining if opening is not None else 0)
        self._worker.commit_time.set(self.counts.committed)
        self._worker.tick_time.set(self.counts.tick_ms / 1000)
        if self.learning is not None:
            self._worker.examples.set(self.learning.log.position)
            self.counts.examples_skipped = self.learning.log.skipped
            self._worker.examples_missing.set(self.learning.checkpoint.first)
            self._worker.set_identity(self.learning.checkpoint.identity)
            self._worker.checkpoint_time.set(self.learning.checkpoint.time)
            self._worker.checkpoint_size.set(self.learning.checkpoint.size)
        self._worker.ready.set(self.ready().ok)

    def _tell_away(self) -> None:
        """Says once that Kafka does not answer, and once that it does again."""
        silent = time.monotonic() - self._answered
        is_away = silent > self._stale_seconds
        if is_away and not self._is_away:
            log.error(
                "Kafka has not answered a fetch for %.0f s: the lag is not known, and the worker is not ready", silent
            )
        elif self._is_away and not is_away:
            log.info("Kafka answers again")
        self._is_away = is_away

    def _tell_stuck(self) -> None:
        """Says once that Kafka does not acknowledge what is written, and once that it does again."""
        seconds, topic = max((unacknowledged(producer) for producer in self.producers), default=(0.0, ""))
        is_stuck = seconds > self._stale_seconds
        if is_stuck and not self._is_stuck:
            log.error(
                "Kafka has not acknowledged what was written to %s for %.0f s: the worker is not ready", topic, seconds
            )
        elif self._is_stuck and not is_stuck:
            log.info("Kafka acknowledges again")
        self._is_stuck = is_stuck

    def measure(self) -> None:
        """Update the gauges that take a walk over all pipelines, the model and the local copies."""
        if self.assignment is not None:
            partitions = self.assignment.partitions.values()
            self._metrics.measure(partition.detector for partition in partitions)
            sizes = [partition.table.measure() for partition in partitions]
            self._worker.keys.set(sum(keys for keys, _ in sizes))
            self._worker.bytes.set(sum(size for _, size in sizes))
            self._worker.flags.set(sum(partition.open_flags for partition in partitions))
        if self.learning is not None:
            self._metrics.measure_learner(self.learning.learner)

    def live(self) -> Probe:
        """Whether the event loop turns. An outage of Kafka does not make it false."""
        lag = time.monotonic() - self._turned
        return Probe(lag < LIVE_SECONDS, {"event_loop_lag_seconds": round(lag, 1)})

    def ready(self) -> Probe:
        """Whether all topics are there, no records were lost of late, state is restored, and the model caught up."""
        detail: dict[str, object] = {
            "stopping": self.stopping,
            "waiting_for": self.waiting_for,
            "kafka_answers": not self._is_away,
            "kafka_acknowledges": not self._is_stuck,
            "records_lost": time.monotonic() < self._lost_until,
            "partitions_restored": self.assignment is not None and self.assignment.complete,
            "model_caught_up": self.learning is not None and self.learning.caught_up,
        }
        silent = self._is_away or self._is_stuck
        waiting = self.stopping or bool(self.waiting_for) or bool(detail["records_lost"]) or silent
        ok = not waiting and bool(detail["partitions_restored"] and detail["model_caught_up"])
        return Probe(ok, detail)

    def progress(self) -> Progress:
        """Whether there is input, or may be, and how far the worker has come; the watchdog's thread calls it."""
        assignment = self.assignment
        if assignment is None or self.stopping:
            return Progress(False, None)
        # What is read has a known lag after the first answer of a broker; what is assigned and not read has none.
        behind = any(lag != 0 for lag in self._lags.values())
        opening = assignment.opening
        done = (
            {number: partition.table.position for number, partition in list(assignment.partitions.items())},
            sum(self.counts.sources.values()),
            assignment.rebalances,
            opening.table.remaining if opening is not None else 0,
        )
        return Progress(behind or not assignment.complete, done)
