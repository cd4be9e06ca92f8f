"""Writing files of events into Kafka, at their senders' place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES

#: Messages between two words of progress.
_STRIDE = 100


def publish(
    connection: Connection,
    topic: str,
    messages: Iterable[bytes],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write messages to a topic as they come, keyed by their pipeline where they say one, in order.

    Parameters: `progress` is told the messages written so far, now and then.

    Returns how many were written; when it returns, Kafka has them.

    Raises UnreachableError when Kafka cannot be reached or does not take a message.
    """
    producer = make_producer(connection)
    sent: deque[Any] = deque()
    count = 0
    try:
        for message in messages:
            sent.append(producer.send(topic, message, key=pipeline_of(message)))
            settle(sent)
            count += 1
            if progress is not None and count % _STRIDE == 0:
                progress(count)
        producer.flush()
        settle(sent, all_of_them=True)
    except KafkaError as error:
        raise UnreachableError(f"cannot write to {topic} at {connection.bootstrap_servers}: {error}") from error
    finally:
        producer.close(timeout=1)
    if progress is not None:
        progress(count)
    return count


def make_producer(connection: Connection) -> Any:
    """kafka-python's producer, which waits for every in-sync copy and writes nothing twice.

    Raises UnreachableError.
    """
    connection.admin().close()  # says plainly what is wrong with the connection
    return KafkaProducer(
        **connection.client(),
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
        batch_size=1 << 18,
        max_request_size=MAX_MESSAGE_BYTES,
        max_block_ms=30_000,
    )


def settle(sent: deque[Any], *, all_of_them: bool = False) -> None:
    """Forget what Kafka has; raises KafkaError for what it did not take."""
    while sent and (all_of_them or sent[0].is_done):
        sent.popleft().get(timeout=30)


def pipeline_of(message: bytes) -> bytes | None:
    """The key of a message: its pipeline; None for what has none, which the worker judges."""
    try:
        document = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    name = document.get("pipeline") if isinstance(document, dict) else None
    return name.encode() if isinstance(name, str) else None
