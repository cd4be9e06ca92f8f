"""The batched transport on a real broker: every record comes once, and commits go to the end, past holes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import faust
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from faust.types import TP
from kafka.admin import KafkaAdminClient
from mode import CrashingSupervisor

from stream_app.kafka.engine.transport import BatchSchema, BatchTransport, StickyAssignor
from stream_app.kafka.records import Batch
from stream_app.kafka.state.changelog import LogReader
from tests.broker.broker import Broker
from tests.broker.conftest import MakeTopic

SECONDS = 30


class Reader:
    """A Faust app that marks every batch done and remembers its records as (partition, offset, value)."""

    def __init__(self, broker: Broker, group: str, topic: str, folder: Path, positions: dict[int, int]) -> None:
        self.app = faust.App(
            group,
            broker=f"kafka://{broker.bootstrap}",
            store="memory://",
            datadir=str(folder),
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_commit_interval=0.2,
            broker_max_poll_records=100,
            table_standby_replicas=1,
            PartitionAssignor=StickyAssignor,
            agent_supervisor=CrashingSupervisor,
        )
        tps = {TP(topic, partition): offset for partition, offset in positions.items()}
        self.app.transport = BatchTransport(self.app, lambda: tps, print)
        self.seen: list[tuple[int, int, bytes | None]] = []
        self.refuse: set[int] = set()

        async def read(stream: faust.Stream[Batch]) -> None:
            async for event in stream.noack().events():
                batch = event.value
                self.seen += [(r.partition, r.offset, r.value) for r in batch.records]
                batch.done = not self.refuse.intersection(r.offset for r in batch.records)
                event.ack()

        self.app.agent(self.app.topic(topic, schema=BatchSchema()))(read)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.05)


def committed(admin: KafkaAdminClient, group: str, topic: str, partition: int = 0) -> int | None:
    found = admin.list_group_offsets(group)[group].get(TopicPartition(topic, partition))
    return None if found is None else int(found.offset)


async def produce(broker: Broker, topic: str, values: list[bytes], *, keyed: bool = False, **settings: object) -> None:
    """Write values to partition 0; `keyed`: each with itself as key."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, **settings)
    await producer.start()
    for value in values:
        await producer.send(topic, value, key=value if keyed else None, partition=0)
    await producer.stop()


def run(reader: Reader, body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await reader.app.start()
        try:
            await body()
        finally:
            await reader.app.stop()

    asyncio.run(main())


@pytest.fixture
def make(broker: Broker, prefix: str, tmp_path: Path) -> Callable[..., Reader]:
    return lambda topic, positions=None: Reader(broker, prefix, topic, tmp_path, positions or {})


def test_every_codec_is_read(broker: Broker, topic: MakeTopic, make: Callable[..., Reader]) -> None:
    """Records come in order whatever compressed them: none, gzip, lz4, snappy and zstd."""
    name = topic("source")
    reader = make(name)
    codecs = [None, "gzip", "lz4", "snappy", "zstd"]

    async def body() -> None:
        for codec in codecs:
            await produce(broker, name, [f"{codec}-{n}".encode() * 9 for n in range(300)], compression_type=codec)
        await until(lambda: len(reader.seen) == 1_500)

    run(reader, body)

    assert [offset for _, offset, _ in reader.seen] == list(range(1_500))
    assert [value for _, _, value in reader.seen[::300]] == [f"{codec}-0".encode() * 9 for codec in codecs]


def test_commits_pass_the_markers_of_transactions(
    broker: Broker, admin: KafkaAdminClient, topic: MakeTopic, make: Callable[..., Reader], prefix: str
) -> None:
    """Markers take offsets that no record ever has; the last one is committed too, so that no lag is left."""
    name = topic("source")
    reader = make(name)

    async def body() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=prefix)
        await producer.start()
        for round_ in range(5):
            async with producer.transaction():
                await producer.send_and_wait(name, b"%d" % round_, partition=0)
        await producer.stop()
        await until(lambda: len(reader.seen) == 5)
        await until(lambda: committed(admin, prefix, name) == 10)

    run(reader, body)

    assert [offset for _, offset, _ in reader.seen] == [0, 2, 4, 6, 8]


def test_commits_pass_what_compaction_took(
    broker: Broker, admin: KafkaAdminClient, topic: MakeTopic, make: Callable[..., Reader], prefix: str
) -> None:
    """A compacted source has lost most offsets; what is left is read, and the commit is at the end."""
    compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "200"}
    name = topic("source", **compacted, **{"max.compaction.lag.ms": "200"})
    reader = make(name)

    async def left() -> list[int]:
        at = TopicPartition(name, 0)
        async with LogReader({"bootstrap_servers": broker.bootstrap}, at) as log:
            return [record.offset async for records in log.read(0, await log.end()) for record in records]

    async def overwrite() -> int:
        """Write ten keys over and over until compaction has made holes; the number of records written."""
        written = 0
        while len(await left()) == written:
            await produce(broker, name, [b"%d" % n for n in range(10)] * 10, keyed=True)
            written += 100
            await asyncio.sleep(0.3)
        return written

    async def body() -> None:
        await until(lambda: committed(admin, prefix, name) == written)

    written = asyncio.run(asyncio.wait_for(overwrite(), 60))
    run(reader, body)

    seen = [offset for _, offset, _ in reader.seen]
    assert seen[-1] == written - 1
    assert len(seen) < written
    assert max(after - before for before, after in pairwise([-1, *seen])) > 2


def test_a_batch_that_is_not_done_is_not_committed(
    broker: Broker, admin: KafkaAdminClient, topic: MakeTopic, make: Callable[..., Reader], prefix: str
) -> None:
    """What Faust acknowledges on its own, as it does when it skips, moves no offset; it is read again."""
    name = topic("source")
    first = make(name)
    first.refuse = {3}

    async def read_five() -> None:
        for n in range(5):
            await produce(broker, name, [b"%d" % n])
            await until(lambda n=n: len(first.seen) == n + 1)  # type: ignore[misc]
            if n == 2:
                await until(lambda: committed(admin, prefix, name) == 3)
        await first.app.consumer.commit()

    async def read_the_rest() -> None:
        await until(lambda: len(second.seen) == 2)

    run(first, read_five)
    offset = committed(admin, prefix, name)
    second = make(name)
    run(second, read_the_rest)

    assert offset == 3
    assert [offset for _, offset, _ in second.seen] == [3, 4]


def test_the_position_of_the_state_wins(broker: Broker, topic: MakeTopic, make: Callable[..., Reader]) -> None:
    """Reading goes on where the state says, whether the committed offset lies before or behind it."""
    name = topic("source")

    async def read_to_the_end() -> None:
        await until(lambda: bool(reader.seen) and reader.seen[-1][1] == 9)

    asyncio.run(produce(broker, name, [b"%d" % n for n in range(10)]))
    starts = []
    for offset in (4, 2, 7):
        reader = make(name, {0: offset})
        run(reader, read_to_the_end)
        starts.append(reader.seen[0][1])

    assert starts == [4, 2, 7]
