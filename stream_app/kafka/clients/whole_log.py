"""Reads a topic of one partition from an offset on, for ever: every notifier has all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class WholeLog:
    """Reads a topic of one partition.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    take
        Given the records in order, some at a time, and the offset after them. An offset before that of the last call
        means that Kafka has lost the end of the log: nothing from there on counts any more.
    start
        The first offset to read.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        take: Callable[[Sequence[Record], int], Awaitable[None]],
        start: int = 0,
    ) -> None:
        self._at = TopicPartition(topic, 0)
        self._take = take
        self._consumer = AIOKafkaConsumer(**connection.client(), enable_auto_commit=False, auto_offset_reset="none")
        self._started = asyncio.Event()
        self._problem = Problem(log)
        #: The offset after the last record that was taken.
        self.position = start
        #: Whether everything was taken that was in the log at the start.
        self.caught_up = False
        self._waits: list[tuple[int, asyncio.Future[None]]] = []

    async def run(self) -> None:
        """Reads until cancelled, however long Kafka is away in between.

        Raises
        ------
        KafkaError
            An error that is not transient.
        """
        try:
            await self._ask(self._consumer.start)
            self._consumer.assign([self._at])
            self._consumer.seek(self._at, self.position)
            self._started.set()
            end = await self._ask(self._end)
            while True:
                self.caught_up = self.caught_up or self.position >= end
                await self._read()
        finally:
            await self._consumer.stop()

    async def reached(self, position: int) -> None:
        """Returns when everything before an offset was taken."""
        if self.position < position:
            wait = asyncio.get_running_loop().create_future()
            self._waits.append((position, wait))
            await wait

    async def read_to_end(self) -> None:
        """Returns when everything was taken that is in the log now."""
        await self._started.wait()
        await self.reached(await self._ask(self._end))

    async def _ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """An answer of Kafka, however long it is away."""
        return await retry(  # type: ignore[return-value]  # it is always wanted
            ask, self._problem.report, f"{self._at.topic} cannot be read"
        )

    async def _begin(self) -> int:
        return int((await self._consumer.beginning_offsets([self._at]))[self._at])

    async def _end(self) -> int:
        return int((await self._consumer.end_offsets([self._at]))[self._at])

    async def _read(self) -> None:
        try:
            fetched = await self._ask(lambda: self._consumer.getmany(self._at, timeout_ms=1_000))
        except OffsetOutOfRangeError:
            await self._move()
            return
        records = fetched.get(self._at, [])
        # Offsets have holes, where records were compacted.
        position = int(await self._ask(lambda: self._consumer.position(self._at)))
        if position > self.position:
            await self._take(records, position)
            self.position = position
            self._wake()

    async def _move(self) -> None:
        """Goes on where the log begins or ends by now."""
        begin, end, topic = await self._ask(self._begin), await self._ask(self._end), self._at.topic
        if self.position < begin:
            log.warning("offsets %d to %d of %s were gone before they were read", self.position, begin - 1, topic)
            self._consumer.seek(self._at, begin)
        elif self.position > end:
            log.error("%s ends at offset %d and was read up to %d: Kafka has lost its end", topic, end, self.position)
            await self._take((), end)
            self.position = end
            self._consumer.seek(self._at, end)

    def _wake(self) -> None:
        waiting = self._waits
        self._waits = [each for each in waiting if each[0] > self.position]
        for position, wait in waiting:
            if position <= self.position and not wait.done():
                wait.set_result(None)
