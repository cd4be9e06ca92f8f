"""A real broker for benchmarks, and simulated events in its topics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import orjson
from aiokafka import AIOKafkaProducer

from stream_app.fleet import Fleet, FleetOptions
from stream_app.kafka.connection import Connection
from stream_app.kafka.placement import partition_of
from stream_app.kafka.topics import Names, apply, catalogue
from tests.broker.broker import find_broker

#: Bytes of a record batch of events.
_BATCH_BYTES = 1 << 18


@contextmanager
def broker() -> Iterator[str]:
    """The address of a broker: the first found of a given one, Docker, and Java with Maven; see `tests.broker`."""
    found = find_broker()
    try:
        yield found.bootstrap
    finally:
        found.close()


def make_topics(bootstrap: str, names: Names, partitions: int) -> None:
    """All topics of a deployment."""
    admin = Connection(bootstrap).admin()
    apply(admin, catalogue(names, partitions, 1), partitions=4, replication=1)
    admin.close()


def fleet(count: int, pipelines: int, days: float) -> list[bytes]:
    """The first `count` events of a simulated fleet, a message each, in the order of arrival."""
    messages = [
        orjson.dumps(event)
        for event in islice(Fleet(FleetOptions(pipelines=pipelines, days=days, seed=0)).events(), count)
    ]
    if len(messages) < count:
        raise SystemExit(f"the fleet has {len(messages):,} events, not {count:,}")
    return messages


async def fill(bootstrap: str, topic: str, partitions: int, messages: Sequence[bytes]) -> None:
    """Write messages to a topic as fast as it goes, each to the partition of its pipeline."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=_BATCH_BYTES)
    await producer.start()
    open_batches = {partition: producer.create_batch() for partition in range(partitions)}
    for message in messages:
        name = orjson.loads(message)["pipeline"]
        partition = partition_of(name, partitions)
        row = {"key": name.encode(), "value": message, "timestamp": None}
        if open_batches[partition].append(**row) is None:
            await producer.send_batch(open_batches[partition], topic, partition=partition)
            open_batches[partition] = producer.create_batch()
            open_batches[partition].append(**row)
    for partition, batch in open_batches.items():
        if batch.record_count():
            await producer.send_batch(batch, topic, partition=partition)
    await producer.stop()
