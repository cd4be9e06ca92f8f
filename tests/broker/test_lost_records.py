"""Records that Kafka deleted before they were read: told in a line, a metric and the probe, for every topic read."""

from __future__ import annotations

import asyncio
import signal

import pytest
from aiokafka import TopicPartition
from kafka import TopicPartition as At

from tests.broker.cluster import Cluster


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
