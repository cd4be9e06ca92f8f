"""Between HTTP and Kafka: messages go to a source topic, and what the workers say is followed.

It belongs to no consumer group: whoever asks any number of relays hears the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app.errors import StreamAppError
from stream_app.kafka.connection import Connection
from stream_app.kafka.topics import MAX_MESSAGE_BYTES, Names

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach Kafka.
_AGAIN = 2.0


class RelayUnavailableError(StreamAppError):
    """Kafka takes nothing now; nothing is known of what was sent."""


class Relay:
    """Sends to the first source topic, and tells each verdict in the verdicts topic, the old ones first.

    Parameters
    ----------
    heard
        Told each verdict in wire form.
    """

    def __init__(self, connection: Connection, names: Names, heard: Callable[[dict[str, Any]], None]) -> None:
        self._connection = connection
        self._topic = names.sources[0] if names.sources else names.events
        self._verdicts = names.verdicts
        self._heard = heard
        self._producer: AIOKafkaProducer | None = None
        #: Why requests cannot be served now; "" when they can.
        self.trouble = "Kafka is not reached yet"

    async def run(self) -> None:
        """Keeps the connection up and follows the verdicts, until cancelled."""
        while True:
            try:
                await self._connected()
            except (KafkaError, OSError) as error:
                trouble = f"cannot reach Kafka at {self._connection.bootstrap_servers}: {error}"
                if trouble != self.trouble:
                    log.error("%s; trying again every %g s", trouble, _AGAIN)
                self.trouble = trouble
            await asyncio.sleep(_AGAIN)

    async def send(self, messages: Sequence[tuple[bytes, str | None]]) -> None:
        """Sends messages, each with its pipeline as key; returns when all in-sync copies have them.

        Raises
        ------
        RelayUnavailableError
            They are not, as far as is known: some may be.
        """
        if self._producer is None:
            raise RelayUnavailableError(self.trouble)
        try:
            futures = [
                await self._producer.send(self._topic, body, key=pipeline.encode() if pipeline is not None else None)
                for body, pipeline in messages
            ]
            await asyncio.gather(*futures)
        except KafkaError as error:
            raise RelayUnavailableError(f"Kafka does not take it: {type(error).__name__}") from error

    async def _connected(self) -> None:
        settings = self._connection.client()
        producer = AIOKafkaProducer(
            **settings,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=5,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=20_000,
        )
        consumer = AIOKafkaConsumer(
            self._verdicts, **settings, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await producer.start()
            await consumer.start()
            self._producer = producer
            await self._follow(consumer)
        finally:
            self._producer = None
            await consumer.stop()
            await producer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(consumer.assignment())
        while True:
            if ends:
                behind = [each for each, end in ends.items() if await consumer.position(each) < end]
                ends = {each: ends[each] for each in behind}
            self.trouble = "the verdicts said so far are not read yet" if ends else ""
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    self._tell(record.value)

    def _tell(self, value: bytes | None) -> None:
        try:
            words = orjson.loads(value or b"")
            self._heard(words)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("a record of %s is no verdict", self._verdicts)
