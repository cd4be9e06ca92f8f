"""Reads all partitions of a topic from their beginnings, for ever, and knows when it has read what is there now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.records import Record


class WholeTopic:
    """Reads a topic of any number of partitions.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    take
        Given the records of a partition in order, some at a time.
    """

    def __init__(self, connection: Connection, topic: str, take: Callable[[Sequence[Record]], None]) -> None:
        self._connection = connection
        self._topic = topic
        self._take = take
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._moved = asyncio.Condition()

    async def run(self) -> NoReturn:
        """Reads until cancelled.

        Raises
        ------
        KafkaError
            Kafka cannot be reached at the start, or refuses it.
        """
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._connection.client(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._positions = {}
        try:
            await consumer.start()
            self._consumer = consumer
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    self._take(records)
                # Offsets have holes, where records were compacted.
                positions = {at: int(await consumer.position(at)) for at in consumer.assignment()}
                async with self._moved:
                    self._positions = positions
                    self._moved.notify_all()
        finally:
            self._consumer = None
            await consumer.stop()

    async def read_to_end(self) -> None:
        """Returns when everything was taken that is in the topic now; while it is not read, never."""
        while self._consumer is None:
            await asyncio.sleep(0.05)
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        async with self._moved:
            await self._moved.wait_for(lambda: all(self._positions.get(at, -1) >= end for at, end in ends.items()))
