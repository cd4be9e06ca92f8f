"""A changelog that was deleted: nothing is said again in other words unless somebody decides so."""

from __future__ import annotations

import asyncio
import signal

from tests.broker.cluster import Cluster, Process
from tests.broker.deleting import delete_topics
from tests.broker.scenarios import check_state


def test_a_worker_does_not_begin_anew_where_its_state_is_lost(cluster: Cluster, fleet: list[bytes]) -> None:
    """It names what remains and what to do, and begins anew only when it is told to."""
    worker = cluster.worker()
    worker.said("are open")
    feed(cluster, fleet[:500])
    verdicts = written(cluster)
    ended(worker)
    delete_topics(cluster.admin, [cluster.names.changelog])
    cluster.make_topics()

    refused = cluster.worker()
    assert refused.wait(60) == 1
    line = next(line for line in refused.log.read_text().splitlines() if line.startswith("stream_app"))
    assert f"{cluster.names.changelog} is empty, but the group {cluster.names.group} has" in line
    assert "verdicts" in line
    assert "--accept-loss begins anew" in line
    assert written(cluster) == verdicts

    cluster.accept_loss = True
    told(cluster.worker())


def told(worker: Process) -> None:
    worker.said("beginning without the state that is lost")
    worker.said("are open")


def test_a_new_deployment_has_nothing_to_lose(cluster: Cluster, fleet: list[bytes]) -> None:
    """Empty topics all of them; and a worker that has read events once starts again as ever."""
    worker = cluster.worker()
    worker.said("are open")
    feed(cluster, fleet[:50])
    ended(worker)
    worker.start()
    feed(cluster, fleet[50:200])

    asyncio.run(check_state(cluster, fleet[:200]))


def ended(worker: Process) -> None:
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def feed(cluster: Cluster, messages: list[bytes]) -> None:
    async def body() -> None:
        await cluster.produce(cluster.names.sources[0], [(0, None, message) for message in messages])
        await cluster.settle()

    asyncio.run(body())


def written(cluster: Cluster) -> int:
    """Verdicts in the topic."""
    ends = asyncio.run(cluster.ends(cluster.names.verdicts, 4))
    return sum(ends.values())
