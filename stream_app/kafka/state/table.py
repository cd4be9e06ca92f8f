"""The table of one partition: all state of that partition, with one changelog and a copy on the local disk.

A commit is one group in the changelog: the rows that a batch of input changed, its outputs (the outbox) and the
input position after it. Then the local copy is written, then the caller sends the outbox, then the input counts
as read. The next owner of the partition restores the rows, sends the outbox again and skips input below the
position, so effects happen exactly once and outputs are sent at least once, each time with the same bytes.

A partition is taken over by appending the fence of a new epoch, reading up to it, and appending a group. From then
on, another process that still acts as the owner finds its next append at another offset than expected
(`ForeignAppendError`), and what it wrote is ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app.errors import StateError
from stream_app.kafka.state.changelog import (
    OUTBOX,
    POSITION,
    Fold,
    ForeignAppendError,
    LogReader,
    Rank,
    append,
    append_fence,
)
from stream_app.kafka.state.checksum import Checksum
from stream_app.kafka.state.local_store import DamagedCopyError, LocalStore, Row, StorePosition
from stream_app.kafka.state.outbox import Message, pack, unpack

log = logging.getLogger(__name__)

#: How often to read again when another process writes while a partition is taken over.
TAKEOVER_TRIES = 5


@dataclass(frozen=True)
class Topics:
    """The topics of a table; an id distinguishes a topic from one created again under the same name."""

    changelog: str
    changelog_id: str
    input_id: str


@dataclass(frozen=True)
class Restored:
    """The state that the previous owner of a partition left."""

    #: Rows of the detector.
    rows: dict[bytes, bytes]
    #: The outputs of the last batch, to be sent again.
    outbox: list[Message]


class PartitionTable:
    """All state of one partition. It is restored once; then batches are committed in order.

    Parameters
    ----------
    partition
        The number of the partition.
    topics
        The changelog and the input.
    client
        Settings of an aiokafka client, for reading.
    producer
        An idempotent, started producer.
    store
        The local copy of the rows.
    """

    def __init__(
        self,
        partition: int,
        topics: Topics,
        client: Mapping[str, Any],
        producer: AIOKafkaProducer,
        store: LocalStore,
    ) -> None:
        self.at = TopicPartition(topics.changelog, partition)
        self._topics = topics
        self._client = client
        self._producer = producer
        self._store = store
        #: The next input offset: everything before it is in the rows.
        self.position = 0
        #: Local copies that were found damaged, and deleted.
        self.damaged = 0
        #: Records of the changelog still to be read while the table is being restored.
        self.remaining = 0
        #: Rises each time that another process takes the partition over.
        self.epoch = 0
        #: What all rows but POSITION amount to.
        self._checksum = Checksum({})
        #: The end of the changelog, as far as this process has written or read it.
        self._end = 0

    async def restore(self) -> Restored:
        """Reads the rows and takes the partition over.

        Raises
        ------
        ForeignAppendError
            Another process keeps writing to the changelog.
        StateError
            The changelog does not have the rows that were committed last.
        """
        fold, self._end = self._local()
        async with LogReader(self._client, self.at) as log:
            for _ in range(TAKEOVER_TRIES):
                end = await log.end()
                self.remaining = max(0, end - self._end)
                async for records in log.read(self._end, end):
                    for record in records:
                        fold.add(record)
                    self.remaining = end - records[-1].offset - 1
                self._end = end
                self.remaining = 0
                if not await self._fenced(log, fold):
                    continue
                try:
                    return await self._take_over(fold)
                except ForeignAppendError:
                    continue
        raise ForeignAppendError(f"{self.at.topic}[{self.at.partition}]: others kept writing to it")

    def _local(self) -> tuple[Fold, int]:
        try:
            held = self._store.held()
        except DamagedCopyError as error:
            self.damaged += 1
            log.warning(
                "%s[%d]: the local copy is damaged (%s); it is deleted and read again from the changelog",
                self.at.topic,
                self.at.partition,
                error,
            )
            held = None
        if held is not None and held.position.topic_id == self._topics.changelog_id:
            at = held.position
            return Fold(held.rows, Rank(at.epoch, at.position), at.next_offset), at.next_offset
        self._store.wipe()
        return Fold({}, Rank(0, 0)), 0

    async def _fenced(self, log: LogReader, fold: Fold) -> bool:
        """Begins a new epoch and reads up to its fence; False when another process has begun the same one."""
        self.epoch, word = fold.rank.epoch + 1, uuid4().bytes
        end = await append_fence(self._producer, self.at, self.epoch, word)
        async for records in log.read(self._end, end):
            for record in records:
                fold.add(record)
        self._end = end
        return (fold.rank.epoch, fold.fence) == (self.epoch, word)

    async def _take_over(self, fold: Fold) -> Restored:
        self._checksum = Checksum({key: value for key, value in fold.rows.items() if key != POSITION})
        self._verify(fold)
        self.position = self._position(fold.rows)
        await self._append([(key, fold.rows.get(key)) for key in sorted(fold.to_write_again())])
        read_rows = [(key, fold.rows.get(key)) for key in sorted(fold.touched)]
        self._store.write([*read_rows, self._position_row()], self._store_position())
        rows = fold.rows
        rows.pop(POSITION, None)
        outbox = rows.pop(OUTBOX, b"")
        return Restored(rows, unpack(outbox))

    def _verify(self, fold: Fold) -> None:
        """Raises StateError when compaction has removed rows that count."""
        stored = fold.rows.get(POSITION)
        if stored is None:
            lost = fold.committed
        else:
            fields, found = orjson.loads(stored), self._checksum.fields()
            written = {name: fields.get(name) for name in found}
            lost = bool(fold.touched) and None not in written.values() and written != found
        if lost or fold.uncertain:
            raise StateError(
                f"{self.at.topic}[{self.at.partition}]: it does not have the rows that were committed last: Kafka "
                "removed some while nobody had the partition, or somebody deleted them. A worker whose folder has a "
                "copy of them may still start. Otherwise the state of this partition is lost: restore the topic, or "
                "replay the sources into another group (kafka.group)"
            )

    def _position(self, rows: Mapping[bytes, bytes]) -> int:
        """The next input offset; 0 when the input topic is not the one the rows were made from."""
        stored = rows.get(POSITION)
        if stored is None:
            return 0
        fields = orjson.loads(stored)
        return int(fields["offset"]) if fields["topic_id"] == self._topics.input_id else 0

    async def commit(self, rows: Sequence[Row], outbox: Sequence[Message], position: int) -> None:
        """Commits a batch: when this returns, Kafka has its rows, its outputs and its position.

        Parameters
        ----------
        rows
            The rows that the batch changed; a value of None deletes the row.
        outbox
            The outputs of the batch, to be sent afterwards.
        position
            The next input offset.

        Raises
        ------
        ForeignAppendError
            This process no longer owns the partition; the outputs must not be sent.
        """
        self.position = position
        group: list[Row] = [*rows, (OUTBOX, pack(outbox))]
        self._checksum.update(group)
        await self._append(group)
        self._store.write([*group, self._position_row()], self._store_position())

    async def _append(self, rows: Sequence[Row]) -> None:
        rank = Rank(self.epoch, self.position)
        self._end = await append(self._producer, self.at, self._end, rank, [*rows, self._position_row()])

    def _position_row(self) -> Row:
        at = {"offset": self.position, "topic_id": self._topics.input_id}
        return POSITION, orjson.dumps({**at, **self._checksum.fields()})

    def _store_position(self) -> StorePosition:
        return StorePosition(self._topics.changelog_id, self._end, self.epoch, self.position)

    def rows(self) -> dict[bytes, bytes]:
        """The rows as last committed, those of the table itself included."""
        return self._store.rows()

    def measure(self) -> tuple[int, int]:
        """About how many rows the local copy has, and its size in bytes."""
        return self._store.measure()

    async def still_owned(self) -> bool:
        """Whether no other process has written since the last commit; taking over writes."""
        async with LogReader(self._client, self.at) as log:
            return await log.end() == self._end

    def close(self) -> None:
        """Closes the local copy."""
        self._store.close()
