"""One broker for the whole folder; a topic of a new name for each test that wants one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from stream_app.kafka.clients.topics import Names
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.broker import Broker, find_broker
from tests.broker.cluster import Cluster


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    found = find_broker()
    yield found
    found.close()


@pytest.fixture(scope="session")
def admin(broker: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    yield client
    client.close()


@pytest.fixture
def prefix() -> str:
    """A name that no other test's topics and groups begin with."""
    return f"t{uuid.uuid4().hex[:10]}"


MakeTopic = Callable[..., str]


@pytest.fixture
def topic(admin: KafkaAdminClient, prefix: str) -> MakeTopic:
    """Make a topic: `topic("events", partitions=3, **{"retention.ms": "1"})` returns its full name."""

    def make(name: str, partitions: int = 1, **config: str) -> str:
        full = f"{prefix}-{name}"
        admin.create_topics([NewTopic(full, partitions, 1, topic_configs=config)], wait_for_metadata=True)
        return full

    return make


@pytest.fixture(scope="session")
def fleet() -> list[bytes]:
    """Some days of a small fleet, one message an event, in the order of arrival."""
    return [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=9, days=4, seed=3)).events()]


@pytest.fixture
def cluster(broker: Broker, admin: KafkaAdminClient, prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    """A deployment with its topics made and no worker yet; workers left over are killed."""
    made = Cluster(broker.bootstrap, admin, tmp_path, Names(prefix, (f"{prefix}-source",)))
    made.make_topics()
    yield made
    made.stop()
