"""The producer that a worker writes everything with, and sending so that nothing is taken for sent that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.kafka.connection import Connection
from stream_app.kafka.outbox import Message
from stream_app.kafka.topics import MAX_MESSAGE_BYTES

#: Bytes of a record batch; a group of changed rows larger than this takes several.
BATCH_BYTES = MAX_MESSAGE_BYTES // 2

Send = Callable[[Iterable[Message]], Awaitable[None]]


def make_producer(connection: Connection, **settings: Any) -> AIOKafkaProducer:
    """An idempotent producer, to be started: it tries again for as long as the broker is away, without doubles."""
    return AIOKafkaProducer(
        **connection.client(),
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
        **settings,
    )


def sender(producer: AIOKafkaProducer) -> Send:
    """A function that sends messages and returns when Kafka has them all; it raises KafkaError when it has not."""

    async def send(messages: Iterable[Message]) -> None:
        sent = [await producer.send(m.topic, m.value, m.key, headers=list(m.headers)) for m in messages]
        await asyncio.gather(*sent)

    return send
