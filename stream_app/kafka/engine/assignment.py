"""Which partitions of the events topic this worker has, and taking them over when Faust says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from stream_app.kafka.clients.producer import passes
from stream_app.kafka.engine.transport import BatchConsumer
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.records import Batch
from stream_app.kafka.state.changelog import ForeignAppendError

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
#: How often one batch may find that somebody else wrote.
_RETAKES = 5


class Assignment:
    """The open partitions of this worker.

    Parameters: `make` makes the partition of a number, not yet open.
    """

    def __init__(self, app: faust.App, topic: str, make: Callable[[int], Partition]) -> None:
        self._app = app
        self._topic = topic
        self._make = make
        self.partitions: dict[int, Partition] = {}
        self._heartbeat_seconds: float = app.conf.broker_heartbeat_interval
        #: The partition that is being restored.
        self.opening: Partition | None = None
        #: Whether what Faust assigned last is open.
        self.complete = False
        #: Rebalances whose partitions were taken over.
        self.rebalances = 0

    async def take(self) -> None:
        """Close what is no longer ours and open what is new; Faust fetches only after this.

        What stays ours is kept as it is, unless it is doubtful or somebody else wrote to its changelog meanwhile.

        Raises ForeignAppendError when somebody else keeps writing.
        """
        self.complete = False
        generation = self._app.consumer_generation_id
        assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topic}
        for number in sorted(self.partitions.keys() - assigned):
            self._close(number)
        for number in sorted(assigned):
            if self._app.consumer_generation_id != generation:
                return  # another rebalance has begun; it will call again
            while not await self._reached(number):
                if self._app.consumer_generation_id != generation:
                    return
                await asyncio.sleep(_AGAIN_SECONDS)
        self.complete = True
        self.rebalances += 1
        log.info("partitions %s of %s are open", sorted(self.partitions), self._topic)

    async def _reached(self, number: int) -> bool:
        """Keep or open a partition; False when Kafka was away meanwhile, which is no reason to end."""
        try:
            await self._keep_or_open(number)
        except KafkaError as error:
            if not passes(error):
                raise
            log.warning("partition %d cannot be restored now: %r", number, error)
            return False
        return True

    async def _keep_or_open(self, number: int) -> None:
        if number in self.partitions:
            kept = self.partitions[number]
            if not kept.doubtful and await kept.table.still_owned() and not kept.doubtful:
                return
            self._close(number)
        partition = self.opening = self._make(number)
        try:
            await partition.open()
        except BaseException:
            partition.table.close()
            raise
        finally:
            self.opening = None
        self.partitions[number] = partition

    def _close(self, number: int) -> None:
        self.partitions.pop(number).table.close()

    async def apply(self, number: int, batch: Batch, owned: Callable[[], bool]) -> None:
        """Apply a batch to an open partition.

        When somebody else wrote to its changelog, or Kafka was away for so long that nobody knows what it has, the
        partition is restored and taken over again, unless `owned` says by then that it was lost: a worker that slept
        hears of it within a heartbeat.

        Raises ForeignAppendError when somebody else keeps writing, KafkaError for what does not pass.
        """
        retakes = 0
        while True:
            partition = self.partitions.get(number)
            if partition is None and not owned():  # handed over while a rebalance was taking it away
                return None
            assert partition is not None, f"partition {number} is read and not open"
            try:
                return await partition.apply(batch, owned)
            except ForeignAppendError as error:
                log.warning("%s; restoring partition %d", error, number)
                retakes += 1
                if retakes == _RETAKES:
                    raise
            except KafkaError as error:
                if not passes(error):
                    raise
                log.warning("%r; restoring partition %d", error, number)
            partition.doubtful = True
            await asyncio.sleep(self._heartbeat_seconds * 2)
            if not owned() or self.partitions.get(number) is not partition:
                return None
            await self._reopen(number)

    async def _reopen(self, number: int) -> None:
        self._close(number)
        while not await self._reached(number):
            await asyncio.sleep(_AGAIN_SECONDS)

    def positions(self) -> dict[TP, int]:
        """The next offset to read in each open partition."""
        return {TP(self._topic, number): p.table.position for number, p in self.partitions.items()}

    def lag(self, number: int) -> int | None:
        """Records of an open partition that are not applied yet; None while it is not known."""
        return self._lag(TP(self._topic, number))

    def lags(self) -> dict[tuple[str, int], int | None]:
        """The same for each partition that is read, those of the source topics included, by topic and number."""
        try:
            assigned = sorted(self._app.consumer.assignment())
        except ConsumerNotStarted:  # its thread is on its way
            return {}
        return {(tp.topic, tp.partition): self._lag(tp) for tp in assigned}

    def _lag(self, tp: TP) -> int | None:
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)
        try:
            return consumer.lag(tp)
        except (IllegalStateError, AssertionError):  # a rebalance took it away, which aiokafka asserts it did not
            return None

    def close(self) -> None:
        for number in list(self.partitions):
            self._close(number)
