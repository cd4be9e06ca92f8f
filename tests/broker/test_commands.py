"""What `publish` and `dlq` do, on a real broker."""

from __future__ import annotations

import asyncio
import time

from stream_app.kafka import dead_letters
from stream_app.kafka.connection import Connection
from stream_app.kafka.messages import dead_letter
from stream_app.kafka.outbox import Message
from stream_app.kafka.producing import make_producer, sender
from stream_app.kafka.publishing import publish
from tests.broker.cluster import Cluster
from tests.kafka.records import record


def test_messages_are_published_in_order_keyed_by_pipeline(cluster: Cluster, fleet: list[bytes]) -> None:
    """Within a pipeline the order of the file is the order of the partition, and all is there on return."""
    told: list[int] = []
    messages = [*fleet[:450], b"not an event"]
    written = publish(Connection(cluster.bootstrap), cluster.names.events, messages, progress=told.append)
    records = asyncio.run(cluster.read(cluster.names.events, cluster.partitions))
    by_pipeline: dict[bytes | None, list[bytes]] = {}
    for found in records:
        by_pipeline.setdefault(found.key, []).append(found.value)

    assert written == 451
    assert told == [100, 200, 300, 400, 451]
    assert by_pipeline.pop(None) == [b"not an event"]
    assert sum(len(values) for values in by_pipeline.values()) == 450
    for key, values in by_pipeline.items():
        assert key is not None
        assert values == [message for message in fleet[:450] if b'"pipeline":"%s"' % key in message]


def test_a_rate_is_kept(cluster: Cluster, fleet: list[bytes]) -> None:
    """300 messages at 600 a second take half a second at least."""
    began = time.monotonic()
    publish(Connection(cluster.bootstrap), cluster.names.events, fleet[:300], rate=600)

    assert time.monotonic() - began >= 0.5


def test_dead_letters_are_listed_and_given_back_once(cluster: Cluster) -> None:
    """With their bytes and keys, to where they were; a second time only what came since is taken."""
    source = cluster.names.sources[0]
    connection = Connection(cluster.bootstrap)

    async def write(*letters: Message) -> None:
        producer = make_producer(connection)
        await producer.start()
        await sender(producer)(letters)
        await producer.stop()

    def letter(value: bytes) -> Message:
        bad = record(7, value, key=b"key", topic=source, partition=2)
        return dead_letter(cluster.names, bad, "because")

    asyncio.run(write(letter(b"one"), letter(b"two"), letter(b"x" * (5 << 20))))
    listed = asyncio.run(dead_letters.read(connection, cluster.names))
    last = asyncio.run(dead_letters.read(connection, cluster.names, most=1))
    first = asyncio.run(dead_letters.requeue(connection, cluster.names))
    second = asyncio.run(dead_letters.requeue(connection, cluster.names))
    asyncio.run(write(letter(b"three")))
    third = asyncio.run(dead_letters.requeue(connection, cluster.names))
    back = asyncio.run(cluster.read(source, 4))

    assert {(d.value, d.reason, d.topic, d.partition, d.offset) for d in listed if not d.truncated} == {
        (value, "because", source, 2, 7) for value in (b"one", b"two")
    }
    assert last == listed[-1:]
    assert (first, second, third) == ((2, 1), (0, 0), (1, 0))
    assert {(r.key, r.value) for r in back} == {(b"key", value) for value in (b"one", b"two", b"three")}
