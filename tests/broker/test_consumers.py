"""Topics that others read, read with nothing but kafka-python."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import kafka.codec
import orjson
import pytest
from kafka import KafkaConsumer

from stream_app.core.outputs import PRUNE
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import READABLE, make_producer, sender
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.messages import OutputEncoder
from tests.broker.cluster import REPOSITORY, Cluster
from tests.kafka.processing.test_messages import VERDICT


@pytest.fixture(autouse=True)
def only_gzip() -> None:
    """A package with another codec would prove nothing."""
    assert not any((kafka.codec.has_zstd(), kafka.codec.has_lz4(), kafka.codec.has_snappy()))


def test_the_consumer_of_the_documentation_reads_alerts(cluster: Cluster, tmp_path: Path) -> None:
    """Word for word, but for the addresses: ten lines and kafka-python."""
    page = (REPOSITORY / "docs" / "worker.md").read_text()
    [shown] = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names = cluster.names
    script = shown.replace("stream-app-alerts", names.alerts).replace("localhost:9092", cluster.bootstrap)
    (tmp_path / "pager.py").write_text(script)
    encoder = OutputEncoder(names, {}, {}, lambda *_: None, Counts())
    flagged = encoder.encode([replace(VERDICT, decision=PRUNE), replace(VERDICT, revision=2)], VERDICT.time_ms)

    async def send() -> None:
        connection = Connection(cluster.bootstrap)
        async with make_producer(connection) as producer, make_producer(connection, READABLE) as outputs:
            await sender(producer, dict.fromkeys(names.outputs, outputs))(flagged)

    asyncio.run(send())
    with subprocess.Popen([sys.executable, tmp_path / "pager.py"], stdout=subprocess.PIPE, text=True) as pager:
        assert pager.stdout is not None
        lines = [pager.stdout.readline().split() for _ in range(2)]
        pager.kill()

    assert len(shown.strip().splitlines()) <= 10
    assert [line[:2] for line in lines] == [["raised", "p/run:r"], ["withdrawn", "p/run:r"]]


def test_what_a_worker_writes_for_others_is_read_without_further_packages(cluster: Cluster, fleet: list[bytes]) -> None:
    """Verdicts, examples and dead letters. Sources may come in any codec."""
    cluster.worker()
    source = cluster.names.sources[0]

    async def body() -> None:
        await cluster.produce(source, [(0, None, message) for message in [*fleet[:600], b"oops"]])  # in zstd
        for codec in ("gzip", "lz4", "snappy"):
            async with make_producer(Connection(cluster.bootstrap), codec) as producer:
                await producer.send_and_wait(source, codec.encode(), partition=0)
        await cluster.settle()

    asyncio.run(body())
    found = {}
    for topic in (cluster.names.verdicts, cluster.names.examples, cluster.names.dead_letters):
        consumer = KafkaConsumer(
            topic, bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=5_000
        )
        found[topic] = [record.value for record in consumer]
        consumer.close()

    assert all("graphlet" in orjson.loads(value) for value in found[cluster.names.verdicts])
    assert min(len(values) for values in found.values()) > 0
    assert sorted(found[cluster.names.dead_letters]) == [b"gzip", b"lz4", b"oops", b"snappy"]
