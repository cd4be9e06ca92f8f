"""The examples log, which every worker reads from its beginning: the model is a fold over it.

It has one partition and no consumer group: each worker reads all of it, so all have the same model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream_app import wire
from stream_app.core.outputs import Example
from stream_app.errors import StateError, StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: Records learned between two turns of the event loop; a record takes about a millisecond.
_YIELD_EVERY = 20


class LostExamplesError(StreamAppError):
    """Examples were deleted from the log before they were learned."""

    def __init__(self, topic: str, first: int, end: int) -> None:
        super().__init__(
            f"offsets {first} to {end - 1} of {topic} were deleted before they were learned; "
            "the next start learns from what remains"
        )


class ExamplesLog:
    """Reads the examples topic in order.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The examples topic.
    learn
        Called with each example.
    start
        The first offset to read: that after the examples in the checkpoint, or the first that is in the log.
    """

    def __init__(self, connection: Connection, topic: str, learn: Callable[[Example], None], start: int = 0) -> None:
        self._at = TopicPartition(topic, 0)
        self._learn = learn
        # Without the records that a log has lost, another model would follow, so a missing offset is an error.
        self._consumer = AIOKafkaConsumer(**connection.client(), enable_auto_commit=False, auto_offset_reset="none")
        #: The offset after the last record learned.
        self.position = start
        #: Records that are not examples; every worker skips the same ones.
        self.skipped = 0
        #: Set when everything that was in the log at the start has been learned.
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Reads until cancelled.

        Raises
        ------
        LostExamplesError
            The examples at the current position were deleted. A worker that starts learns from what remains.
        """
        await self._consumer.start()
        try:
            self._consumer.assign([self._at])
            self._consumer.seek(self._at, self.position)
            end = (await self._consumer.end_offsets([self._at]))[self._at]
            while True:
                if self.position >= end:
                    self.caught_up.set()
                fetched = await self._consumer.getmany(self._at, timeout_ms=500)
                await self._fold(fetched.get(self._at, []))
                self.position = await self._consumer.position(self._at)
        except OffsetOutOfRangeError:
            begin = (await self._consumer.beginning_offsets([self._at]))[self._at]
            raise LostExamplesError(self._at.topic, self.position, begin) from None
        finally:
            await self._consumer.stop()

    async def _fold(self, records: list[Record]) -> None:
        for number, record in enumerate(records, 1):
            try:
                self._learn(wire.example_from_dict(orjson.loads(record.value or b"")))
            except (StateError, orjson.JSONDecodeError, TypeError, ArithmeticError) as error:
                self.skipped += 1
                log.error("%s at offset %d is not an example: %s", record.topic, record.offset, error)
            self.position = record.offset + 1
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
