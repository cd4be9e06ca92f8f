"""Ticks: records that a worker writes into its partitions so that time passes where no events come.

A tick says nothing but its own log time. It goes through the log like an event, so state stays a function of the
log. It is written only where the worker has caught up: a partition with a backlog has time in it.
"""

from __future__ import annotations

import asyncio
import logging
import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app.kafka.clients.producer import passes
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.processing.partitioner import TICK

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


class Ticking:
    """Writes a tick into each open partition that is caught up, every `seconds`."""

    def __init__(self, assignment: Assignment, topic: str, producer: AIOKafkaProducer, seconds: float) -> None:
        self._assignment = assignment
        self._topic = topic
        self._producer = producer
        self._seconds = seconds
        self._due: dict[int, float] = {}

    async def run(self) -> None:
        """Write ticks until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._assignment.complete:
                for number in list(self._assignment.partitions):
                    await self._tick(number)

    async def _tick(self, number: int) -> None:
        now = time.monotonic()
        due = self._due.setdefault(number, now + self._seconds)
        if now >= due and self._assignment.lag(number) == 0:
            self._due[number] = now + self._seconds
            try:
                sent = await self._producer.send(self._topic, b"tick", partition=number, headers=[(TICK, b"")])
                await sent
            except KafkaError as error:
                if not passes(error):
                    raise
                log.warning("no tick for partition %d: %r", number, error)
