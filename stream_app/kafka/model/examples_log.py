"""The examples log, read by every worker from its beginning: the model is a fold over it.

It has one partition and needs no group: each worker reads all of it, so all hold the same model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app import wire
from stream_app.core.outputs import Example
from stream_app.errors import StateError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: Records folded between two looks at the rest of the process; a record costs about a millisecond.
_STRIDE = 20


class ExamplesLog:
    """Reads the examples topic and gives each example to `learn`, in the order of the log.

    Parameters: `start` is the offset to begin at, 0 unless a checkpoint holds what came before.
    """

    def __init__(self, connection: Connection, topic: str, learn: Callable[[Example], None], start: int = 0) -> None:
        self._at = TopicPartition(topic, 0)
        self._learn = learn
        # A log that lost records is another log: to read on elsewhere would make another model of it.
        self._consumer = AIOKafkaConsumer(**connection.client(), enable_auto_commit=False, auto_offset_reset="none")
        #: The offset after the last record folded.
        self.position = start
        #: Records that are no example, which every worker skips alike.
        self.skipped = 0
        #: Set when everything that was in the log at the start is folded.
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled.

        Raises OffsetOutOfRangeError when the log has lost what was read, or what was to be read next.
        """
        await self._consumer.start()
        try:
            self._consumer.assign([self._at])
            if self.position:
                self._consumer.seek(self._at, self.position)
            else:
                await self._consumer.seek_to_beginning(self._at)
            end = (await self._consumer.end_offsets([self._at]))[self._at]
            while True:
                if self.position >= end:
                    self.caught_up.set()
                fetched = await self._consumer.getmany(self._at, timeout_ms=500)
                await self._fold(fetched.get(self._at, []))
                self.position = await self._consumer.position(self._at)
        finally:
            await self._consumer.stop()

    async def _fold(self, records: list[Record]) -> None:
        for number, record in enumerate(records, 1):
            try:
                self._learn(wire.example_from_dict(orjson.loads(record.value or b"")))
            except (StateError, orjson.JSONDecodeError, TypeError, ArithmeticError) as error:
                self.skipped += 1
                log.error("%s at offset %d is no example: %s", record.topic, record.offset, error)
            self.position = record.offset + 1
            if number % _STRIDE == 0:
                await asyncio.sleep(0)
