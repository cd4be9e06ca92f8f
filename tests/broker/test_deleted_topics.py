"""Topics that are deleted and made anew while a worker uses them."""

from __future__ import annotations

import asyncio

from tests.broker.cluster import Cluster, Process
from tests.broker.deleting import delete_topics
from tests.broker.scenarios import check_state


def started(cluster: Cluster) -> Process:
    worker = cluster.worker()
    worker.said("are open")
    return worker


def test_a_source_topic_is_read_on_when_it_is_there_again(cluster: Cluster, fleet: list[bytes]) -> None:
    """Until then the worker is not ready and says why in one line; it is the same process all the time."""
    source = cluster.names.sources[0]
    worker = started(cluster)

    async def body() -> None:
        await cluster.produce(source, [(0, None, message) for message in fleet[:300]])
        await cluster.settle()
        delete_topics(cluster.admin, [source])
        await asyncio.to_thread(worker.said, f"topics were deleted: {source}")
        missing = worker.ask("/readyz?verbose")
        live = worker.ask("/livez")[0]
        cluster.make_topics()
        await cluster.produce(source, [(0, None, message) for message in fleet[300:700]])
        await cluster.settle()
        await check_state(cluster, fleet[:700])

        assert (missing[0], live, worker.ask("/readyz")[0]) == (503, 200, 200)
        assert f"topics were deleted: {source}" in missing[1]

    asyncio.run(body())
    log = worker.log.read_text()
    assert worker.running
    assert log.count("topics were deleted") == 1
    assert "Traceback" not in log
    assert len(log.splitlines()) < 40


def test_a_source_topic_made_anew_at_once_is_read_from_its_beginning(cluster: Cluster, fleet: list[bytes]) -> None:
    """Also where it soon has more events than the worker had read of the one before; and so after a kill."""
    source = cluster.names.sources[0]
    worker = started(cluster)

    async def body() -> None:
        await cluster.produce(source, [(0, None, message) for message in fleet[:300]])
        await cluster.settle()
        delete_topics(cluster.admin, [source])
        cluster.make_topics()
        await cluster.produce(source, [(0, None, message) for message in fleet[300:1000]])
        await asyncio.to_thread(worker.said, "is read from its beginning")
        await cluster.settle()
        worker.kill()
        worker.start()
        await cluster.settle()
        await check_state(cluster, fleet[:1000])

    asyncio.run(body())


def test_the_events_topic_made_anew_ends_the_worker(cluster: Cluster, fleet: list[bytes]) -> None:
    """State depends on its offsets: with what is there now, the next start begins at its beginning."""
    events = cluster.names.events
    worker = started(cluster)

    async def body() -> None:
        await cluster.produce(cluster.names.sources[0], [(0, None, message) for message in fleet[:200]])
        await cluster.settle()
        delete_topics(cluster.admin, [events])
        cluster.make_topics()
        assert await asyncio.to_thread(worker.wait, 60) == 1
        worker.start()
        await cluster.produce(cluster.names.sources[0], [(0, None, message) for message in fleet[200:400]])
        await cluster.settle()
        await check_state(cluster, fleet[:400])

    asyncio.run(body())
    assert f"topic {events} was deleted and made anew: the worker has to start again" in worker.log.read_text()
