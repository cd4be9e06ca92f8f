"""Between HTTP and Kafka: messages go to a source topic, and what the workers say is followed.

It belongs to no consumer group: whoever asks any number of relays hears the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stream_app.errors import StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import give_up, make_producer, passes
from stream_app.kafka.clients.topics import Names

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach Kafka.
_AGAIN = 2.0
#: Seconds between two times that the brokers of the source topic are asked whether they are there, and for an answer.
_ASK = 5.0
#: Milliseconds that Kafka has for a request.
_REQUEST_MS = 20_000


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
        #: What Kafka refused, if the producer may be of no more use.
        self._refusal: KafkaError | None = None
        #: Why requests cannot be served now; "" when they can.
        self.trouble = "Kafka is not reached yet"

    async def run(self) -> None:
        """Keeps the connection up and follows the verdicts, until cancelled."""
        while True:
            try:
                await self._connected()
            except (KafkaError, OSError, StreamAppError) as error:
                self._note(f"cannot reach Kafka at {self._connection.bootstrap_servers}: {error}")
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
            if not passes(error):
                self._refusal = error
            raise RelayUnavailableError(f"Kafka does not take it: {type(error).__name__}") from error

    async def _connected(self) -> None:
        producer = make_producer(self._connection, linger_ms=5, request_timeout_ms=_REQUEST_MS)
        consumer = AIOKafkaConsumer(
            self._verdicts,
            **self._connection.client(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await producer.start()
            await consumer.start()
            self._refusal = None
            self._producer = producer
            await self._follow(producer, consumer)
        finally:
            self._producer = None
            await consumer.stop()
            await give_up(producer)

    async def _follow(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        """Tells verdicts, and whether Kafka is there, until the producer is of no more use: raises KafkaError."""
        ends = await consumer.end_offsets(consumer.assignment())
        asked, away = -math.inf, ""
        while True:
            if self._refusal is not None:
                raise self._refusal
            if time.monotonic() - asked >= _ASK:
                away = await self._away(producer, consumer)
                asked = time.monotonic()
            if ends:
                behind = [each for each, end in ends.items() if await consumer.position(each) < end]
                ends = {each: ends[each] for each in behind}
            self._note(away)
            if ends and not away:
                self.trouble = "the verdicts said so far are not read yet"
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    self._tell(record.value)

    async def _away(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> str:
        """Why events cannot be sent now; "" when the leaders of all partitions that they go to answer."""
        try:
            async with asyncio.timeout(_ASK):
                numbers = await producer.partitions_for(self._topic)
                await consumer.end_offsets([TopicPartition(self._topic, number) for number in numbers])
        except (KafkaError, TimeoutError) as error:
            why = str(error) or "no answer"
            return f"cannot reach {self._topic} at {self._connection.bootstrap_servers}: {why}"
        return ""

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.error("%s; trying again", trouble)
        self.trouble = trouble

    def _tell(self, value: bytes | None) -> None:
        try:
            words = orjson.loads(value or b"")
            self._heard(words)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("a record of %s is no verdict", self._verdicts)
