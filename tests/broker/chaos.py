"""Faults at length: `make chaos`, or `pytest tests/broker/chaos.py -s`. Some ten minutes, so not in `make test`.

What must hold is asserted; figures are printed.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from stream_app.kafka.engine.app import BATCH_RECORDS
from stream_app.kafka.state.changelog import POSITION
from stream_app.simulator import Fleet, FleetOptions
from tests.broker import test_faults
from tests.broker.broker import JavaBroker, start_java
from tests.broker.cluster import Cluster, Process
from tests.broker.scenarios import check_outputs, check_state, keyed, kill_under_load, trickle

STORM_SECONDS = 180
TAKEOVER_SECONDS = 30


@pytest.fixture(scope="module")
def large_fleet() -> list[bytes]:
    """Enough to keep three workers busy for minutes, one message an event."""
    return [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=40, days=12, seed=5)).events()]


def test_twenty_kills(cluster: Cluster, large_fleet: list[bytes]) -> None:
    """Three workers, killed twenty times at random points under load."""

    async def body() -> None:
        for _ in range(3):
            cluster.worker()
        await kill_under_load(cluster, large_fleet, kills=20, seed=11)
        await cluster.settle()
        await check_state(cluster, large_fleet)
        await check_outputs(cluster, large_fleet)

    asyncio.run(body())


def test_a_dead_worker_is_replaced_soon(cluster: Cluster, large_fleet: list[bytes]) -> None:
    """After a kill the others have its partitions, restored and being worked on, within the bound."""
    cluster.session_seconds = 10.0

    async def body() -> None:
        victim, heir = cluster.worker(), cluster.worker()
        load = asyncio.create_task(trickle(cluster, large_fleet, seconds=60))
        for worker in (victim, heir):
            await asyncio.to_thread(worker.said, "are open")
        while [figure(worker, "stream_app_consumer_assigned_partitions") for worker in (victim, heir)] != [3, 3]:
            await asyncio.sleep(0.5)
        await asyncio.sleep(5)
        victim.kill()
        began = time.monotonic()
        while figure(heir, "stream_app_consumer_assigned_partitions") != 6:
            assert time.monotonic() < began + TAKEOVER_SECONDS
            await asyncio.sleep(0.1)
        say(f"taken over after {time.monotonic() - began:.1f} s")
        await load
        await cluster.settle()
        await check_state(cluster, large_fleet)

    asyncio.run(body())


def test_commits_advance_under_full_load(cluster: Cluster, large_fleet: list[bytes]) -> None:
    """While a worker catches up, commits rise all the time, at most a batch of a partition behind what is applied."""

    def committed() -> int:
        found = cluster.admin.list_group_offsets(cluster.names.group)[cluster.names.group]
        return sum(entry.offset for at, entry in found.items() if at.topic == cluster.names.events)

    async def body() -> None:
        await cluster.produce(cluster.names.events, keyed(large_fleet))
        worker = cluster.worker()
        await asyncio.to_thread(worker.said, "are open")
        seen = []
        while (applied := applied_by(worker)) < len(large_fleet):
            await asyncio.sleep(3)
            if applied:
                seen.append((applied, committed()))
        rises = [after - before for (_, before), (_, after) in pairwise(seen)]
        behind = max(applied - reached for applied, reached in seen)
        say(f"in 3 s each, {rises} were committed; at most {max(behind, 0)} behind what was applied 3 s before")
        assert all(rise > 0 for rise in rises)
        assert behind <= BATCH_RECORDS * cluster.partitions

    asyncio.run(body())


def test_a_storm_of_rebalances(cluster: Cluster) -> None:
    """A worker joins and leaves every ten seconds, with 10,000 open graphlets: progress in each half minute."""
    execution = '"execution":{"id":"t%d","type":"Trainer","state":"RUNNING"}'
    trainer = '{"time":"2026-01-01T00:00:00Z","pipeline":"p%d",' + execution + "}"
    opened = [(trainer % (n % 40, n)).encode() for n in range(10_000)]
    later = [message.replace(b"RUNNING", b"COMPLETE") for message in opened]

    async def body() -> None:
        stayer = cluster.worker()
        await cluster.produce(cluster.names.events, keyed(opened))
        await cluster.settle()
        load = asyncio.create_task(trickle(cluster, later, STORM_SECONDS))
        end, seen = time.monotonic() + STORM_SECONDS, [await applied_everywhere(cluster)]
        guest: Process | None = None
        while time.monotonic() < end:
            for _ in range(3):
                if guest is None:
                    guest = cluster.worker()
                else:
                    guest.signal(signal.SIGTERM)
                    guest = None
                await asyncio.sleep(10)
            seen.append(await applied_everywhere(cluster))
        say(f"applied in each half minute: {[b - a for a, b in pairwise(seen)]}")
        assert all(b > a for a, b in pairwise(seen))
        await load
        await cluster.settle()
        assert stayer.running
        await check_state(cluster, [*opened, *later])

    asyncio.run(body())


@pytest.fixture
def own_broker() -> Iterator[JavaBroker]:
    made = start_java()
    yield made
    made.close()


def test_an_outage_of_a_minute(
    own_broker: JavaBroker, tmp_path: Path, fleet: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the short form, but for a minute."""
    monkeypatch.setattr(test_faults, "OUTAGE_SECONDS", 60)
    test_faults.test_an_outage_of_kafka_is_waited_for(own_broker, tmp_path, fleet)


def say(figures: str) -> None:
    """Show figures beside the test's name."""
    sys.stdout.write(f"\n{figures}\n")


def figure(worker: Process, name: str) -> float:
    """A value of the worker's metrics, summed over its labels."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", worker.ask("/metrics")[1], re.MULTILINE)
    assert found
    return sum(map(float, found))


def applied_by(worker: Process) -> int:
    return int(figure(worker, "stream_app_events_processed_total"))


async def applied_everywhere(cluster: Cluster) -> int:
    """The sum of the positions of all partitions."""
    stored = [rows.get(POSITION) for rows in (await cluster.rows()).values()]
    return sum(orjson.loads(position)["offset"] for position in stored if position is not None)
