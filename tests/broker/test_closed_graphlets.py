"""Every graphlet that a worker evicts is on the topic of graphlets, with its members, cost and outcome."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES
from stream_app.kafka.processing.long_outbox import LongOutbox
from stream_app.kafka.state.outbox import Message
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import native
from stream_app.wire import closed_to_dict
from tests.broker.broker import Broker
from tests.broker.cluster import PATIENCE, Cluster
from tests.broker.conftest import MakeTopic
from tests.broker.deleting import delete_topics
from tests.broker.scenarios import SOURCE_PARTITIONS, keyed
from tests.broker.test_table import Bench
from tests.test_schemas import validator

RETENTION = Settings(horizon_ms=2 * DAY_MS, retention_ms=4 * DAY_MS, lateness_ms=DAY_MS)


@pytest.fixture(scope="module")
def events() -> list[bytes]:
    """Two weeks of a small fleet, in order."""
    return [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=4, days=14, seed=3)).events()]


@pytest.fixture(scope="module")
def expected(events: list[bytes]) -> dict[str, Any]:
    """What one detector without Kafka closes, by graphlet."""
    detector = Detector(RETENTION, Learner())
    outputs = [output for message in events for output in detector.step(native.decode(message))]
    records = [closed_to_dict(output) for output in outputs if isinstance(output, Closed)]
    return {record["graphlet"]: record for record in records}


@pytest.fixture
def forgetful(cluster: Cluster) -> Cluster:
    """A deployment that evicts what nothing has touched for some days."""
    cluster.horizon_ms, cluster.retention_ms = RETENTION.horizon_ms, RETENTION.retention_ms
    cluster.lateness_ms = RETENTION.lateness_ms
    return cluster


def late(messages: list[bytes], seed: int) -> list[bytes]:
    """The messages in the order in which they arrive when each is up to six hours late."""
    draw = random.Random(seed)
    arrival = [native.decode(message).time_ms + draw.uniform(0, 6 * HOUR_MS) for message in messages]
    return [messages[number] for number in sorted(range(len(messages)), key=arrival.__getitem__)]


async def read(cluster: Cluster) -> list[tuple[str, dict[str, Any]]]:
    """Key and value of each record of the topic."""
    records = await cluster.read(cluster.names.graphlets, SOURCE_PARTITIONS)
    return [(record.key.decode(), orjson.loads(record.value)) for record in records]


async def all_sent(cluster: Cluster) -> None:
    """Wait until all input is applied and its outputs are sent: offsets are committed after that."""
    await cluster.settle()
    async with asyncio.timeout(PATIENCE):
        while not await cluster.committed(cluster.names.events, cluster.partitions):
            await asyncio.sleep(0.2)


def test_each_evicted_graphlet_is_sent_once_in_any_order_of_events(
    forgetful: Cluster, events: list[bytes], expected: dict[str, Any]
) -> None:
    """Events are late, and spread over the partitions of a source; the records are those of a replay in order."""

    async def body() -> None:
        forgetful.worker()
        source, draw = forgetful.names.sources[0], random.Random(1)
        # The partitions of a source are not read in one order: what comes later waits until what came before is read.
        size = len(events) // 8 + 1
        arrived = late(events, seed=2)
        for first in range(0, len(arrived), size):
            part = arrived[first : first + size]
            await forgetful.produce(source, [(draw.randrange(SOURCE_PARTITIONS), None, message) for message in part])
            await forgetful.settle()
        await all_sent(forgetful)
        records = await read(forgetful)

        assert len({record["outcome"] for record in expected.values()}) > 1
        assert len(records) == len(expected)
        assert dict(records) == expected
        for key, record in records:
            validator("graphlet").validate(record)
            assert key == record["graphlet"]

    asyncio.run(body())


def test_a_kill_between_commit_and_sending_loses_no_graphlet(
    forgetful: Cluster, events: list[bytes], expected: dict[str, Any]
) -> None:
    """Whoever takes over sends what was committed; what is sent twice is the same record."""

    async def body() -> None:
        worker = forgetful.worker()
        worker.kill()
        worker.program = ("-m", "tests.broker.dying_worker")
        await forgetful.produce(forgetful.names.events, keyed(events))
        for _ in range(2):
            worker.start()
            assert await asyncio.to_thread(worker.wait, 120) == -signal.SIGKILL, forgetful.logs()
        missing = expected.keys() - dict(await read(forgetful))
        worker.program = ("-m", "tests.broker.worker_process")
        worker.start()
        await all_sent(forgetful)
        records = await read(forgetful)

        assert missing
        assert dict(records) == expected
        assert all(record == expected[key] for key, record in records)

    asyncio.run(body())


def test_a_worker_waits_for_new_topics(forgetful: Cluster, events: list[bytes], expected: dict[str, Any]) -> None:
    """In a deployment made by an earlier release: it is live, reads nothing before, and misses nothing after."""
    names = forgetful.names
    delete_topics(forgetful.admin, [names.graphlets, names.analysis])

    async def body() -> None:
        worker = forgetful.worker()
        await forgetful.produce(names.events, keyed(events))
        missing = f"no such topics: {names.graphlets}, {names.analysis}: run `stream-app topics apply`"
        await asyncio.to_thread(worker.said, missing)
        live, ready = worker.ask("/livez")[0], worker.ask("/readyz")[0]
        forgetful.make_topics()
        await all_sent(forgetful)

        assert (live, ready) == (200, 503)
        assert dict(await read(forgetful)) == expected

    asyncio.run(body())


def test_more_than_a_record_batch_may_be_closed_at_once(broker: Broker, topic: MakeTopic, tmp_path: Path) -> None:
    """20 MB of records that do not compress: too large for one row of the changelog, and restored from several."""
    changelog = topic("changelog", **{"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)})
    noise = random.Random(1)
    outbox = [Message("graphlets", b"%d" % number, noise.randbytes(1_000_000)) for number in range(20)]

    async def body() -> None:
        async with make_producer(Connection(broker.bootstrap)) as producer:
            bench = Bench(broker, changelog, tmp_path, producer)
            table = bench.table("a")
            await table.restore()
            first, further = LongOutbox({}).split(outbox)
            await table.commit([(b"x", b"1"), *further], first, 1)
            restored = await bench.table("b").restore()
            again = LongOutbox(restored.rows)

            assert restored.outbox + again.restored == outbox
            _, deleted = again.split([])
            table = bench.table("c")
            await table.restore()
            await table.commit(deleted, [], 2)
            assert (await bench.table("d").restore()).rows == {b"x": b"1"}
            table = bench.table("e")
            await table.restore()
            with pytest.raises(MessageSizeTooLargeError):
                await table.commit([], outbox, 3)
            bench.close()

    asyncio.run(body())
