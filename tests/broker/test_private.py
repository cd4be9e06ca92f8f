"""What a stranger can do to a worker on a real broker: neither move its clocks, nor look into its files."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer
from stream_app.kafka.processing.partitioner import TICK, partition_of
from tests.broker.cluster import Cluster
from tests.broker.scenarios import keyed
from tests.broker.test_worker import measured

START = (
    b'{"time": "2026-01-01T00:00:00Z", "pipeline": "p", '
    b'"execution": {"id": "t", "type": "Trainer", "state": "RUNNING"}}'
)


def test_ticks_of_strangers_are_ignored_and_those_of_workers_count(cluster: Cluster) -> None:
    """Time passes by the worker's own, and what the stranger wrote is counted."""
    cluster.tick_seconds, cluster.horizon_ms, cluster.checkpoint_key = 0.5, 4_000, "a key of the group"
    number = partition_of("p", cluster.partitions)

    async def expired() -> bool:
        settings = Settings(horizon_ms=cluster.horizon_ms)
        detectors = [Detector.load(settings, rows) for rows in await cluster.rows_of_core()]
        return any(graphlet["cause"] == "expired" for detector in detectors for graphlet in detector.graphlets())

    async def body() -> None:
        worker = cluster.worker()
        await cluster.produce(cluster.names.events, [(None, b"p", START)])
        async with make_producer(Connection(cluster.bootstrap)) as producer:
            for content in (b"", b"", b"x" * 40):
                await producer.send_and_wait(cluster.names.events, b"tick", partition=number, headers=[(TICK, content)])
        while not await expired():
            assert worker.running, cluster.logs()
            await asyncio.sleep(0.3)
        metrics = await measured(worker, 'stream_app_ticks_ignored_total{reason="forged"} 1.0')

        assert 'stream_app_ticks_ignored_total{reason="unsigned"} 2.0' in metrics
        assert 'stream_app_ticks_ignored_total{reason="stale"} 0.0' in metrics
        assert cluster.logs().count(" is ignored: ") == 2

    asyncio.run(body())


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask that takes no right away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_all_that_a_worker_writes_is_its_users_alone(cluster: Cluster, fleet: list[bytes]) -> None:
    """Lock, copies of the state, key and checkpoint, whatever the umask."""
    cluster.learning = True

    async def body() -> None:
        worker = cluster.worker()
        await cluster.produce(cluster.names.events, keyed(fleet[:1_500]))
        await cluster.settle()
        worker.signal(signal.SIGTERM)
        assert worker.wait(20) == 0

    asyncio.run(body())
    folder = cluster.folder / "worker0"
    found = {path.relative_to(folder).as_posix(): path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    wide = {
        name: oct(mode)
        for name, mode in found.items()
        if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)
    }

    assert wide == {}
    assert {"worker.lock", "model.key", "model.checkpoint", "state/0", "state/0/CURRENT"} <= set(found)
