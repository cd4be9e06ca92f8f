"""What of the topics would not outlast the loss of a broker."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.kafka.clients import durability
from stream_app.kafka.clients.durability import find_risks
from stream_app.kafka.clients.topics import Found, Topic


class Cluster:
    """An admin client of some brokers and topics: copies, and how many must be in sync."""

    def __init__(self, brokers: int, **topics: tuple[int, int]) -> None:
        self.brokers = brokers
        self.topics = topics

    def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{"broker_id": number} for number in range(self.brokers)]}

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "partitions": [0] if name in self.topics else []} for name in names]

    def find(self, names: list[str]) -> dict[str, Found]:
        return {
            name: Found("id", 1, {"min.insync.replicas": str(needed)}, copies)
            for name, (copies, needed) in self.topics.items()
            if name in names
        }


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durability, "find", lambda admin, names: admin.find(names))


def risks(brokers: int, **topics: tuple[int, int]) -> list[str]:
    names = [name for name in topics if not name.startswith("__")]
    return find_risks(Cluster(brokers, **topics), [Topic(name, None) for name in names])  # type: ignore[arg-type]


def test_one_copy_is_a_risk_where_there_could_be_three() -> None:
    """Also of the offsets of groups; on one or two brokers nothing better can be had."""
    topics = {"events": (1, 1), "alerts": (3, 2), "__consumer_offsets": (1, 1)}

    assert risks(1, **topics) == risks(2, **topics) == []
    [risk] = risks(3, **topics)
    assert risk.startswith("there is only 1 copy of events, __consumer_offsets although the cluster has 3 brokers")
    assert "set `kafka.replication = 3`" in risk


def test_that_all_copies_must_be_in_sync_is_a_risk() -> None:
    """One broker that restarts would stop all writes."""
    [risk] = risks(3, events=(3, 2), source=(3, 3), older=(2, 2))

    assert risk.startswith("all copies must be in sync (min.insync.replicas) of source (3 of 3), older (2 of 2)")
    assert risk.endswith("set it to one less than there are copies")
