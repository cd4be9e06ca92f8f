"""Partitions that somebody adds to the topic of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from stream_app.kafka.clients import dead_letters, publishing
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.event_producer import EventProducer
from stream_app.kafka.clients.placement import Placement
from stream_app.kafka.clients.producer import make_producer, sender
from stream_app.kafka.clients.relay import Relay
from stream_app.kafka.clients.topics import find_seen
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.messages import dead_letter
from stream_app.kafka.processing.partitioner import partition_of
from stream_app.kafka.processing.rekeying import rekey
from stream_app.kafka.records import Batch
from stream_app.sources import NATIVE
from tests.broker.cluster import Cluster
from tests.support.kafka_records import record

#: A record without a key is placed, too.
NAMELESS = b"no event"
PIPELINES = [f"pipeline{number}" for number in range(40)]


def messages() -> list[bytes]:
    """An event of each pipeline, and one that names none."""
    return [*(orjson.dumps({"pipeline": name}) for name in PIPELINES), NAMELESS]


def published(cluster: Cluster, add: Callable[[], None]) -> None:
    """With `publish`, called again when there are more partitions."""
    connection = Connection(cluster.bootstrap)
    publishing.publish(connection, cluster.names, cluster.names.events, messages())
    add()
    publishing.publish(connection, cluster.names, cluster.names.events, messages())


def followed(cluster: Cluster, add: Callable[[], None]) -> None:
    """By a follower of a store, whose client learns of the partitions."""
    producer = EventProducer(Connection(cluster.bootstrap), cluster.names)
    events = [(orjson.dumps({"pipeline": name}), name) for name in PIPELINES]
    producer.send(events)
    before = producer._producer.partitions_for(cluster.names.events)
    add()
    while producer._producer.partitions_for(cluster.names.events) == before:
        producer._producer._metadata.request_update()
        producer.send([])
    producer.send(events)
    producer.close()


def relayed(cluster: Cluster, add: Callable[[], None]) -> None:
    """By `serve`, whose client learns of the partitions."""
    cluster.names = replace(cluster.names, sources=())

    async def body() -> None:
        relay = Relay(Connection(cluster.bootstrap), cluster.names, lambda *_: None)
        running = asyncio.create_task(relay.run())
        while relay.unavailable_reason:
            await asyncio.sleep(0.05)
        events = [(orjson.dumps({"pipeline": name}), name, NATIVE) for name in PIPELINES]
        await relay.send([*events, (NAMELESS, None, NATIVE)])
        await asyncio.to_thread(add)
        assert relay._producer is not None
        await relay._producer.client.force_metadata_update()
        await relay.send([*events, (NAMELESS, None, NATIVE)])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(body())


def rekeyed(cluster: Cluster, add: Callable[[], None]) -> None:
    """From a source topic by a worker, which ends some seconds after partitions were added."""
    made = [
        {"pipeline": name, "time": "2023-11-01T00:00:00Z", "execution": {"id": "e", "type": "Trainer", "state": "NEW"}}
        for name in PIPELINES
    ]
    records = [record(number, orjson.dumps(each), topic="source") for number, each in enumerate(made)]

    async def body() -> None:
        async with make_producer(Connection(cluster.bootstrap)) as producer:
            send = sender(producer, placement=Placement(cluster.names.events, cluster.partitions))
            await rekey(Batch(records), cluster.names, send, Counts(), lambda: True)
            await asyncio.to_thread(add)
            await producer.client.force_metadata_update()
            await rekey(Batch(records), cluster.names, send, Counts(), lambda: True)

    asyncio.run(body())


def requeued(cluster: Cluster, add: Callable[[], None]) -> None:
    """From the dead letters, some of them without a key."""
    keys = [*(name.encode() for name in PIPELINES), None]
    letters = [
        dead_letter(cluster.names, record(0, b"bad", key=key, topic=cluster.names.events), "because") for key in keys
    ]

    async def write() -> None:
        async with make_producer(Connection(cluster.bootstrap)) as producer:
            await sender(producer)(letters)

    asyncio.run(write())
    asyncio.run(dead_letters.requeue(Connection(cluster.bootstrap), cluster.names))
    add()
    asyncio.run(write())
    asyncio.run(dead_letters.requeue(Connection(cluster.bootstrap), cluster.names))


@pytest.mark.parametrize("send", [published, followed, relayed, rekeyed, requeued])
def test_what_we_send_goes_where_it_went(cluster: Cluster, send: Callable[[Cluster, Callable[[], None]], None]) -> None:
    """A pipeline never changes its partition, and an added partition never gets a record."""
    events, more = cluster.names.events, cluster.partitions + 5

    def add() -> None:
        cluster.admin.create_partitions({events: more})
        while find_seen(cluster.admin, [events])[events].partitions < more:
            pass

    assert any(partition_of(name, cluster.partitions) != partition_of(name, more) for name in PIPELINES)
    send(cluster, add)

    found = asyncio.run(cluster.read(events, more))
    assert len(found) in (2 * len(PIPELINES), 2 * len(PIPELINES) + 2)
    for each in found:
        if each.key is not None:
            assert each.partition == partition_of(each.key.decode(), cluster.partitions)
        assert each.partition < cluster.partitions


def test_a_worker_ends_at_once_and_says_why(cluster: Cluster) -> None:
    """Records in the new partitions would not be read, and others not find the state of their pipelines."""
    worker = cluster.worker()
    worker.said("are open")
    cluster.admin.create_partitions({cluster.names.events: cluster.partitions + 1})

    assert worker.wait(60) == 1
    log = worker.log.read_text()
    assert (
        f"topic {cluster.names.events} has {cluster.partitions + 1} partitions instead of {cluster.partitions}" in log
    )
    assert "set kafka.partitions" not in log
