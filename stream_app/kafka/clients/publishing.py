"""Writes recorded messages into Kafka in place of their original senders."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.in_sync import check_writable
from stream_app.kafka.clients.placement import find_placement
from stream_app.kafka.clients.topics import Names
from stream_app.sources.strict_json import MAX_BYTES

#: Bytes of a request: the largest message, its key and its headers. The topic may take less.
_REQUEST_BYTES = MAX_BYTES + (1 << 20)
#: Messages between two calls of `progress`.
_PROGRESS_EVERY = 100


def publish(
    connection: Connection,
    names: Names,
    topic: str,
    messages: Iterable[bytes],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes messages to a topic in order, keyed by their pipeline where they name one.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics of the group.
    topic
        Where messages are written.
    messages
        Iterated once; messages are sent as they arrive.
    progress
        Called now and then, and at the end, with the number of messages written so far.

    Returns
    -------
    int
        How many messages were written; Kafka has acknowledged all of them.

    Raises
    ------
    UnreachableError
        Kafka cannot be reached or does not accept a message.
    OptionsError
        The topic does not exist.
    """
    admin = connection.admin()
    try:
        placement = find_placement(admin, names, topic)
        check_writable(connection, admin, topic)
    finally:
        admin.close()
    producer = make_producer(connection)
    sent: deque[Any] = deque()
    count = 0
    try:
        for message in messages:
            key = pipeline_of(message)
            sent.append(producer.send(topic, message, key=key, partition=placement.of(topic, key, message)))
            settle(sent)
            count += 1
            if progress is not None and count % _PROGRESS_EVERY == 0:
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
    """An idempotent producer of kafka-python that waits for every in-sync replica.

    Raises
    ------
    UnreachableError
        Kafka cannot be reached.
    """
    connection.admin().close()  # its errors say what is wrong with the connection
    return KafkaProducer(
        **connection.client(),
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
        batch_size=1 << 18,
        max_request_size=_REQUEST_BYTES,
        max_block_ms=30_000,
    )


def settle(sent: deque[Any], *, all_of_them: bool = False) -> None:
    """Removes acknowledged messages from the front of `sent`; raises KafkaError for a refused one."""
    while sent and (all_of_them or sent[0].is_done):
        sent.popleft().get(timeout=30)


def pipeline_of(message: bytes) -> bytes | None:
    """The key of a message: its pipeline; None where it names none, which is left to the worker."""
    try:
        document = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    name = document.get("pipeline") if isinstance(document, dict) else None
    return name.encode() if isinstance(name, str) else None
