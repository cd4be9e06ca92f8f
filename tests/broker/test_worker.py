"""Workers on a real broker: whatever happens to them, the answer is that of a replay of the same log."""

from __future__ import annotations

import asyncio
import random
import re
import time
import zlib

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.times import text_to_time
from tests.broker.cluster import PATIENCE, Cluster, Process
from tests.broker.scenarios import SOURCE_PARTITIONS, check_outputs, check_state, keyed, pipeline


@pytest.mark.parametrize("workers", [1, 3])
def test_events_in_any_partition_give_the_answer_of_replay(cluster: Cluster, fleet: list[bytes], workers: int) -> None:
    """Source partitions mean nothing: events are put where their pipelines belong, by one worker or three."""
    spread = random.Random(1)

    async def body() -> None:
        for _ in range(workers):
            cluster.worker()
        records = [(spread.randrange(SOURCE_PARTITIONS), None, message) for message in fleet]
        await cluster.produce(cluster.names.sources[0], records)
        await cluster.settle()
        await check_state(cluster, fleet)

    asyncio.run(body())


def test_verdicts_are_those_of_replay(cluster: Cluster, fleet: list[bytes]) -> None:
    """With a model that learns nothing and the order kept within each pipeline, word for word."""

    async def body() -> None:
        await cluster.produce(cluster.names.events, keyed(fleet))
        cluster.worker()
        await cluster.settle()
        await check_outputs(cluster, fleet)

    asyncio.run(body())


def test_another_partitioner_tears_no_graphlet(cluster: Cluster, fleet: list[bytes]) -> None:
    """librdkafka puts keys elsewhere (CRC32); such records are moved to where their pipelines belong."""

    async def body() -> None:
        records = [(zlib.crc32(pipeline(m)) % cluster.partitions, pipeline(m), m) for m in fleet]
        await cluster.produce(cluster.names.events, records)
        cluster.worker()
        await cluster.settle()
        await check_state(cluster, fleet)

    asyncio.run(body())


def test_bad_messages_stop_nothing(cluster: Cluster, fleet: list[bytes]) -> None:
    """They go to the dead letters with their bytes, place and reason; the events around them count."""
    source, few = cluster.names.sources[0], fleet[:500]
    bad = [b"\x00\xff", b"[]", b'{"time": "never"}', b"[" * 500]

    async def body() -> None:
        cluster.worker()
        await cluster.produce(source, [(0, b"key", message) for message in bad])
        await cluster.produce(source, [(0, None, message) for message in few])
        await cluster.produce(cluster.names.events, [(1, None, message) for message in bad])
        await cluster.settle()
        await check_state(cluster, few)
        letters = await cluster.read(cluster.names.dead_letters, SOURCE_PARTITIONS)
        found = {(dict(letter.headers)["topic"], letter.value) for letter in letters}

        assert found == {(topic.encode(), m) for topic in (source, cluster.names.events) for m in bad}
        assert all({"reason", "partition", "offset"} <= dict(letter.headers).keys() for letter in letters)

    asyncio.run(body())


def test_time_passes_by_ticks_alone(cluster: Cluster) -> None:
    """A hung run reaches its horizon without any event; a run of long ago is not expired by the present."""
    cluster.tick_seconds, cluster.horizon_ms = 0.5, 4_000
    execution = b'"execution": {"id": "t", "type": "Trainer", "state": "RUNNING"}'
    start = b'{"time": "2026-01-01T00:00:00Z", "pipeline": "p", %s}' % execution

    async def outcomes() -> list[tuple[str, str | None, int]]:
        settings = Settings(horizon_ms=cluster.horizon_ms)
        detectors = [Detector.load(settings, rows) for rows in await cluster.rows_of_core()]
        return [(g["outcome"], g["cause"], d.pipelines["p"].clock.now_ms) for d in detectors for g in d.graphlets()]

    async def body() -> None:
        worker = cluster.worker()
        await cluster.produce(cluster.names.events, [(None, b"p", start)])
        while not any(kind == "not_pushed" for kind, _, _ in await outcomes()):
            assert worker.running, cluster.logs()
            await asyncio.sleep(0.3)
        ((_, cause, clock_ms),) = await outcomes()

        assert cause == "expired"
        assert 4_000 <= clock_ms - text_to_time("2026-01-01T00:00:00Z") < 30_000

    asyncio.run(body())


async def measured(worker: Process, series: str) -> str:
    """The metrics of a worker once a gauge has this value: gauges are updated once a second."""
    end = time.monotonic() + PATIENCE
    while f"\n{series}\n" not in (metrics := worker.ask("/metrics")[1]):
        assert time.monotonic() < end, f"{series} is not in\n{metrics}"
        await asyncio.sleep(0.1)
    return metrics


def test_a_worker_that_serves_is_ready_and_counts(cluster: Cluster, fleet: list[bytes]) -> None:
    """It is live and ready, and its metrics agree with what it was given."""
    few = fleet[:300]

    async def body() -> None:
        worker = cluster.worker()
        await cluster.produce(cluster.names.sources[0], [(0, None, message) for message in [*few, b"{"]])
        await cluster.settle()
        source = cluster.names.sources[0]
        await measured(worker, f'stream_app_consumer_lag_records{{partition="0",topic="{source}"}} 0.0')
        metrics = await measured(worker, "stream_app_consumer_assigned_partitions 6.0")

        assert [worker.ask(path)[0] for path in ("/livez", "/readyz")] == [200, 200]
        assert f'stream_app_events_consumed_total{{topic="{source}"}} 301.0' in metrics
        assert "stream_app_event_processing_duration_seconds_count 300.0" in metrics
        assert 'stream_app_events_dead_lettered_total{reason="malformed"} 1.0' in metrics
        assert 'stream_app_flags_stopped{budget="0.05"} 0.0' in metrics
        for name in ("rebalance", "table_recovery", "offset_commit"):
            assert re.search(rf"^stream_app_{name}_duration_seconds_count [1-9]", metrics, re.MULTILINE)

    asyncio.run(body())
