"""One partition of the events topic: its table, its detector, and the order of their effects.

Input is processed in slices of bounded time. A slice is decoded and applied by the detector, then everything that
changed is committed, then the outputs are sent. No output of a slice is sent before it is committed, and input counts
as read only when all of its effects are in Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from stream_app.alerts.finding_alerts import FindingAlerts
from stream_app.alerts.tracking import MAX_AGE_MS
from stream_app.analysis.findings import FleetLooks
from stream_app.analysis.fleet.following import FleetSettings, follow_fleet
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.analysis.fleet_record import Origin
from stream_app.core.detector import Follower
from stream_app.core.events import Event
from stream_app.core.outputs import Output
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.fleet_publication import PUBLISH_SECONDS, FleetPublication
from stream_app.kafka.processing.long_outbox import LongOutbox
from stream_app.kafka.processing.messages import OutputEncoder, Trainer, alert_message, dead_letter, native_message
from stream_app.kafka.processing.partitioner import FORWARDED, TICK, partition_of
from stream_app.kafka.processing.tick_key import NO_KEY, TickKey
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable
from stream_app.metrics.catalogue import DETECTOR_FAILED, MALFORMED, MISPLACED
from stream_app.sources import NOTHING, Redaction, native

log = logging.getLogger(__name__)

#: Seconds of computing after which a slice is committed.
SLICE_SECONDS = 0.1
#: How far an event's time may be ahead of the record that carries it.
FUTURE_MS = DAY_MS

Send = Callable[[Iterable[Message]], Awaitable[None]]


class Detector(Protocol):
    """The part of `stream_app.core.detector.Detector` that a partition needs."""

    def step(self, event: Event, log_ms: int) -> list[Output]: ...
    def tick(self, log_ms: int) -> list[Output]: ...
    def take_rows(self) -> list[Row]: ...
    def follow(self, follower: Follower) -> None: ...
    @property
    def pipelines(self) -> Mapping[str, Pipeline]: ...
    @property
    def dropped(self) -> int: ...
    @property
    def renamed(self) -> Mapping[str, str]: ...
    def ledger(self, pipeline: str) -> Ledger: ...


#: Messages that rename verdicts: old id -> new id.
RenamedVerdicts = Callable[[Mapping[str, str]], Awaitable[Iterable[Message]]]
#: Makes a detector from its rows.
Load = Callable[[Mapping[bytes, bytes]], Detector]


class Partition:
    """Applies batches of the events topic, in order.

    Parameters
    ----------
    number
        The number of this partition.
    partitions
        How many there are.
    names
        The topics.
    table
        The state of this partition.
    load
        Makes a detector from the rows of the table.
    send
        Sends messages; it raises KafkaError.
    counts
        Where records are counted.
    observe
        Called with the outputs of a slice after they were sent, and with the log time of its last record in ms since
        1970 UTC.
    renamed_verdicts
        Makes the messages that move the last verdicts of graphlets from their old ids to their new ones.
    tick_key
        Tells which ticks count.
    flag_age_ms
        How far the event time of a verdict may be behind its log time for a flag to be raised, and the clock of a
        pipeline for a finding, in ms.
    redaction
        What is not kept of events.
    fleet
        What the analysis of its pipelines is told.
    fleet_seconds
        Seconds between two publications of their figures.
    """

    def __init__(
        self,
        number: int,
        partitions: int,
        names: Names,
        table: PartitionTable,
        load: Load,
        send: Send,
        counts: Counts,
        observe: Callable[[list[Output], int], None],
        renamed_verdicts: RenamedVerdicts,
        tick_key: TickKey = NO_KEY,
        flag_age_ms: int = MAX_AGE_MS,
        redaction: Redaction = NOTHING,
        fleet: FleetSettings = FleetSettings(),  # noqa: B008 - it cannot be changed
        fleet_seconds: float = PUBLISH_SECONDS,
    ) -> None:
        self.number = number
        self.table = table
        self.counts = counts
        self._partitions = partitions
        self._names = names
        self._load = load
        self._send = send
        self._observe = observe
        self._renamed_verdicts = renamed_verdicts
        self._tick_key = tick_key
        self._flag_age_ms = flag_age_ms
        self._redaction = redaction
        self._fleet_settings = fleet
        self._fleet_seconds = fleet_seconds
        #: The log time of the record that was applied last, in ms since 1970 UTC.
        self._log_ms = 0
        self._poison: dict[int, str] = {}
        #: Whether a commit or a send failed: the detector is ahead of Kafka then, and must be restored.
        self.needs_restore = False

    async def open(self) -> None:
        """Restores the state, takes the partition over, and sends again what may not have been sent.

        Raises
        ------
        ForeignAppendError
            Another process keeps writing to the changelog.
        """
        began = time.monotonic()
        restored = await self.table.restore()
        self.counts.copies_damaged += self.table.damaged
        self._start(restored.rows)
        await self._send([*restored.outbox, *self._long_outbox.restored])
        if self.detector.renamed:
            messages = await self._renamed_verdicts(self.detector.renamed)
            # To read them takes long. Who owns the partition by now renames them too, and may have newer ones.
            if await self.table.still_owned():
                await self._send(messages)
        self.counts.restore.add(time.monotonic() - began)

    def _start(self, rows: Mapping[bytes, bytes]) -> None:
        self.detector = self._load({key: value for key, value in rows.items() if not key.startswith(b"\x00")})
        self._fleet = follow_fleet(self.detector, self._fleet_settings, rows)
        attribution = StateAttribution(self._fleet_settings.rates, self._fleet_settings.owners)
        looks = FleetLooks(self._fleet, attribution)
        self._findings = FindingAlerts(rows, looks.look_at, self._flag_age_ms)
        #: What it publishes of its pipelines.
        self.publication = FleetPublication(
            self._names.analysis,
            self._fleet,
            self._fleet_settings,
            self._fleet_seconds,
            revisions=self._findings.revisions,
        )
        self._long_outbox = LongOutbox(rows)
        self._encoder = OutputEncoder(
            self._names, rows, self.detector.renamed, self._trainer, self.counts, self._flag_age_ms
        )

    def _trainer(self, pipeline: str, trainer: str) -> Trainer | None:
        """A trainer that the detector knows."""
        known = self.detector.pipelines.get(pipeline)
        graphlet = known.graphlets.get(trainer) if known is not None else None
        return graphlet.trainer if graphlet is not None else None

    @property
    def origin(self) -> Origin:
        """The state of the detector, as those know it who read what is published."""
        last_ms = (pipeline.clock.last_log_ms for pipeline in self.detector.pipelines.values())
        return Origin(self.number, self.table.epoch, self.table.position, self._log_ms or max(last_ms, default=0))

    @property
    def open_flags(self) -> int:
        """Open flags of this partition."""
        return self._encoder.open_flags

    async def apply(self, batch: Batch, owned: Callable[[], bool]) -> None:
        """Applies a batch and marks it done.

        Parameters
        ----------
        batch
            Records in offset order; those that the state already holds are skipped.
        owned
            Whether the partition still belongs to this worker; it stops between two slices when not.

        Raises
        ------
        ForeignAppendError
            Another process has taken the partition over.
        """
        records = [record for record in batch.records if record.offset >= self.table.position]
        self.counts.duplicates += len(batch.records) - len(records)
        taken = 0
        while taken < len(records):
            if not owned():
                return
            taken += await self._slice(records[taken:])
        batch.done = True

    def close(self) -> None:
        """Closes the local copy."""
        self.table.close()

    async def _slice(self, records: list[Record]) -> int:
        """Processes records for a bounded time and commits; returns how many were processed."""
        end = time.monotonic() + SLICE_SECONDS
        outbox: list[Message] = []
        outputs: list[Output] = []
        taken, dropped = 0, self.detector.dropped
        for record in records:
            try:
                found = self._step(record, outbox)
            except Exception as error:  # a defect of the detector must not stop the partition for ever
                self._poison[record.offset] = f"the detector failed on it: {type(error).__name__}: {error}"
                log.exception("the detector failed on offset %d of partition %d", record.offset, self.number)
                self._start(self.table.rows())
                await asyncio.sleep(0)  # loading takes long, and the event loop must not be seen as stuck
                # Records before this one are committed first, so each bad record costs one such start.
                return await self._slice(records[:taken]) if taken else 0
            outputs += found
            taken += 1
            if time.monotonic() >= end:
                break
        rows = [*self.detector.take_rows(), *self._fleet.take_rows(), *self._encoder.take_rows()]
        rows += self._findings.take_rows()
        self._log_ms = records[taken - 1].timestamp
        first, further = self._long_outbox.split(outbox)
        await self.table.commit([*rows, *further], first, records[taken - 1].offset + 1)
        self.counts.late += self.detector.dropped - dropped
        self.counts.commits += 1
        self.counts.rows += len(rows)
        await self._send(outbox)
        self._observe(outputs, records[taken - 1].timestamp)
        return taken

    def _step(self, record: Record, outbox: list[Message]) -> list[Output]:
        """Applies a record and puts what follows into the outbox, or the record itself if it belongs elsewhere."""
        began = time.perf_counter()
        headers = dict(record.headers)
        if TICK in headers:
            if record.offset in self._poison:
                return []  # the next tick moves the clock
            fault = self._tick_key.fault(headers[TICK], self.number, record.timestamp)
            if fault is not None:
                self._ignore_tick(record, fault)
                return []
            self.counts.ticks += 1
            self.counts.tick_ms = record.timestamp
            self._encoder.forget(record.timestamp)
            outputs = self.detector.tick(record.timestamp)
            outbox += self._encoder.encode(outputs, record.timestamp)
            clocks = {name: pipeline.clock.now_ms for name, pipeline in self.detector.pipelines.items()}
            outbox += self._encoder.tick(clocks, record.timestamp)
            found = self._findings.tick(clocks, record.timestamp)
            outbox += (alert_message(self._names, each) for each in found)
            return outputs
        kind, reason = DETECTOR_FAILED, self._poison.get(record.offset)
        if reason is None:
            try:
                event = self._redaction.event(native.decode(record.value or b"", record.timestamp + FUTURE_MS))
            except MalformedEvent as error:
                kind, reason = MALFORMED, self._redaction.reason(str(error))
        if reason is None:
            if partition_of(event.pipeline, self._partitions) == self.number:
                outputs = self.detector.step(event, record.timestamp)
                self.counts.parts_dropped += event.dropped
                self.counts.states[event.state] += 1
                self.counts.delay.add((record.timestamp - event.time_ms) / 1000)
                self.counts.step.add(time.perf_counter() - began)
                outbox += self._encoder.encode(outputs, record.timestamp)
                return outputs
            if FORWARDED not in headers:
                self.counts.forwarded += 1
                forwarded = (*record.headers, (FORWARDED, b""))
                message = native_message(event, None if self._redaction else record.value)
                outbox.append(Message(self._names.events, event.pipeline.encode(), message, forwarded))
                return []
            kind, reason = (
                MISPLACED,
                f"partition {self.number} is not that of pipeline {event.pipeline!r}, though forwarded",
            )
        self.counts.reasons[kind] += 1
        outbox.append(dead_letter(self._names, record, reason, self._redaction))
        return []

    def _ignore_tick(self, record: Record, fault: str) -> None:
        if not self.counts.ticks_ignored[fault]:
            log.warning(
                "the tick at offset %d of %s[%d] is ignored: %s; further ones are only counted (ticks_ignored_total)",
                record.offset,
                record.topic,
                self.number,
                fault,
            )
        self.counts.ticks_ignored[fault] += 1
