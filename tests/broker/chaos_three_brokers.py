"""Brokers of a cluster of three are killed under load, `make chaos` or `pytest tests/broker/chaos_three_brokers.py -s`.

Topics have three copies, of which two must be in sync. One broker may be lost without anybody noticing; when two are,
Kafka takes nothing, which is told, and work goes on when they are back. Every effect counts once in the end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.kafka.clients.durability import find_risks
from stream_app.kafka.clients.in_sync import OFFSETS
from stream_app.kafka.clients.topic_catalogue import catalogue
from stream_app.kafka.clients.topics import Names, check, find
from tests.broker.cluster import PATIENCE, Cluster, Process
from tests.broker.probes import Seen, figures, is_silent
from tests.broker.scenarios import check_outputs, check_state, trickle
from tests.broker.three_brokers import BROKERS, CONTROLLER, ThreeBrokers, three_brokers


@pytest.fixture(scope="module")
def brokers() -> Iterator[ThreeBrokers]:
    with three_brokers() as made:
        yield made


@pytest.fixture
def replicated(brokers: ThreeBrokers, prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    """A deployment with three copies of each topic; all brokers are there before and after."""
    with brokers.admin() as admin:
        made = Cluster(brokers.bootstrap, admin, tmp_path, Names(prefix, (f"{prefix}-source",)), replication=3)
        made.stale_seconds = 10
        made.make_topics()
        yield made
        made.stop()


def topics_of(cluster: Cluster) -> list[str]:
    return [topic.name for topic in catalogue(cluster.names, cluster.partitions, 3)]


def away(brokers: ThreeBrokers) -> list[int]:
    return [number for number, node in brokers.nodes.items() if node.process is None or node.process.poll() is not None]


def say(figures: str) -> None:
    """Show figures beside the test's name."""
    sys.stdout.write(f"\n{figures}\n")


def lines(worker: Process) -> str:
    """What a worker said above INFO, and when something was over."""
    told = (" WARNING ", " ERROR ", "again")
    return "\n".join(line for line in worker.log.read_text().splitlines() if any(word in line for word in told))


async def watched(worker: Process, seconds: float) -> list[Seen]:
    """What a worker says in some seconds, each second."""
    seen, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        seen.append(await asyncio.to_thread(figures, worker))
        await asyncio.sleep(1)
    return seen


def test_topics_have_the_copies_that_fit(replicated: Cluster) -> None:
    """Three, of which two must be in sync; nothing is wrong with them, nor at risk."""
    wanted = catalogue(replicated.names, replicated.partitions, 3)
    found = find(replicated.admin, [topic.name for topic in wanted])

    assert {topic.copies for topic in found.values()} == {3}
    assert {found[topic.name].config["min.insync.replicas"] for topic in wanted} == {"2"}
    assert check(replicated.admin, wanted) == []
    assert find_risks(replicated.admin, wanted) == []


@pytest.mark.parametrize("which", ["leader", "coordinator"])
def test_one_broker_is_lost(brokers: ThreeBrokers, replicated: Cluster, fleet: list[bytes], which: str) -> None:
    """The one that leads a partition of events, or that of the group, is killed under load and comes back."""

    async def body() -> None:
        workers = [replicated.worker(), replicated.worker()]
        for worker in workers:
            await asyncio.to_thread(worker.said, "are open")
        load = asyncio.create_task(trickle(replicated, fleet, seconds=25))
        await asyncio.sleep(5)
        topic = replicated.names.events if which == "leader" else OFFSETS
        victim = brokers.leader(topic, 0 if which == "leader" else home(replicated.names.group))
        brokers.kill(victim)
        began = time.monotonic()
        seen = await watched(workers[0], 8)
        await asyncio.to_thread(brokers.start, victim)
        await load
        await replicated.settle()
        say(f"settled {time.monotonic() - began:.0f} s after broker {victim} ({which}) was killed")
        assert all(each.live == 200 for each in seen)
        assert not is_silent(seen[-1], workers[0].log)
        assert all(worker.running for worker in workers)
        await check_state(replicated, fleet)
        await check_outputs(replicated, fleet)

    asyncio.run(body())
    brokers.wait_in_sync([*topics_of(replicated), OFFSETS])


def test_two_brokers_are_lost(brokers: ThreeBrokers, replicated: Cluster, fleet: list[bytes]) -> None:
    """Kafka takes nothing: it is told with the numbers, and the worker is live and not ready until one is back."""

    async def body() -> None:
        worker = replicated.worker()
        await asyncio.to_thread(worker.said, "are open")
        load = asyncio.create_task(trickle(replicated, fleet, seconds=25))
        await asyncio.sleep(5)
        brokers.kill(1, 2)
        began = time.monotonic()
        await asyncio.to_thread(worker.said, "need 2 replicas in sync (min.insync.replicas) and have 1")
        say(f"told {time.monotonic() - began:.0f} s after two brokers were killed")
        seen = await watched(worker, 15)
        await asyncio.to_thread(brokers.start, 1)
        await asyncio.to_thread(worker.said, "Kafka takes what is written again")
        await asyncio.to_thread(brokers.start, 2)
        await load
        await replicated.settle()
        say(lines(worker))
        assert {(each.live, each.ready) for each in seen} == {(200, 503)}
        assert replicated.names.events in seen[-1].waiting_for
        assert worker.running
        await check_state(replicated, fleet)
        await check_outputs(replicated, fleet)

    asyncio.run(body())
    brokers.wait_in_sync([*topics_of(replicated), OFFSETS])


def test_the_controller_and_two_brokers_are_lost(
    brokers: ThreeBrokers, replicated: Cluster, fleet: list[bytes]
) -> None:
    """Nobody can say then that replicas are missing: what is written is never acknowledged, and that is told."""

    async def body() -> None:
        worker = replicated.worker()
        await asyncio.to_thread(worker.said, "are open")
        load = asyncio.create_task(trickle(replicated, fleet, seconds=25))
        await asyncio.sleep(5)
        worker.signal(signal.SIGSTOP)  # so that it has something to write afterwards
        await asyncio.sleep(2)
        brokers.kill(CONTROLLER, 1, 2)
        worker.signal(signal.SIGCONT)
        began = time.monotonic()
        while (seen := figures(worker)).ready == 200:
            assert time.monotonic() - began < PATIENCE, lines(worker)
            await asyncio.sleep(0.5)
        say(f"not ready {time.monotonic() - began:.0f} s after the controller and two brokers were killed: {seen}")
        await asyncio.sleep(10)
        late = figures(worker)
        await asyncio.to_thread(brokers.start, CONTROLLER, 1, 2)
        await load
        await replicated.settle()
        say(lines(worker))
        assert (late.live, late.ready) == (200, 503)
        assert not is_silent(late, worker.log)
        while worker.ask("/readyz")[0] != 200:
            await asyncio.sleep(0.5)
        await check_state(replicated, fleet)
        await check_outputs(replicated, fleet)

    asyncio.run(body())
    brokers.wait_in_sync([*topics_of(replicated), OFFSETS])


@pytest.fixture(autouse=True)
def whole(brokers: ThreeBrokers) -> Iterator[None]:
    """Starts what a failed test left dead."""
    yield
    brokers.start(*away(brokers))
    assert set(BROKERS) <= brokers.nodes.keys()


def home(group: str) -> int:
    """The partition of the offsets topic whose leader coordinates a group."""
    hashed = 0
    for letter in group:
        hashed = (31 * hashed + ord(letter)) & 0xFFFFFFFF
    return (hashed & 0x7FFFFFFF) % 3
