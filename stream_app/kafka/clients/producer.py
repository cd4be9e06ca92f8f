"""The producer of a worker, and sending that returns only when Kafka has every record."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.placement import Placement
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES
from stream_app.kafka.state.outbox import Message

#: Bytes of a record batch; a group of changed rows larger than this takes several.
BATCH_BYTES = MAX_MESSAGE_BYTES // 2

#: The codecs of topics that only this program reads, and of those that others read: every client can read gzip, while
#: kafka-python and others need a further package for each other codec.
INTERNAL, READABLE = "zstd", "gzip"

Send = Callable[[Iterable[Message]], Awaitable[None]]


def make_producer(connection: Connection, codec: str = INTERNAL, **settings: Any) -> AIOKafkaProducer:
    """An idempotent producer, not yet started, that repeats requests for as long as the broker is away.

    Parameters
    ----------
    connection
        How to reach Kafka.
    codec
        The codec of its records: `INTERNAL` or `READABLE`.
    settings
        Further settings of `AIOKafkaProducer`.
    """
    producer = AIOKafkaProducer(
        **connection.client(),
        enable_idempotence=True,
        compression_type=codec,
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
        **settings,
    )
    # By default it gives up on a batch after the time of a request. The sequence number of that batch is then missing,
    # and brokers refuse every batch after it.
    producer._message_accumulator._batch_ttl = math.inf
    return producer


def unacknowledged(producer: AIOKafkaProducer) -> tuple[float, str]:
    """For how many seconds Kafka has owed an acknowledgement, and for which topic; 0 and "" when it owes none."""
    accumulator = producer._message_accumulator
    queued = [queue[0] for queue in accumulator._batches.values() if queue]
    oldest = min((*accumulator._pending_batches, *queued), key=lambda batch: batch._ctime, default=None)
    return (0.0, "") if oldest is None else (time.monotonic() - oldest._ctime, oldest.tp.topic)


async def give_up(producer: AIOKafkaProducer) -> None:
    """Stops a producer without waiting for unsent records, whose futures fail with KafkaConnectionError.

    `AIOKafkaProducer.stop` alone waits until Kafka has every record, for as long as an outage takes.
    """
    if producer._sender is not None:
        await producer._sender.close()
    await producer.stop()
    producer._message_accumulator.fail_all(KafkaConnectionError("the connection was given up"))


def sender(
    producer: AIOKafkaProducer,
    of_topic: Mapping[str, AIOKafkaProducer] | None = None,
    placement: Placement | None = None,
) -> Send:
    """A function that sends messages and returns when Kafka has all of them, or raises KafkaError.

    Parameters
    ----------
    producer
        Sends them.
    of_topic
        Topics whose messages another producer sends.
    placement
        Places the records of the topic of events; None: nothing is sent to it.
    """
    others = of_topic or {}

    async def send(messages: Iterable[Message]) -> None:
        sent = [
            await others.get(each.topic, producer).send(
                each.topic,
                each.value,
                each.key,
                partition=placement.of(each.topic, each.key, each.value) if placement is not None else None,
                headers=list(each.headers),
            )
            for each in messages
        ]
        await asyncio.gather(*sent)

    return send
