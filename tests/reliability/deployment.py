"""What rows share: a broker of their own, workers on it, and fleets small enough for the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import Names
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.broker import start_java
from tests.broker.cluster import Cluster

#: Events of a pipeline in a day, about.
EVENTS_PER_DAY = 100


@contextmanager
def broker() -> Iterator[str]:
    """The address of a broker of its own, which ends with the row."""
    made = start_java()
    try:
        yield made.bootstrap
    finally:
        made.close()


@contextmanager
def deployment(bootstrap: str, work: Path, name: str) -> Iterator[Cluster]:
    """Topics made and no worker yet; workers left over are killed."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(bootstrap, admin, folder, Names(name, (f"{name}-source",)))
    try:
        cluster.make_topics()
        yield cluster
    finally:
        cluster.stop()
        admin.close()


def fleet(count: int, seed: int, days: float = 3) -> list[bytes]:
    """About `count` events in the order of arrival, of so many pipelines that the oracle takes seconds."""
    pipelines = max(4, round(count / days / EVENTS_PER_DAY))
    return [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=pipelines, days=days, seed=seed)).events()]
