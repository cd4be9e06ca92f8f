"""Ticks: records that a worker writes into its partitions so that time passes where no events arrive.

A tick carries nothing but its log time, and a signature where the group has a key. It goes through the log like an
event, so state remains a function of the log. It is written only to partitions that are caught up: time passes in a
backlog by its events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app.kafka.clients.retry import is_transient
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.processing.tick_key import NO_KEY, TickKey

log = logging.getLogger(__name__)

#: Between two looks at the partitions.
_CHECK_SECONDS = 0.5


class TickWriter:
    """Writes ticks into the open partitions that are caught up.

    Parameters
    ----------
    assignment
        The open partitions.
    topic
        The topic of these partitions.
    producer
        A started producer.
    seconds
        Between two ticks of one partition.
    key
        Signs them.
    """

    def __init__(
        self, assignment: Assignment[Any], topic: str, producer: AIOKafkaProducer, seconds: float, key: TickKey = NO_KEY
    ) -> None:
        self._assignment = assignment
        self._topic = topic
        self._producer = producer
        self._seconds = seconds
        self._key = key
        self._due: dict[int, float] = {}

    async def run(self) -> None:
        """Writes ticks until cancelled.

        Raises
        ------
        KafkaError
            An error that is not transient.
        """
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if self._assignment.complete:
                for number in list(self._assignment.partitions):
                    await self._tick(number)

    async def _tick(self, number: int) -> None:
        now = time.monotonic()
        due = self._due.setdefault(number, now + self._seconds)
        if now >= due and self._assignment.lag(number) == 0:
            self._due[number] = now + self._seconds
            try:
                header = (TICK, self._key.sign(number, round(time.time() * 1000)))
                sent = await self._producer.send(self._topic, b"tick", partition=number, headers=[header])
                await sent
            except KafkaError as error:
                if not is_transient(error):
                    raise
                log.warning("no tick for partition %d: %r", number, error)
