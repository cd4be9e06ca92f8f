"""One partition of the events topic: its table, its detector, and the order in which things are done to them.

Input is taken in slices of bounded time. A slice is decoded and given to the detector, then everything that
changed is committed, then what was said is sent. Nothing of a slice is sent before it is saved, and input counts
as read only when everything it led to is in Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from stream_app.core.events import Event
from stream_app.core.outputs import Output
from stream_app.core.state.entities import Pipeline
from stream_app.core.state.ledger import Ledger
from stream_app.errors import MalformedEvent
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import FAILED, MALFORMED, MISPLACED, Counts
from stream_app.kafka.processing.messages import Speaker, dead_letter
from stream_app.kafka.processing.partitioner import FORWARDED, TICK, partition_of
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable
from stream_app.sources import native

log = logging.getLogger(__name__)

#: Seconds of computing after which a slice is committed.
SLICE_SECONDS = 0.1
#: How far an event's time may be ahead of the record that carries it.
FUTURE_MS = 86_400_000

Send = Callable[[Iterable[Message]], Awaitable[None]]


class Detector(Protocol):
    """The part of `stream_app.core.detector.Detector` that a partition needs."""

    def step(self, event: Event, log_ms: int) -> list[Output]: ...
    def tick(self, log_ms: int) -> list[Output]: ...
    def take_rows(self) -> list[Row]: ...
    @property
    def pipelines(self) -> Mapping[str, Pipeline]: ...
    @property
    def dropped(self) -> int: ...
    def ledger(self, pipeline: str) -> Ledger: ...


#: Makes a detector from its rows.
Load = Callable[[Mapping[bytes, bytes]], Detector]


class Partition:
    """Applies batches of the events topic, in order.

    Parameters: `number` is this partition's, of `partitions` in all; `observe` is told the outputs of a slice
    after they were sent, and the log time of its last record (ms since 1970 UTC).
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
    ) -> None:
        self.number = number
        self.table = table
        self.counts = counts
        self._partitions = partitions
        self._names = names
        self._load = load
        self._send = send
        self._observe = observe
        self._poison: dict[int, str] = {}
        #: Whether a commit or a send failed: it is ahead of what Kafka has, and must be restored before it goes on.
        self.doubtful = False

    async def open(self) -> None:
        """Restore the state, take the partition over, and send again what may not have been sent.

        Raises ForeignAppendError when somebody else has it.
        """
        began = time.monotonic()
        restored = await self.table.restore()
        self._start(restored.rows)
        await self._send(restored.outbox)
        self.counts.restored += 1
        self.counts.restore.add(time.monotonic() - began)

    def _start(self, rows: Mapping[bytes, bytes]) -> None:
        self._speaker = Speaker(self._names, rows, self.counts)
        self.detector = self._load({key: value for key, value in rows.items() if not key.startswith(b"\x00")})

    @property
    def open_flags(self) -> int:
        """Graphlets of this partition with an open alert."""
        return self._speaker.open_flags

    async def apply(self, batch: Batch, owned: Callable[[], bool]) -> None:
        """Apply a batch and mark it done; stop between two slices when `owned` says no.

        Raises ForeignAppendError when somebody else has the partition.
        """
        records = [record for record in batch.records if record.offset >= self.table.position]
        self.counts.skipped += len(batch.records) - len(records)
        taken = 0
        while taken < len(records):
            if not owned():
                return
            taken += await self._slice(records[taken:])
        batch.done = True

    async def _slice(self, records: list[Record]) -> int:
        """Take records for a bounded time and commit; returns how many were taken."""
        end = time.monotonic() + SLICE_SECONDS
        outbox: list[Message] = []
        outputs: list[Output] = []
        taken, dropped = 0, self.detector.dropped
        for record in records:
            try:
                said = self._take(record, outbox)
                outbox += self._speaker.encode(said)
            except Exception as error:  # a defect of ours must not stop the partition for ever
                self._poison[record.offset] = f"the detector failed on it: {type(error).__name__}: {error}"
                log.exception("the detector failed on offset %d of partition %d", record.offset, self.number)
                self._start(self.table.rows())
                await asyncio.sleep(0)  # that took its time; the watchdog, too, wants its turn
                # What came before is saved first: however many records are bad, each costs one such start.
                return await self._slice(records[:taken]) if taken else 0
            outputs += said
            taken += 1
            if time.monotonic() >= end:
                break
        rows = [*self.detector.take_rows(), *self._speaker.take_rows()]
        await self.table.commit(rows, outbox, records[taken - 1].offset + 1)
        self.counts.late += self.detector.dropped - dropped
        self.counts.commits += 1
        self.counts.rows += len(rows)
        await self._send(outbox)
        self._observe(outputs, records[taken - 1].timestamp)
        return taken

    def _take(self, record: Record, outbox: list[Message]) -> list[Output]:
        """Give a record to the detector, or put it into the outbox if it belongs elsewhere."""
        began = time.perf_counter()
        headers = dict(record.headers)
        if TICK in headers:
            if record.offset in self._poison:
                return []  # time passes with the next one
            self.counts.ticks += 1
            self.counts.tick_ms = record.timestamp
            return self.detector.tick(record.timestamp)
        kind, reason = FAILED, self._poison.get(record.offset)
        if reason is None:
            try:
                event = native.decode(record.value or b"", record.timestamp + FUTURE_MS)
            except MalformedEvent as error:
                kind, reason = MALFORMED, str(error)
        if reason is None:
            if partition_of(event.pipeline, self._partitions) == self.number:
                said = self.detector.step(event, record.timestamp)
                self.counts.states[event.state] += 1
                self.counts.delay.add((record.timestamp - event.time_ms) / 1000)
                self.counts.step.add(time.perf_counter() - began)
                return said
            if FORWARDED not in headers:
                self.counts.forwarded += 1
                forwarded = (*record.headers, (FORWARDED, b""))
                outbox.append(Message(self._names.events, event.pipeline.encode(), record.value, forwarded))
                return []
            kind, reason = (
                MISPLACED,
                f"partition {self.number} is not that of pipeline {event.pipeline!r}, though forwarded",
            )
        self.counts.reasons[kind] += 1
        outbox.append(dead_letter(self._names, record, reason))
        return []
