"""The changelog of one partition's rows: how it is written, and how it is read again.

The rows that one batch of input changed are a *group*. A group is sent to Kafka as one record batch, which
Kafka stores whole or not at all; only a group too large for that is sent as several. Every row has the *rank*
of its group: the epoch of its writer and the input position after the group. The last row of a group is
POSITION. A worker begins with a *fence*, a row of a new epoch without state, and reads up to it: nothing that a
former owner writes after the fence counts. Reading follows three rules:

- A row of a lower rank than one before it was written by a *zombie*, a worker that lost the partition and did
  not know. It is ignored, and since compaction would keep it instead of the row that it overwrote, the valid
  row is written again.
- Rows count once a POSITION follows them. Rows after the last POSITION are part of a group whose writer died or was
  fenced off; the next owner writes the valid rows of their keys again, before its own POSITION.
- Of two fences of one epoch the first counts; the writer of the other one needs a higher epoch.

Compaction keeps the last POSITION, whether it counts or not. Where records are missing before one that does not count,
a POSITION that counts may be among them.

Fences of 256 epochs in a row have different keys. If compaction removed a fence because a later one follows, whose
writer died before it wrote anything else, what a zombie wrote between the two would count.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.errors import StateError
from stream_app.kafka.state.local_store import Row

log = logging.getLogger(__name__)

#: Keys of the table's own rows; rows of the detector begin with another byte.
POSITION = b"\x00position"
#: The last byte of the epoch follows.
FENCE = b"\x00fence"
OUTBOX = b"\x00outbox"

_HEADER = "rank"
_RANK = struct.Struct(">IQ")


ChangelogRecord: TypeAlias = ConsumerRecord[bytes, bytes | None]


class Rank(NamedTuple):
    """The order of groups."""

    #: Increases each time a partition is taken over.
    epoch: int
    #: The input offset after the group.
    position: int


class ForeignAppendError(Exception):
    """Another process has written to the changelog: this one does not own the partition, or not alone."""


class Fold:
    """The rows that result from a changelog.

    Parameters
    ----------
    rows
        The rows that result from the log before the first record given to `add`.
    rank
        The highest rank before that record.
    offset
        Where that record would be if compaction had removed none.
    """

    def __init__(self, rows: dict[bytes, bytes], rank: Rank, offset: int = 0) -> None:
        self.rows = rows
        #: The highest rank so far, and what the fence says with which its epoch began.
        self.rank = rank
        self.fence: bytes | None = None
        #: Keys whose last record in the log is not their valid row.
        self.overwritten: set[bytes] = set()
        #: Keys of all records given to `add`.
        self.touched: set[bytes] = set()
        #: Whether a commit has begun: taking over an empty log writes POSITION alone.
        self.committed = False
        #: Rows that no POSITION follows yet.
        self.pending: dict[bytes, bytes | None] = {}
        #: Records that no worker wrote.
        self.foreign = 0
        #: Whether a later POSITION that counts may have been removed: `rows` may be those of an earlier commit.
        self.uncertain = False
        self._offset = offset
        #: Whether records are missing since the last POSITION that counts.
        self._gap = False

    def add(self, record: ChangelogRecord) -> None:
        """Applies the next record of the log; one that no worker wrote is ignored."""
        key, value = record.key, record.value
        assert key is not None
        self._gap |= record.offset > self._offset
        self._offset = record.offset + 1
        try:
            rank = rank_of(record)
        except StateError as error:
            self._ignore(key, str(error))
            return
        if key.startswith(FENCE):
            if rank > self.rank:
                self.rank, self.fence = rank, value
            return
        self.touched.add(key)
        self.committed |= key != POSITION
        if rank < self.rank:
            self._overwrite(key)
            return
        self.rank = rank
        self.overwritten.discard(key)
        self.pending[key] = value
        if key == POSITION:
            self._apply()

    def _ignore(self, key: bytes, why: str) -> None:
        if not self.foreign:
            log.warning("%s; it is ignored, and others like it: nobody but workers may write to this topic", why)
        self.foreign += 1
        if not key.startswith(FENCE):  # compaction would keep this record instead of a row
            self.touched.add(key)
            self._overwrite(key)

    def _overwrite(self, key: bytes) -> None:
        self.overwritten.add(key)
        self.uncertain |= self._gap and key == POSITION

    def to_write_again(self) -> set[bytes]:
        """The keys of the rows that the next owner writes, so that the log alone gives the valid rows."""
        return (self.overwritten | self.pending.keys()) - {POSITION}

    def _apply(self) -> None:
        for key, value in self.pending.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.pending.clear()
        self._gap = self.uncertain = False


def rank_headers(rank: Rank) -> list[tuple[str, bytes]]:
    """The record headers that hold the rank of a row."""
    return [(_HEADER, _RANK.pack(*rank))]


def rank_of(record: ChangelogRecord) -> Rank:
    """The rank of a row.

    Raises
    ------
    StateError
        The record has no rank: it was not written by a worker.
    """
    for name, content in record.headers:
        if name == _HEADER and len(content or b"") == _RANK.size:
            return Rank(*_RANK.unpack(content))
    raise StateError(f"{record.topic}[{record.partition}] at offset {record.offset}: not a row of a changelog")


async def append(
    producer: AIOKafkaProducer, at: TopicPartition, next_offset: int, rank: Rank, rows: Iterable[Row]
) -> int:
    """Appends a group and waits until Kafka has it.

    Parameters
    ----------
    producer
        An idempotent, started producer.
    at
        The partition of the changelog.
    next_offset
        The end of the log as the caller knows it.
    rank
        The rank of the group.
    rows
        The rows of the group; the last one is POSITION.

    Returns
    -------
    int
        The offset after the group.

    Raises
    ------
    ForeignAppendError
        The group was not appended at `next_offset`.
    """
    headers = rank_headers(rank)
    batch, sent = producer.create_batch(), []
    for key, value in rows:
        if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
            sent.append((batch, await producer.send_batch(batch, at.topic, partition=at.partition)))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=headers)
    sent.append((batch, await producer.send_batch(batch, at.topic, partition=at.partition)))
    for part, future in sent:
        appended = await future
        if appended.offset != next_offset:
            raise ForeignAppendError(f"{at.topic}[{at.partition}]: appended at {appended.offset}, not at {next_offset}")
        next_offset += part.record_count()
    return next_offset


def fence_key(epoch: int) -> bytes:
    """The key of the fence of an epoch."""
    return FENCE + bytes([epoch % 256])


async def append_fence(producer: AIOKafkaProducer, at: TopicPartition, epoch: int, word: bytes) -> int:
    """Appends the fence of a new epoch, wherever the log ends now.

    Parameters
    ----------
    producer
        An idempotent, started producer.
    at
        The partition of the changelog.
    epoch
        The epoch.
    word
        What no other fence says, by which its writer knows it.

    Returns
    -------
    int
        The offset after the fence.
    """
    batch = producer.create_batch()
    batch.append(key=fence_key(epoch), value=word, timestamp=None, headers=rank_headers(Rank(epoch, 0)))
    appended = await (await producer.send_batch(batch, at.topic, partition=at.partition))
    return int(appended.offset) + 1


class LogReader:
    """Reads one partition: `async with LogReader(client, at) as log: ...`.

    Parameters
    ----------
    client
        Settings of an aiokafka client.
    at
        The partition.
    """

    def __init__(self, client: Mapping[str, Any], at: TopicPartition) -> None:
        self._client = client
        self._at = at

    async def __aenter__(self) -> LogReader:
        self._consumer = AIOKafkaConsumer(**self._client, enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        self._consumer.assign([self._at])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def begin(self) -> int:
        """The offset of the first record that was not deleted."""
        begins = await self._consumer.beginning_offsets([self._at])
        return int(begins[self._at])

    async def end(self) -> int:
        """The offset of the next record to be appended."""
        ends = await self._consumer.end_offsets([self._at])
        return int(ends[self._at])

    async def read(self, start: int, end: int) -> AsyncIterator[list[ChangelogRecord]]:
        """Yields the records from an offset to before another, in lists.

        Parameters
        ----------
        start
            The first offset; where it is no longer in the log, reading begins at the first one that is.
        end
            The offset after the last record.
        """
        self._consumer.seek(self._at, start)
        while start < end and await self._consumer.position(self._at) < end:
            fetched = await self._consumer.getmany(self._at, timeout_ms=1000)
            records = [record for record in fetched.get(self._at, []) if record.offset < end]
            if records:
                yield records
