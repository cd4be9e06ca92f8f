"""The batched transport: Faust receives one message for each batch fetched from a partition.

Stock Faust spends about 90 us of CPU on a record, whatever an agent does with it. Here a message's value is a
`Batch`, so that cost is paid once for thousands of records. This module also keeps four rules:

- An offset counts as done only when its batch was marked `done` before it was acknowledged. Faust also
  acknowledges what it skips after a rebalance; that must never move the committed offset.
- Offsets have holes (compaction, transactions). A batch is done up to its last record, and when nothing is in
  flight a partition is done up to the fetch position, which has passed every hole.
- Partition state has its own position, which overrides the committed offset.
- No batch is delivered between the beginning of a rebalance and its end.

Every private name of Faust that is used is in this module; `tests/kafka/engine/test_contract.py` checks them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import faust
from aiokafka.errors import IllegalStateError, UnknownTopicOrPartitionError
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message
from mode.utils.futures import notify

from stream_app.kafka.records import Batch, split

#: The version of Faust whose private names have been checked.
FAUST_VERSION = "0.15.3"
#: Seconds to wait for the position of an idle partition.
POSITION_SECONDS = 1.0

Positions = Callable[[], Mapping[TP, int]]


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which Faust talks to Kafka.

    Faust crashes when an offset cannot be committed, also where that is because the topic was deleted a moment ago.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        commit = consumer.commit

        async def commit_what_exists(offsets: Mapping[Any, Any]) -> None:
            with contextlib.suppress(UnknownTopicOrPartitionError):  # Kafka has committed the other offsets
                await commit(offsets)

        consumer.commit = commit_what_exists
        return consumer


class BatchConsumer(driver.Consumer):
    """A consumer of batches. Batches of a partition must be acknowledged in order."""

    transport: BatchTransport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: End of the last batch delivered, and of the last one acknowledged as done, by topic partition.
        self._handed: dict[TP, int] = {}
        self._finished: dict[TP, int] = {}
        #: The offset up to which everything is done, holes included.
        self._reached: dict[TP, int] = {}
        #: Partitions in which a batch was acknowledged without being done: none after it counts.
        self._stuck: set[TP] = set()
        #: The next offset to be fetched, as far as it is known, by topic partition.
        self._expected: dict[TP, int] = {}
        #: Rebalances that had begun when partitions were assigned last.
        self._begun = 0
        #: Topics that were made anew: committed offsets of theirs are those of the topics before.
        self._renewed: set[str] = set()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Checks nothing: Faust would log an error a partition after each rebalance. The watchdog finds what hangs."""

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._begun = self.app.rebalancing_count
        await super().on_partitions_assigned(assigned, generation_id)

    async def begin_again(self, topic: str) -> None:
        """Reads a topic from its beginning after a rebalance, which is begun here.

        The rebalance finishes batches in progress, and lets partitions be assigned that the group has lost sight of.

        Parameters
        ----------
        topic
            Its name.
        """
        self._renewed.add(topic)
        await self._thread.call_thread(self._rejoin)

    async def _rejoin(self) -> None:
        consumer = self._thread._ensure_consumer()
        await consumer._client.force_metadata_update()
        consumer._coordinator.request_rejoin()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        fetched = await super()._getmany(active_partitions, timeout)
        if not fetched:
            await self._pass_holes(active_partitions or set())
            return {}
        for tp, records in fetched.items():
            if records:
                await self._find_lost(tp, records[0].offset)
                self._expected[tp] = records[-1].offset + 1
        return {tp: split(records) for tp, records in fetched.items() if records}

    async def _pass_holes(self, partitions: set[TP]) -> None:
        """After an empty fetch, offsets between the last record and the fetch position are holes, so they are done."""
        for tp in sorted(partitions):
            if self._handed.get(tp) != self._finished.get(tp):
                continue
            try:
                position = await asyncio.wait_for(self.position(tp), POSITION_SECONDS)
            except (IllegalStateError, TimeoutError):
                continue  # a rebalance or a broker that does not answer: the next idle fetch tries again
            if position is not None:
                await self._find_lost(tp, position)
                self._expected[tp] = max(position, self._expected.get(tp, 0))
            if position is not None and self._handed.get(tp) == self._finished.get(tp):
                self._acked[tp] = [position - 1]
                self._reached[tp] = position

    async def _find_lost(self, tp: TP, offset: int) -> None:
        """Reports records that were gone before they were read: those before the beginning of the log."""
        expected = self._expected.get(tp)
        if expected is None or offset <= expected:
            return
        begins = (await self.earliest_offsets(tp)).get(tp, 0)
        if min(begins, offset) > expected:
            self.transport.report_lost(tp.topic, tp.partition, expected, min(begins, offset))

    def lag(self, tp: TP) -> int | None:
        """Offsets of an assigned partition that are not done; None while that is not known."""
        highwater, reached = self.highwater(tp), self._reached.get(tp)
        return None if highwater is None or reached is None else max(0, highwater - reached)

    def fetched(self, tp: TP) -> float | None:
        """When a broker answered a fetch of an assigned partition last, in s since 1970; None before the first."""
        milliseconds = self._thread._ensure_consumer().last_poll_timestamp(tp)
        return None if milliseconds is None else milliseconds / 1000

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        first = record.records[0]
        self._handed[tp] = record.end
        return ConsumerMessage(
            first.topic,
            first.partition,
            first.offset,
            first.timestamp / 1000,
            first.timestamp_type,
            [],
            None,
            cast(Any, record),
            None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Holes need no bookkeeping: a batch is done up to its end."""

    def ack(self, message: Message) -> bool:
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if message.generation_id == self.app.consumer_generation_id:
            self._count(message.tp, cast(Batch, message.value))
        notify(self._waiting_for_ack)
        return True

    def _count(self, tp: TP, batch: Batch) -> None:
        if not batch.done:
            self._stuck.add(tp)
        elif tp not in self._stuck:
            self._finished[tp] = self._reached[tp] = batch.end
            self._acked[tp] = [batch.end - 1]

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked.pop(tp, None)
        return acked[-1] + 1 if acked else None

    async def perform_seek(self) -> None:
        await super().perform_seek()
        self._handed.clear()
        self._finished.clear()
        self._reached.clear()
        self._stuck.clear()
        assigned = self.assignment()
        positions = {tp: offset for tp, offset in self.transport.positions().items() if tp in assigned}
        self._expected = {tp: offset for tp, offset in self._read_offset.items() if offset is not None} | positions
        if positions:
            await self.seek_wait(positions)
            # Offsets before these are done. Without this the lag of a quiet partition would not be known, and it would
            # get no ticks, for as long as others are busy.
            self._reached.update(positions)
        await self._seek_beginnings({tp for tp in assigned - positions.keys() if not self._read_offset.get(tp)})
        await self._seek_renewed(assigned)
        if self.app.rebalancing_count != self._begun:
            # Partitions were restored, and Faust would now continue to read. But the next rebalance has begun: it has
            # waited for batches in progress, and is going to close partitions. Faust begins again when it is over.
            raise RebalanceAgain("another rebalance has begun")

    async def _seek_beginnings(self, partitions: set[TP]) -> None:
        """Goes to the beginning of partitions of which nothing is committed.

        Faust leaves them where they are. That is behind records that were fetched while a rebalance was under way and
        not delivered: they would never be read.
        """
        if partitions:
            await self.seek_wait(await self.earliest_offsets(*partitions))

    async def _seek_renewed(self, assigned: set[TP]) -> None:
        """Goes to the beginning of topics that were made anew, and commits that, so that a restart does the same."""
        beginnings = {tp: 0 for tp in assigned if tp.topic in self._renewed}
        if not beginnings:
            return
        await self.seek_wait(beginnings)
        for tp in beginnings:
            self._committed_offset.pop(tp, None)
        if await self._commit(beginnings):
            self._renewed.clear()


#: Topic, partition, first offset, end.
ReportLost = Callable[[str, int, int, int], None]


class BatchTransport(driver.Transport):
    """The transport of an app; to be set before it starts: `app.transport = BatchTransport(app, positions, lost)`.

    Parameters
    ----------
    app
        The Faust app.
    positions
        Returns the next offset to read of each partition whose state is kept elsewhere.
    report_lost
        Given topic, partition, and the first and the end of the offsets that were gone before they were read.
    """

    Consumer = BatchConsumer

    def __init__(self, app: faust.App, positions: Positions, report_lost: ReportLost) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.positions, self.report_lost = positions, report_lost


class StickyAssignor(PartitionAssignor):
    """Faust's own assignor, which moves few partitions, without standbys.

    Faust uses it for an app without tables only when standbys are configured (`table_standby_replicas=1`).
    """

    def __init__(self, app: faust.App, replicas: int = 0) -> None:  # noqa: ARG002
        super().__init__(app, replicas=0)


class BatchSchema(faust.Schema[None, Batch]):
    """Passes a `Batch` through undecoded."""

    def loads_key(self, app: object, message: Message, **_: Any) -> None:  # noqa: ARG002
        return None

    def loads_value(self, app: object, message: Message, **_: Any) -> Batch:  # noqa: ARG002
        return cast(Batch, message.value)
