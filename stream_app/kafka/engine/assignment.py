"""The partitions with state that this process has, and taking them over after a rebalance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from stream_app.kafka.clients.retry import Problem, always, is_transient, retry
from stream_app.kafka.engine.transport import BatchConsumer
from stream_app.kafka.records import Batch
from stream_app.kafka.state.changelog import ForeignAppendError
from stream_app.kafka.state.local_store import DamagedCopyError
from stream_app.kafka.state.table import PartitionTable

log = logging.getLogger(__name__)

#: How often one batch may find that another process has written to the changelog.
_RETAKES = 5


class OpenPartition(Protocol):
    """What a partition with state must be able to do."""

    table: PartitionTable
    #: Whether its state must be restored before the next batch.
    needs_restore: bool

    async def open(self) -> None:
        """Restores the state and takes the partition over."""

    async def apply(self, batch: Batch, owned: Callable[[], bool]) -> None:
        """Applies a batch and marks it done."""

    def close(self) -> None:
        """Ends what it does, and closes its local copy."""


P = TypeVar("P", bound=OpenPartition)


class Assignment(Generic[P]):
    """The open partitions of this process.

    Parameters
    ----------
    app
        The Faust app, which assigns partitions.
    topic
        The topic whose partitions have state.
    make
        Makes the partition of a number, not yet open.
    """

    def __init__(self, app: faust.App, topic: str, make: Callable[[int], P]) -> None:
        self._app = app
        self._topic = topic
        self._make = make
        self.partitions: dict[int, P] = {}
        self._heartbeat_seconds: float = app.conf.broker_heartbeat_interval
        #: The partition that is being restored.
        self.opening: P | None = None
        #: Whether what Faust assigned last is open.
        self.complete = False
        #: Rebalances whose partitions were taken over.
        self.rebalances = 0

    async def take(self) -> None:
        """Closes partitions that were revoked and opens those that were assigned; Faust fetches only after this.

        A partition that was kept is restored if a commit or send failed, or if another process has written to its
        changelog meanwhile.

        Raises
        ------
        ForeignAppendError
            Another process keeps writing to the changelog.
        """
        self.complete = False
        generation = self._app.consumer_generation_id
        assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topic}
        for number in sorted(self.partitions.keys() - assigned):
            self._close(number)

        def current() -> bool:
            return bool(self._app.consumer_generation_id == generation)

        for number in sorted(assigned):
            if await self._keep_or_open(number, current) is None:
                return  # another rebalance has begun; it will call again
        self.complete = True
        self.rebalances += 1
        log.info("partitions %s of %s are open", sorted(self.partitions), self._topic)

    async def _keep_or_open(self, number: int, wanted: Callable[[], bool] = always) -> P | None:
        """The open partition, however long Kafka is away; None when it is no longer wanted."""
        attempt = partial(self._try_to_open, number)
        return await retry(attempt, Problem(log).report, f"partition {number} cannot be restored", wanted=wanted)

    async def _try_to_open(self, number: int) -> P:
        if number in self.partitions:
            kept = self.partitions[number]
            if not kept.needs_restore and await kept.table.still_owned() and not kept.needs_restore:
                return kept
            self._close(number)
        partition = self.opening = self._make(number)
        try:
            await partition.open()
        except BaseException:
            partition.close()
            raise
        finally:
            self.opening = None
        self.partitions[number] = partition
        return partition

    def _close(self, number: int) -> None:
        self.partitions.pop(number).close()

    async def apply(self, number: int, batch: Batch, owned: Callable[[], bool]) -> None:
        """Applies a batch to an open partition.

        If another process has written to the changelog, the local copy proves to be damaged, or Kafka was away so long
        that it is not known what it has, the partition is restored and taken over again, unless it was lost by then: a
        worker that was suspended learns that within a heartbeat.

        Parameters
        ----------
        number
            The partition.
        batch
            Marked `done` when every effect of it is in Kafka.
        owned
            Whether the partition still belongs to this worker.

        Raises
        ------
        ForeignAppendError
            Another process keeps writing to the changelog.
        KafkaError
            An error that is not transient.
        """
        retakes = 0
        while True:
            partition = self.partitions.get(number)
            if partition is None and not owned():  # fetched before a rebalance that took the partition away
                return
            assert partition is not None, f"partition {number} is read and not open"
            try:
                await partition.apply(batch, owned)
                return
            except (ForeignAppendError, DamagedCopyError) as error:
                log.warning("%s; restoring partition %d", error, number)
                retakes += 1
                if retakes == _RETAKES:
                    raise
            except KafkaError as error:
                if not is_transient(error):
                    raise
                log.warning("%r; restoring partition %d", error, number)
            partition.needs_restore = True
            await asyncio.sleep(self._heartbeat_seconds * 2)
            if not owned() or self.partitions.get(number) is not partition:
                return
            self._close(number)
            await self._keep_or_open(number)

    async def begin_again(self, topic: str) -> None:
        """Reads a source topic from its beginning, because it was deleted and made anew.

        Parameters
        ----------
        topic
            Its name.
        """
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)
        await consumer.begin_again(topic)

    def positions(self) -> dict[TP, int]:
        """The next offset to read of each open partition."""
        return {TP(self._topic, number): p.table.position for number, p in self.partitions.items()}

    def lag(self, number: int) -> int | None:
        """Records of an open partition that are not applied yet; None while that is not known."""
        return self._lag(TP(self._topic, number))

    def lags(self) -> dict[tuple[str, int], int | None]:
        """The lag of every assigned partition by topic and number, those of the source topics included."""
        try:
            assigned = sorted(self._app.consumer.assignment())
        except ConsumerNotStarted:  # its thread is starting
            return {}
        return {(tp.topic, tp.partition): self._lag(tp) for tp in assigned}

    def last_fetch(self) -> float | None:
        """When a broker answered a fetch last, in seconds since 1970; None before the first answer."""
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)
        try:
            answers = [consumer.fetched(tp) for tp in consumer.assignment()]
        except (ConsumerNotStarted, IllegalStateError):
            return None
        return max((seconds for seconds in answers if seconds is not None), default=None)

    def _lag(self, tp: TP) -> int | None:
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)
        try:
            return consumer.lag(tp)
        except (IllegalStateError, AssertionError):  # a rebalance took it away, which aiokafka reports by an assertion
            return None

    def close(self) -> None:
        """Closes all partitions."""
        for number in list(self.partitions):
            self._close(number)
