"""Records that Kafka deleted before they were read: told in a line, a metric and the probe, for every topic read."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from kafka import KafkaProducer
from kafka import TopicPartition as At
from kafka.admin import ConfigResource, ConfigResourceType

from stream_app.kafka.clients import dead_letters
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.lost_records import LostRecords
from stream_app.kafka.clients.relay import Relay
from stream_app.kafka.clients.topic_reader import LostRecordsError, messages
from stream_app.kafka.processing.messages import dead_letter
from tests.broker.cluster import Cluster
from tests.support.kafka_records import record
from tests.web.served import verdict_record


@pytest.mark.parametrize("topic", ["source", "events"])
def test_records_lost_to_retention_are_told(cluster: Cluster, fleet: list[bytes], topic: str) -> None:
    """A worker was away for longer than they were kept; what is left is read, and it is not ready for a while."""
    name = cluster.names.sources[0] if topic == "source" else cluster.names.events
    worker = cluster.worker()
    worker.said("are open")

    async def body() -> None:
        await cluster.produce(name, [(0, None, message) for message in fleet[:100]])
        await cluster.settle()
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        first = (await cluster.ends(name, 1))[TopicPartition(name, 0)]
        await cluster.produce(name, [(0, None, message) for message in fleet[100:300]])
        cluster.admin.delete_records({At(name, 0): first + 150})
        worker.start()
        await asyncio.to_thread(worker.said, f"offsets {first} to {first + 149} of {name}[0] were gone")
        await cluster.settle()

    asyncio.run(body())
    ready, detail = worker.ask("/readyz?verbose")
    metrics = worker.ask("/metrics")[1]
    assert ready == 503
    assert "records_lost" in detail
    assert f'stream_app_records_lost_total{{topic="{name}"}} 150.0' in metrics


def test_a_worker_that_has_read_everything_lost_nothing(cluster: Cluster, fleet: list[bytes]) -> None:
    """Old records go every day."""
    name = cluster.names.sources[0]
    worker = cluster.worker()
    worker.said("are open")

    async def body() -> None:
        await cluster.produce(name, [(0, None, message) for message in fleet[:100]])
        await cluster.settle()
        cluster.admin.delete_records({At(name, 0): 100})
        await cluster.produce(name, [(0, None, message) for message in fleet[100:200]])
        await cluster.settle()

    asyncio.run(body())
    assert "were gone" not in worker.log.read_text()
    assert worker.ask("/readyz")[0] == 200


def write(cluster: Cluster, topic: str, values: list[bytes], partition: int = 0, headers: Any = ()) -> None:
    """Writes records, each in a batch of its own."""
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, max_request_size=2 << 20)
    for value in values:
        producer.send(topic, value, key=b"k", partition=partition, headers=list(headers))
        producer.flush()
    producer.close()


def test_serve_tells_which_verdicts_it_missed(cluster: Cluster) -> None:
    """Deleted while it had no connection, from a topic that somebody made more than compacted."""
    name = cluster.names.verdicts
    both = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact,delete"})
    cluster.admin.alter_configs([both])
    read: list[Any] = []
    lost: list[int] = []
    relay = Relay(Connection(cluster.bootstrap), cluster.names, lambda *verdict: read.append(verdict), lost.append)

    async def read_until(count: int) -> str:
        running = asyncio.create_task(relay.run())
        while len(read) < count:
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return relay.unavailable_reason

    async def body() -> tuple[str, str]:
        verdicts = [orjson.dumps(verdict_record("continue", f"run{number}")) for number in range(60)]
        await asyncio.to_thread(write, cluster, name, verdicts[:10])
        before = await read_until(10)
        await asyncio.to_thread(write, cluster, name, verdicts[10:])
        cluster.admin.delete_records({At(name, 0): 40})
        return before, await read_until(10 + 20)

    before, after = asyncio.run(body())

    assert (before, lost) == ("", [30])
    assert after.startswith(f"offsets 10 to 39 of {name}[0] were gone before they were read: 30 records are lost")


@pytest.mark.parametrize("left", [5, 0])
def test_a_replay_of_a_topic_reads_the_rest_and_then_tells(cluster: Cluster, left: int) -> None:
    """Deleted while it reads; the client would go on at the end of the topic."""
    name = cluster.names.sources[0]
    values = [b"%d" % number + b"." * 400_000 for number in range(40)]
    write(cluster, name, values)
    reading = messages(Connection(cluster.bootstrap), name, "tick")
    read = [next(reading)]
    cluster.admin.delete_records({At(name, 0): len(values) - left})
    with pytest.raises(LostRecordsError) as caught:
        read.extend(reading)

    lost = LostRecords(name, 0, len(read) - left, len(values) - left)
    assert str(caught.value) == str(lost)
    assert read == [*values[: lost.first], *values[lost.end :]]


@pytest.mark.parametrize("left", [2, 0])
def test_dead_letters_that_were_deleted_before_they_were_given_back_are_told(cluster: Cluster, left: int) -> None:
    """Those before the first call are not missed: nobody knows whether anybody wanted them."""
    name, connection = cluster.names.dead_letters, Connection(cluster.bootstrap)
    letter = dead_letter(cluster.names, record(0, b"bad", key=b"k", topic=cluster.names.sources[0]), "because")
    write(cluster, name, [b"bad"] * 5, headers=letter.headers)
    cluster.admin.delete_records({At(name, 0): 2})
    first = asyncio.run(dead_letters.requeue(connection, cluster.names))
    write(cluster, name, [b"bad"] * 5, headers=letter.headers)
    cluster.admin.delete_records({At(name, 0): 10 - left})
    second = asyncio.run(dead_letters.requeue(connection, cluster.names))

    assert first == (3, 0, ())
    assert second == (left, 0, (LostRecords(name, 0, 5, 10 - left),))
