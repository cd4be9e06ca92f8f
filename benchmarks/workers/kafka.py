"""A real broker for benchmarks, and simulated events in its topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topic_catalogue import catalogue
from stream_app.kafka.clients.topics import Names, apply
from stream_app.kafka.processing.partitioner import partition_of
from stream_app.kafka.state.changelog import LogReader
from stream_app.simulator import Fleet, FleetOptions
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
    """All topics of a deployment; records of events and of verdicts bear the time at which they were appended."""
    wanted = catalogue(names, partitions, 1)
    appended = {"message.timestamp.type": "LogAppendTime"}
    wanted = [replace(t, config={**t.config, **appended}) if t.name == names.verdicts else t for t in wanted]
    admin = Connection(bootstrap).admin()
    apply(admin, wanted, partitions=4, replication=1)
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
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="zstd", max_batch_size=_BATCH_BYTES)
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


async def pace(
    bootstrap: str, topic: str, messages: Sequence[bytes], rate: float, look: Callable[[], None] | None = None
) -> None:
    """Write messages at a steady rate (messages a second), in order; `look` is called every second, on a thread."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="zstd")
    await producer.start()
    began = looked = time.monotonic()
    sent = 0
    while sent < len(messages):
        due = min(len(messages), int((time.monotonic() - began) * rate) + 1)
        for message in messages[sent:due]:
            await producer.send(topic, message, key=orjson.loads(message)["pipeline"].encode())
        sent = due
        if look is not None and time.monotonic() - looked >= 1:
            looked = time.monotonic()
            await asyncio.to_thread(look)
        await asyncio.sleep(0.01)
    await producer.stop()


async def ends(bootstrap: str, topic: str, partitions: int) -> list[int]:
    """The end of each partition of a topic."""
    found = []
    for partition in range(partitions):
        async with LogReader({"bootstrap_servers": bootstrap}, TopicPartition(topic, partition)) as log:
            found.append(await log.end())
    return found


async def records(bootstrap: str, topic: str, starts: Sequence[int]) -> list[Any]:
    """The records of a topic from an offset of each partition to its end."""
    found: list[Any] = []
    for partition, start in enumerate(starts):
        async with LogReader({"bootstrap_servers": bootstrap}, TopicPartition(topic, partition)) as log:
            async for fetched in log.read(start, await log.end()):
                found += fetched
    return found
