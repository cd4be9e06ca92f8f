"""A stranger's record whose header has a name that is no UTF-8, in the topics that are read."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from kafka import KafkaProducer

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topic_reader import messages
from stream_app.kafka.processing.partitioner import TICK
from tests.broker.cluster import Cluster
from tests.broker.scenarios import check_state
from tests.kafka.clients.test_tolerant_records import NoText


def test_header_names_that_are_no_text_stop_no_worker(cluster: Cluster, fleet: list[bytes]) -> None:
    """Neither one that runs nor one that starts, in any topic that it reads; every event around them is applied."""
    names = cluster.names
    worker = cluster.worker()
    worker.said("are open")

    def strange() -> None:
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap)
        headers: Any = [(NoText("x"), b"value")]
        for topic in (names.sources[0], names.events, names.examples, names.changelog):
            producer.send(topic, b"{}", key=b"stranger", partition=0, headers=headers).get(20)
        producer.close()

    async def body() -> None:
        source = names.sources[0]
        await cluster.produce(source, [(0, None, message) for message in fleet[:100]])
        await asyncio.to_thread(strange)
        await cluster.produce(source, [(0, None, message) for message in fleet[100:200]])
        await cluster.settle()
        worker.kill()
        await asyncio.to_thread(worker.wait)
        worker.start()
        await cluster.produce(source, [(0, None, message) for message in fleet[200:300]])
        await cluster.settle()
        await check_state(cluster, fleet[:300])

    asyncio.run(body())


def test_a_topic_with_such_a_record_is_read_as_a_file_is(cluster: Cluster) -> None:
    """By `replay` and `check`, to its end."""
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap)
    source = cluster.names.sources[0]
    for number in range(3):
        headers: Any = [(NoText("x"), b"value")] if number == 1 else []
        producer.send(source, orjson.dumps(number), partition=0, headers=headers).get(20)
    producer.close()

    assert list(messages(Connection(cluster.bootstrap), source, TICK)) == [b"0", b"1", b"2"]
