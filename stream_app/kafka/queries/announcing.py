"""A worker tells in the directory which partitions it has opened. Nothing else of the worker waits for that."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaProducer

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import READABLE, give_up, make_producer
from stream_app.kafka.clients.retry import Problem
from stream_app.kafka.queries.directory import Place, write_entry

log = logging.getLogger(__name__)

#: Seconds between two looks at the partitions, and after which an entry is written again, in case that of an earlier
#: owner came after it.
_CHECK_SECONDS, _AGAIN_SECONDS = 0.2, 10.0
#: Seconds between two attempts to reach Kafka, that writing an entry may take, and withdrawing.
_RETRY_SECONDS, _SEND_SECONDS, _WITHDRAW_SECONDS = 5.0, 10.0, 2.0


class Announcer:
    """Writes the entries of a worker.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The directory.
    opened
        Returns the open partitions by number; one that is opened again is another object.
    place
        Where the worker answers questions.
    partitions
        Partitions of all workers.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        opened: Callable[[], Mapping[int, object]],
        place: Place,
        partitions: int,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._opened = opened
        self._place = place
        self._partitions = partitions
        self._problem = Problem(log)
        self._producer: AIOKafkaProducer | None = None
        #: What was announced: the partition, when it was opened (ms since 1970 UTC), and when it is written again.
        self._announced: dict[int, tuple[object, int, float]] = {}
        self._withdrawn = False

    async def run(self) -> None:
        """Announces partitions until cancelled, whatever fails."""
        while True:
            try:
                await self._announce()
            except Exception as error:  # whatever it is, the worker goes on
                self._problem.report(
                    f"{self._topic} cannot be written ({error!r}): questions about graphlets may not find this worker"
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def _announce(self) -> None:
        producer = make_producer(self._connection, READABLE)
        try:
            await producer.start()
            self._producer = producer
            while True:
                await self._write(producer)
                self._problem.report("")
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            self._producer = None
            await give_up(producer)

    async def _write(self, producer: AIOKafkaProducer) -> None:
        opened = self._opened()
        for number in [each for each in self._announced if each not in opened]:
            del self._announced[number]
        for number, partition in opened.items():
            known, opened_ms, again = self._announced.get(number, (None, 0, 0.0))
            if self._withdrawn or (known is partition and time.monotonic() < again):
                continue
            if known is not partition:
                opened_ms = time.time_ns() // 1_000_000
            value = write_entry(self._place, opened_ms, self._partitions)
            async with asyncio.timeout(_SEND_SECONDS):
                await producer.send_and_wait(self._topic, value, b"%d" % number, partition=0)
            self._announced[number] = partition, opened_ms, time.monotonic() + _AGAIN_SECONDS

    async def withdraw(self) -> None:
        """Takes all entries back, as far as that is quickly done: call it before others can open the partitions."""
        self._withdrawn = True
        producer = self._producer
        if producer is None:
            return
        try:
            async with asyncio.timeout(_WITHDRAW_SECONDS):
                for number in sorted(self._announced):
                    await producer.send_and_wait(self._topic, None, b"%d" % number, partition=0)
        except Exception as error:  # whatever it is, whoever asks finds out
            log.info("%s: entries are not taken back: %r", self._topic, error)
