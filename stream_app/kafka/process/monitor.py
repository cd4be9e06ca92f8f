"""Watches a process of a consumer group: its metrics, its probes, and its progress, of which the watchdog is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.clients.producer import unacknowledged
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.metrics.collectors import GroupMetrics, LineCounter
from stream_app.kafka.metrics.counts import GroupCounts
from stream_app.kafka.process.watchdog import Progress, Watchdog
from stream_app.metrics.probes import Probe, Probes

log = logging.getLogger(__name__)

#: Seconds after which an event loop that has not turned is not live.
LIVE_SECONDS = 30.0
#: Seconds for which a process is not ready after records were lost.
UNREADY_SECONDS = 300.0
_TURN_SECONDS = 1.0
#: Turns between two measurements of what costs more than the rest.
_MEASURE_TURNS = 15


class Monitor:
    """Watches a process, which sets `assignment` and `producers` when it has them.

    Parameters
    ----------
    flow
        The topics.
    stale_seconds
        Seconds without an answer of Kafka after which the process is not ready.
    registry
        Where its metrics are registered.
    counts
        What it counts.
    metrics
        The gauges that are kept up to date here.
    """

    def __init__(
        self,
        flow: Flow,
        stale_seconds: float,
        registry: CollectorRegistry,
        counts: GroupCounts,
        metrics: GroupMetrics,
    ) -> None:
        self.registry = registry
        self.assignment: Assignment[Any] | None = None
        self.producers: Sequence[AIOKafkaProducer] = ()
        self._counts = counts
        self._group = metrics
        self._process = flow.process
        self._stale_seconds = stale_seconds
        self.stopping = False
        #: What the process cannot work without, and has not; "" when there is nothing.
        self.waiting_for = ""
        self.probes = Probes(registry, self.live, self.ready)
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

    def lose(self, topic: str, partition: int, first: int, end: int) -> None:
        """Report records that Kafka had deleted before they were read.

        Parameters
        ----------
        topic, partition
            Where they were.
        first, end
            The first of their offsets, and the one after the last.
        """
        self._counts.lost[topic] += end - first
        self._lost_until = time.monotonic() + UNREADY_SECONDS
        log.error(
            "offsets %d to %d of %s[%d] were gone before they were read: %d records are lost; "
            "their retention is shorter than the time for which the %s was away or behind",
            first, end - 1, topic, partition, end - first, self._process,
        )  # fmt: skip

    async def run(self, watchdog: Watchdog) -> None:
        """Report to the watchdog that the event loop turns, and keep the gauges up to date, until cancelled."""
        turns = 0
        lines = LineCounter(self._counts.lines)
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
                self._counts.loop.add(max(0.0, time.monotonic() - due))
        finally:
            logging.getLogger().removeHandler(lines)

    def refresh(self) -> None:
        """Update the gauges that are cheap to update."""
        assignment = self.assignment
        self._tell_stuck()
        if assignment is not None:
            self._counts.rebalances = assignment.rebalances
            fetched = assignment.last_fetch()
            if fetched is None or fetched != self._fetched:
                self._answered = time.monotonic()
            self._fetched = fetched
            self._tell_away()
            self._lags = dict.fromkeys(assignment.lags()) if self._is_away else assignment.lags()
            self._group.fetch_time.set(self._fetched or 0)
            self._group.set_lags(self._lags, assignment.partitions)
            self._group.restoring.set(not assignment.complete)
            opening = assignment.opening
            self._group.remaining.set(opening.table.remaining if opening is not None else 0)
        self._group.commit_time.set(self._counts.committed)
        self._group.ready.set(self.ready().ok)

    def _tell_away(self) -> None:
        """Says once that Kafka does not answer, and once that it does again."""
        silent = time.monotonic() - self._answered
        is_away = silent > self._stale_seconds
        if is_away and not self._is_away:
            log.error(
                "Kafka has not answered a fetch for %.0f s: the lag is not known, and the %s is not ready",
                silent,
                self._process,
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
                "Kafka has not acknowledged what was written to %s for %.0f s: the %s is not ready",
                topic,
                seconds,
                self._process,
            )
        elif self._is_stuck and not is_stuck:
            log.info("Kafka acknowledges again")
        self._is_stuck = is_stuck

    def measure(self) -> None:
        """Update the gauges that take a walk over the local copies."""
        if self.assignment is not None:
            sizes = [partition.table.measure() for partition in self.assignment.partitions.values()]
            self._group.keys.set(sum(keys for keys, _ in sizes))
            self._group.bytes.set(sum(size for _, size in sizes))

    def live(self) -> Probe:
        """Whether the event loop turns. An outage of Kafka does not make it false."""
        lag = time.monotonic() - self._turned
        return Probe(lag < LIVE_SECONDS, {"event_loop_lag_seconds": round(lag, 1)})

    def ready(self) -> Probe:
        """Whether all topics are there, no records were lost of late, state is restored, and what `caught_up` says."""
        detail: dict[str, object] = {
            "stopping": self.stopping,
            "waiting_for": self.waiting_for,
            "kafka_answers": not self._is_away,
            "kafka_acknowledges": not self._is_stuck,
            "records_lost": time.monotonic() < self._lost_until,
            "partitions_restored": self.assignment is not None and self.assignment.complete,
            **self.caught_up(),
        }
        silent = self._is_away or self._is_stuck
        waiting = self.stopping or bool(self.waiting_for) or bool(detail["records_lost"]) or silent
        ok = not waiting and bool(detail["partitions_restored"]) and all(self.caught_up().values())
        return Probe(ok, detail)

    def caught_up(self) -> dict[str, bool]:
        """What else the process must have read before it is ready, by name, and whether it has."""
        return {}

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
            sum(self._counts.sources.values()),
            assignment.rebalances,
            opening.table.remaining if opening is not None else 0,
        )
        return Progress(behind or not assignment.complete, done)
