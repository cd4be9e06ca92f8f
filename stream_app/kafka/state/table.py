"""The table of one partition: all state of that partition, with one changelog and a copy on the local disk.

A commit is one group in the changelog: the rows a batch of input changed, the outputs it made (the outbox)
and the input position after it. Then the local copy is written, then the caller sends the outbox, then the
input counts as read. Whoever takes the partition over restores the rows, sends the outbox again and skips
input below the position, so effects happen exactly once and outputs are sent at least once, each time with
the same words.

Taking a partition over means to append a group of a new epoch. From then on, another process that still
believes to own the partition finds its next append in the wrong place (`ForeignAppendError`), and what it
wrote counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app.kafka.state.changelog import OUTBOX, POSITION, Fold, ForeignAppendError, LogReader, Rank, append
from stream_app.kafka.state.local_store import LocalStore, Mark, Row
from stream_app.kafka.state.outbox import Message, pack, unpack

#: How often to read on when somebody else writes while a partition is taken over.
TAKEOVER_TRIES = 5


@dataclass(frozen=True)
class Topics:
    """Names and ids of the two topics a table lies between; an id tells a topic from one made anew."""

    changelog: str
    changelog_id: str
    input_id: str


@dataclass(frozen=True)
class Restored:
    """What a partition was left with by its owner before."""

    #: Rows of the core.
    rows: dict[bytes, bytes]
    #: The outputs of the last batch, to be sent again.
    outbox: list[Message]


class PartitionTable:
    """All state of one partition. Restore it once, then commit batches in order.

    Parameters: `client` are aiokafka's settings for reading, `producer` one that is idempotent and started.
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
        #: Records of the changelog still to be read while the table is restored.
        self.remaining = 0
        self._epoch = 0
        #: Where the changelog ends, as far as this process has written or read it.
        self._end = 0

    async def restore(self) -> Restored:
        """Read the rows back and take the partition over.

        Raises ForeignAppendError when somebody else keeps writing.
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
                fold.finish()
                try:
                    return await self._take_over(fold)
                except ForeignAppendError:
                    continue
        raise ForeignAppendError(f"{self.at.topic}[{self.at.partition}]: others kept writing to it")

    def _local(self) -> tuple[Fold, int]:
        mark = self._store.mark()
        if mark is not None and mark.topic_id == self._topics.changelog_id:
            return Fold(self._store.rows(), Rank(mark.epoch, mark.position)), mark.next_offset
        self._store.wipe()
        return Fold({}, Rank(0, 0)), 0

    async def _take_over(self, fold: Fold) -> Restored:
        self._epoch = fold.rank.epoch + 1
        self.position = self._position(fold.rows)
        await self._append([(key, fold.rows.get(key)) for key in sorted(fold.overwritten - {POSITION})])
        read_rows = [(key, fold.rows.get(key)) for key in sorted(fold.touched)]
        self._store.write([*read_rows, self._position_row()], self._mark())
        rows = fold.rows
        rows.pop(POSITION, None)
        outbox = rows.pop(OUTBOX, b"")
        return Restored(rows, unpack(outbox))

    def _position(self, rows: Mapping[bytes, bytes]) -> int:
        """The next input offset; 0 when the input topic is not the one the rows were made from."""
        stored = rows.get(POSITION)
        if stored is None:
            return 0
        fields = orjson.loads(stored)
        return int(fields["offset"]) if fields["topic_id"] == self._topics.input_id else 0

    async def commit(self, rows: Sequence[Row], outbox: Sequence[Message], position: int) -> None:
        """Save a batch: when this returns, Kafka has its rows, its outputs and its position.

        Raises ForeignAppendError when this process no longer owns the partition; its outputs must not be
        sent.
        """
        self.position = position
        group: list[Row] = [*rows, (OUTBOX, pack(outbox))]
        await self._append(group)
        self._store.write([*group, self._position_row()], self._mark())

    async def _append(self, rows: Sequence[Row]) -> None:
        rank = Rank(self._epoch, self.position)
        self._end = await append(self._producer, self.at, self._end, rank, [*rows, self._position_row()])

    def _position_row(self) -> Row:
        return POSITION, orjson.dumps({"offset": self.position, "topic_id": self._topics.input_id})

    def _mark(self) -> Mark:
        return Mark(self._topics.changelog_id, self._end, self._epoch, self.position)

    def rows(self) -> dict[bytes, bytes]:
        """The rows as last committed, those of the shell included."""
        return self._store.rows()

    def measure(self) -> tuple[int, int]:
        """About how many rows the local copy has, and its bytes."""
        return self._store.measure()

    async def still_owned(self) -> bool:
        """Whether nobody else has written since: taking over writes, so then nobody else was the owner."""
        async with LogReader(self._client, self.at) as log:
            return await log.end() == self._end

    def close(self) -> None:
        self._store.close()
