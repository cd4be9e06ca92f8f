"""The producer of a worker, and sending that returns only when Kafka has every record."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES
from stream_app.kafka.state.outbox import Message

#: Bytes of a record batch; a group of changed rows larger than this takes several.
BATCH_BYTES = MAX_MESSAGE_BYTES // 2

Send = Callable[[Iterable[Message]], Awaitable[None]]


def make_producer(connection: Connection, **settings: Any) -> AIOKafkaProducer:
    """An idempotent producer, not yet started, that repeats requests for as long as the broker is away.

    Parameters
    ----------
    connection
        How to reach Kafka.
    settings
        Further settings of `AIOKafkaProducer`.
    """
    producer = AIOKafkaProducer(
        **connection.client(),
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
        **settings,
    )
    # By default it gives up on a batch after the time of a request. The sequence number of that batch is then missing,
    # and brokers refuse every batch after it.
    producer._message_accumulator._batch_ttl = math.inf
    return producer


async def give_up(producer: AIOKafkaProducer) -> None:
    """Stops a producer without waiting for unsent records, whose futures fail with KafkaConnectionError.

    `AIOKafkaProducer.stop` alone waits until Kafka has every record, for as long as an outage takes.
    """
    if producer._sender is not None:
        await producer._sender.close()
    await producer.stop()
    producer._message_accumulator.fail_all(KafkaConnectionError("the connection was given up"))


def sender(producer: AIOKafkaProducer) -> Send:
    """A function that sends messages and returns when Kafka has all of them, or raises KafkaError."""

    async def send(messages: Iterable[Message]) -> None:
        sent = [await producer.send(m.topic, m.value, m.key, headers=list(m.headers)) for m in messages]
        await asyncio.gather(*sent)

    return send
