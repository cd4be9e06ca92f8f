"""Messages much larger than events are: nobody ends because of them, and nothing is lost without a word."""

from __future__ import annotations

import asyncio
import random

import orjson
from kafka.admin import ConfigResource, ConfigResourceType

from stream_app.kafka.clients import dead_letters
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer
from stream_app.kafka.clients.topics import Names
from tests.broker.cluster import Cluster
from tests.broker.test_relay import ready, relayed, until
from tests.sources.openlineage_events import run_event
from tests.web.served import LINEAGE

MIB = 1 << 20
#: 12 MiB that do not compress.
NOISE = random.Random(1).randbytes(6 * MIB).hex()
EVENT = b'{"time":"2026-03-01T00:00:00Z","pipeline":"p","execution":{"id":"%s","type":"T","state":"NEW"},"plan":"%s"}'


def test_a_worker_reads_messages_of_12_mib(cluster: Cluster) -> None:
    """An event counts; of what is none, the beginning is kept, with its size."""
    large = {"max.message.bytes": str(16 * MIB)}
    source = f"{cluster.names.group}-large"
    cluster.names = Names(cluster.names.group, (source,))
    cluster.make_topics()
    cluster.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, source, large)])
    worker = cluster.worker()

    async def body() -> None:
        producer = make_producer(Connection(cluster.bootstrap))
        producer._max_request_size = 16 * MIB
        async with producer:
            for value in (NOISE.encode(), EVENT % (b"a", NOISE.encode()), EVENT % (b"b", b"")):
                await producer.send_and_wait(source, value, partition=0)
        await cluster.settle()

    asyncio.run(body())
    [letter] = asyncio.run(dead_letters.read(Connection(cluster.bootstrap), cluster.names))
    events = asyncio.run(cluster.read(cluster.names.events, cluster.partitions))

    assert worker.running
    assert [orjson.loads(record.value)["execution"]["id"] for record in events] == ["a", "b"]
    assert (len(letter.value or b""), letter.truncated) == (4 * MIB, True)


def test_serve_passes_a_large_event_on(cluster: Cluster) -> None:
    """Although the source topic takes 1 MiB: only what is read goes on. Others are served all the time."""
    with relayed(cluster) as service:
        until(lambda: ready(service))
        event = run_event(run_facets={"spark.logicalPlan": {"plan": [{"class": NOISE}]}})
        assert service.post(orjson.dumps(event), LINEAGE).status == 201
        assert service.post(orjson.dumps(run_event("COMPLETE", time="2026-03-01T07:00:00Z")), LINEAGE).status == 201
        records = asyncio.run(cluster.read(cluster.names.sources[0], 4))

    assert len(records) == 2
    assert len(records[0].value) < 10_000
