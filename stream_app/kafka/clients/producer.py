"""The producer that a worker writes everything with, and sending so that nothing is taken for sent that is not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES
from stream_app.kafka.state.outbox import Message

#: Bytes of a record batch; a group of changed rows larger than this takes several.
BATCH_BYTES = MAX_MESSAGE_BYTES // 2

Send = Callable[[Iterable[Message]], Awaitable[None]]


def make_producer(connection: Connection, **settings: Any) -> AIOKafkaProducer:
    """An idempotent producer, to be started: it tries again for as long as the broker is away, without doubles."""
    producer = AIOKafkaProducer(
        **connection.client(),
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
        **settings,
    )
    # It would give up on a batch after the time of a request. The number that the batch had then misses for ever, and
    # brokers refuse all that comes after it.
    producer._message_accumulator._batch_ttl = math.inf
    return producer


async def give_up(producer: AIOKafkaProducer) -> None:
    """Stop a producer; whoever waits for what it has not sent is told so.

    By itself it would wait until Kafka has everything, for as long as an outage takes.
    """
    if producer._sender is not None:
        await producer._sender.close()
    await producer.stop()
    producer._message_accumulator.fail_all(KafkaConnectionError("the connection was given up"))


def passes(error: KafkaError) -> bool:
    """Whether an error may be over when Kafka is back: what failed is to be tried again.

    A producer gives up on what it has no room for, and on topics that a broker, just started, does not know yet; what
    it has taken it never gives up.
    """
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


def sender(producer: AIOKafkaProducer) -> Send:
    """A function that sends messages and returns when Kafka has them all; it raises KafkaError when it has not."""

    async def send(messages: Iterable[Message]) -> None:
        sent = [await producer.send(m.topic, m.value, m.key, headers=list(m.headers)) for m in messages]
        await asyncio.gather(*sent)

    return send
