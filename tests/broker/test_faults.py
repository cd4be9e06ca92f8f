"""Faults of all kinds, under load: nothing is lost, nothing counts twice, and no word is said in two ways."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import Names
from tests.broker.broker import JavaBroker, start_java
from tests.broker.cluster import Cluster
from tests.broker.deleting import delete_topics
from tests.broker.scenarios import check_outputs, check_state, keyed, kill_under_load, trickle
from tests.support.nobody import nobody

#: Longer than a session, so that the group has forgotten the worker when the broker is back.
OUTAGE_SECONDS = 8


def test_kills_lose_nothing_and_double_nothing(cluster: Cluster, fleet: list[bytes]) -> None:
    """Three workers, killed at random points under load: state and every word as in a replay."""

    async def body() -> None:
        for _ in range(3):
            cluster.worker()
        await kill_under_load(cluster, fleet, kills=3, seed=2)
        await cluster.settle()
        await check_state(cluster, fleet)
        await check_outputs(cluster, fleet)

    asyncio.run(body())


def test_after_a_kill_little_is_read_again(cluster: Cluster, fleet: list[bytes]) -> None:
    """Of a source, at most what came in two seconds is forwarded twice; of the events nothing is applied twice."""
    rate, source = 150, cluster.names.sources[0]
    few = fleet[: rate * 12]

    async def body() -> None:
        worker = cluster.worker()
        await asyncio.to_thread(worker.said, "are open")
        load = asyncio.create_task(cluster.produce(source, [(0, None, message) for message in few], seconds=12))
        for _ in range(2):
            await asyncio.sleep(4)
            worker.kill()
            worker.start()
            await asyncio.to_thread(worker.said, "are open")
        await load
        await cluster.settle()
        forwarded = sum((await cluster.ends(cluster.names.events, cluster.partitions)).values())

        assert len(few) <= forwarded <= len(few) + 2 * 2 * rate
        await check_state(cluster, few)

    asyncio.run(body())


def test_sigterm_drains_and_the_next_goes_on(cluster: Cluster, fleet: list[bytes]) -> None:
    """A worker told to stop under load exits 0; with its folder deleted, the next one restores from Kafka."""

    async def body() -> None:
        await cluster.produce(cluster.names.events, keyed(fleet))
        first = cluster.worker()
        while not any(await cluster.rows_of_core()):
            await asyncio.sleep(0.1)
        first.signal(signal.SIGTERM)
        assert first.wait(20) == 0
        shutil.rmtree(cluster.folder / "worker0")
        first.start()
        await cluster.settle()
        await check_state(cluster, fleet)
        await check_outputs(cluster, fleet)

    asyncio.run(body())


def test_a_worker_that_slept_through_its_session_overwrites_nothing(cluster: Cluster, fleet: list[bytes]) -> None:
    """Stopped in the middle of its work and woken after another took its partitions: both go on, nothing is lost."""

    async def body() -> None:
        sleeper = cluster.worker()
        load = asyncio.create_task(trickle(cluster, fleet, seconds=8))
        while not any(await cluster.rows_of_core()):
            await asyncio.sleep(0.1)
        sleeper.signal(signal.SIGSTOP)
        other = cluster.worker()
        await asyncio.to_thread(other.said, "are open")
        await load
        await cluster.settle()
        sleeper.signal(signal.SIGCONT)
        await cluster.produce(cluster.names.events, keyed(fleet[:200]))
        await cluster.settle()
        assert sleeper.running
        assert other.running
        await check_state(cluster, [*fleet, *fleet[:200]])
        await check_outputs(cluster, fleet)

    asyncio.run(body())


def test_without_kafka_a_worker_waits_and_says_so_once(cluster: Cluster) -> None:
    """It says in one line what it cannot reach, tries again, is live and not ready, and ends when told to."""
    with nobody() as cluster.bootstrap:
        worker = cluster.worker()
        worker.said("cannot reach Kafka at 127.0.0.1")
        statuses = [worker.ask(path)[0] for path in ("/livez", "/readyz")]
        worker.signal(signal.SIGTERM)

    assert statuses == [200, 503]
    assert worker.wait(20) == 0
    assert worker.log.read_text().count("cannot reach Kafka") == 1


def test_topics_made_after_the_start_are_waited_for(cluster: Cluster, fleet: list[bytes]) -> None:
    """A worker started before `topics apply` says in one line what to do, is live and not ready, and then goes on."""
    names = cluster.names
    delete_topics(cluster.admin, [names.alerts, names.sources[0]])
    worker = cluster.worker()
    worker.said(f"no such topics: {names.sources[0]}, {names.alerts}: run `stream-app topics apply`")
    live, ready = worker.ask("/livez")[0], worker.ask("/readyz?verbose")
    cluster.make_topics()
    worker.said("are open")

    async def body() -> None:
        await cluster.produce(names.events, keyed(fleet[:200]))
        await cluster.settle()
        await check_state(cluster, fleet[:200])

    asyncio.run(body())
    assert (live, ready[0]) == (200, 503)
    assert "no such topics" in ready[1]
    assert worker.log.read_text().count("no such topics") == 1


def test_wrong_topics_are_told_at_the_start(cluster: Cluster) -> None:
    """A worker refuses topics that would lose state, and says what to do."""
    cluster.partitions += 1
    worker = cluster.worker()

    assert worker.wait(20) != 0
    assert f"set kafka.partitions to {cluster.partitions - 1}" in worker.log.read_text()


@pytest.fixture
def own_broker() -> Iterator[JavaBroker]:
    """A broker that a test may stop."""
    made = start_java()
    yield made
    made.close()


def check_away(live: int, ready: int, detail: str, metrics: str) -> None:
    """What the probes and metrics of a worker say while Kafka is away: the lag is not known."""
    assert (live, ready) == (200, 503)
    assert '"kafka_answers": false' in detail.replace('":false', '": false')
    assert "stream_app_consumer_lag_records{" not in metrics


def test_an_outage_of_kafka_is_waited_for(own_broker: JavaBroker, tmp_path: Path, fleet: list[bytes]) -> None:
    """The broker stops under load and comes back: the same process goes on, and nothing is missing.

    Also when it was away for longer than a producer tries.
    """
    admin = KafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
    cluster = Cluster(own_broker.bootstrap, admin, tmp_path, Names("outage", ("outage-source",)), send_ms=3_000)
    cluster.stale_seconds = 2
    cluster.make_topics()

    async def body() -> None:
        worker = cluster.worker()
        load = asyncio.create_task(trickle(cluster, fleet, seconds=6))
        while not any(await cluster.rows_of_core()):
            await asyncio.sleep(0.1)
        await asyncio.to_thread(own_broker.stop)
        await asyncio.to_thread(worker.said, "Kafka has not answered a fetch for")
        away = worker.ask("/livez")[0], *worker.ask("/readyz?verbose"), worker.ask("/metrics")[1]
        await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.to_thread(own_broker.start)
        await asyncio.to_thread(worker.said, "Kafka answers again")
        check_away(*away)
        await load
        await cluster.settle()
        assert worker.running
        await check_state(cluster, fleet)
        await check_outputs(cluster, fleet)

    try:
        asyncio.run(body())
    finally:
        cluster.stop()
        admin.close()
