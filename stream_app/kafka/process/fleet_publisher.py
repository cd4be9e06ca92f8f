"""Sends what the open partitions publish of their pipelines, a little at a time, beside their batches."""

from __future__ import annotations

import asyncio
import logging

from aiokafka.errors import KafkaError

from stream_app.kafka.clients.producer import Send
from stream_app.kafka.clients.retry import Problem
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.processing.partition import Partition

log = logging.getLogger(__name__)

#: Seconds between two looks at the partitions.
_CHECK_SECONDS = 0.5


class FleetPublisher:
    """Publishes the pipelines of the open partitions.

    Parameters
    ----------
    assignment
        The open partitions.
    send
        Sends messages; it raises KafkaError.
    """

    def __init__(self, assignment: Assignment[Partition], send: Send) -> None:
        self._assignment = assignment
        self._send = send
        self._problem = Problem(log)

    async def run(self) -> None:
        """Publishes until cancelled. Where Kafka refuses records, events go on, and they are sent again later."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            for number in list(self._assignment.partitions):
                await self._publish(number)

    async def _publish(self, number: int) -> None:
        """Publishes one partition, as long as it is open."""
        while (partition := self._assignment.partitions.get(number)) is not None:
            publication = partition.publication
            messages = publication.collect(partition.origin)
            try:
                await self._send(messages)
            except KafkaError as error:
                publication.lose(messages)
                self._problem.report(f"figures of the fleet cannot be published: {error!r}")
                return
            if messages:
                self._problem.report("")
            if not publication.is_unfinished:
                return
            await asyncio.sleep(0)  # batches go on in between
