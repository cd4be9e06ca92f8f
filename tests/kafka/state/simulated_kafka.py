"""A changelog as brokers keep it, its producers and its readers, for the simulation of the commit protocol.

The log has the settings that `topics apply` gives it. Compaction does whatever Kafka may do with them:

- It does not touch the active segment, a segment with a record younger than `min.compaction.lag.ms`, or what follows.
- It looks at the keys up to some record before that, where the cleaner's map is full, and removes records that a later
  one of the same key up to there follows. Brokers swap cleaned segments one after another, so that only a beginning of
  the log may be cleaned for now. Offsets stay.
- A tombstone that is the last record of its key goes `delete.retention.ms` after a cleaning found it so.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.clients.topic_catalogue import catalogue
from stream_app.kafka.clients.topics import Names
from tests.support.kafka_records import record

SETTINGS = next(t.config for t in catalogue(Names(), 1, 1) if t.name == Names().changelog)
LAG_MS, DELETE_MS = int(SETTINGS["min.compaction.lag.ms"]), int(SETTINGS["delete.retention.ms"])
#: Whether records have the time of the broker, and not that of the process that wrote them.
BROKERS_TIME = SETTINGS.get("message.timestamp.type") == "LogAppendTime"

#: How far the clock of the process that runs now is ahead, in ms.
SKEW: ContextVar[int] = ContextVar("SKEW", default=0)

Row = tuple[bytes, bytes | None, tuple[tuple[str, bytes | None], ...]]


@dataclass
class Cluster:
    """What all processes share: time, chance, the changelog, and the steps that wait for their turn."""

    draw: random.Random
    #: Rows that fit into a record batch.
    batch_rows: int
    now: int = 1_700_000_000_000
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    #: The changelog, its end, and the first offset of each segment.
    records: list[ConsumerRecord[Any, Any]] = field(default_factory=list)
    end: int = 0
    segments: list[int] = field(default_factory=lambda: [0])
    #: Offset of a tombstone -> when a cleaning may remove it.
    horizons: dict[int, int] = field(default_factory=dict)
    removed: int = 0
    #: Deliveries of batches and outputs, which may outlive the process that sent them.
    deliveries: list[asyncio.Task[None]] = field(default_factory=list)

    async def turn(self) -> None:
        """Waits until the draw falls on this step."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        await mine

    def append(self, rows: list[Row], skew: int) -> int:
        """Appends a record batch; returns its offset."""
        if self.end > self.segments[-1] and self.draw.random() < 0.15:
            self.segments.append(self.end)
        offset, time = self.end, self.now + (0 if BROKERS_TIME else skew)
        for key, value, headers in rows:
            self.records.append(record(self.end, value, key=key, headers=headers, timestamp=time))
            self.end += 1
        return offset

    def since(self, offset: int) -> int:
        """The index of the first record from an offset on."""
        return bisect_left(self.records, offset, key=attrgetter("offset"))

    def compact(self) -> None:
        """Cleans the log once, as far as the draw says."""
        cleanable = self._cleanable()
        if not cleanable:
            return
        last_of = {each.key: each.offset for each in self.records[: self.draw.randint(1, cleanable)]}
        swapped = self.draw.choice([self.end, self.draw.randint(0, self.end)])
        kept = [each for each in self.records if each.offset >= swapped or self._stays(each, last_of)]
        self.removed += len(self.records) - len(kept)
        self.records = kept

    def _cleanable(self) -> int:
        """How many records of the beginning may be cleaned."""
        limit = self.segments[-1]
        for begin, end in zip(self.segments, self.segments[1:], strict=False):
            if any(each.timestamp > self.now - LAG_MS for each in self.records[self.since(begin) : self.since(end)]):
                limit = begin
                break
        return self.since(limit)

    def _stays(self, each: ConsumerRecord[Any, Any], last_of: dict[Any, int]) -> bool:
        last = last_of.get(each.key, -1)
        if each.offset != last or each.value is not None:
            return bool(each.offset >= last)
        return self.now < self.horizons.setdefault(each.offset, self.now + DELETE_MS)


class Batch:
    """A record batch."""

    def __init__(self, size: int) -> None:
        self.rows: list[Row] = []
        self._size = size

    def append(self, *, key: bytes, value: bytes | None, timestamp: None, headers: Any) -> object:
        assert timestamp is None
        if len(self.rows) == self._size:
            return None
        self.rows.append((key, value, tuple(headers)))
        return self

    def record_count(self) -> int:
        return len(self.rows)


@dataclass
class Appended:
    offset: int


class Producer:
    """An idempotent producer: appends batches in the order in which they were sent; a dead process's may arrive or not.

    A batch that was repeated is appended once, unless the broker has forgotten the producer meanwhile. An error may be
    raised for a batch that was appended. After one that was not, its number is missing, and every later one is refused.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._sent: asyncio.Queue[tuple[Batch, asyncio.Future[Appended]]] = asyncio.Queue()
        self._refused = False
        self.deliveries = asyncio.create_task(self._deliver())
        cluster.deliveries.append(self.deliveries)

    def create_batch(self) -> Batch:
        return Batch(self._cluster.batch_rows)

    async def send_batch(self, batch: Batch, _: str, *, partition: int) -> Awaitable[Appended]:
        assert partition == 0
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._sent.put_nowait((batch, done))
        return done

    async def _deliver(self) -> None:
        cluster = self._cluster
        while True:
            batch, done = await self._sent.get()
            done.add_done_callback(lambda each: each.cancelled() or each.exception())
            await cluster.turn()
            chance = cluster.draw.random()
            self._refused |= chance < 0.01
            offset = -1 if self._refused else cluster.append(batch.rows, SKEW.get())
            await cluster.turn()  # the acknowledgement is on its way
            if not self._refused and 0.01 < chance < 0.015:
                offset = cluster.append(batch.rows, SKEW.get())
            if done.done():
                continue
            if self._refused or chance > 0.98:
                done.set_exception(KafkaConnectionError("it is not known what Kafka has"))
            else:
                done.set_result(Appended(offset))


class Reader:
    """Reads the changelog in pieces, between which it may be compacted."""

    def __init__(self, client: Mapping[str, Any], _: object) -> None:
        self._cluster: Cluster = client["cluster"]

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def end(self) -> int:
        """The end of the log, or what a replaced leader believes to be it."""
        await self._cluster.turn()
        late = self._cluster.draw.randint(1, 5) if self._cluster.draw.random() < 0.1 else 0
        return max(0, self._cluster.end - late)

    async def read(self, start: int, end: int) -> AsyncIterator[list[ConsumerRecord[Any, Any]]]:
        cluster = self._cluster
        while True:
            await cluster.turn()
            first = cluster.since(start)
            last = min(cluster.since(end), first + cluster.draw.randint(1, 8))
            if first >= last:
                return
            piece = cluster.records[first:last]
            yield piece
            start = piece[-1].offset + 1
