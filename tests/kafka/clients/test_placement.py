"""Where records of the topic of events are sent."""

from __future__ import annotations

from typing import Any

import pytest
from kafka.partitioner import murmur2

from stream_app.errors import OptionsError
from stream_app.kafka.clients.placement import Placement, find_placement, partition_of_key
from stream_app.kafka.clients.topics import Names


@pytest.mark.parametrize("key", [b"", b"p", b"fraud/daily", "日本".encode()])
@pytest.mark.parametrize("partitions", [1, 3, 12, 100])
def test_a_key_is_placed_as_clients_place_it(key: bytes, partitions: int) -> None:
    """kafka-python, written independently, hashes it to the same partition."""
    placed = Placement("events", partitions).of("events", key, b"value")

    assert placed == partition_of_key(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_records_of_other_topics_are_left_to_the_client() -> None:
    """Source topics may have any number of partitions, and more at any time."""
    assert Placement("events", 3).of("source", b"key", b"value") is None


@pytest.mark.parametrize("value", [b"not an event", b"", None])
def test_a_record_without_a_key_is_placed_by_its_value(value: bytes | None) -> None:
    """A client would choose among all partitions, those that were added and are not read among them."""
    assert Placement("events", 3).of("events", None, value) == partition_of_key(value or b"", 3)


class Admin:
    """A client of a cluster with these topics: name -> number of partitions."""

    def __init__(self, topics: dict[str, int]) -> None:
        self._topics = topics

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        found = [
            {"name": name, "error_code": 0, "topic_id": name, "partitions": [None] * self._topics[name]}
            for name in names
            if name in self._topics
        ]
        return [*found, *({"name": name, "error_code": 3} for name in names if name not in self._topics)]


def test_the_changelog_tells_where_events_are_sent() -> None:
    """Also where the topic of events has more partitions by now."""
    admin = Admin({"g-events": 12, "g-state-changelog": 6})

    assert find_placement(admin, Names("g"), "g-events") == Placement("g-events", 6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ({"g-state-changelog": 6}, "topic g-events does not exist"),
        ({"g-events": 6}, "topic g-state-changelog, by which"),
        ({"g-events": 4, "g-state-changelog": 6}, "topic g-events has 4 partitions, fewer than the 6 of g-state-chang"),
    ],
)
def test_events_that_cannot_be_placed_are_refused_before_any_is_sent(topics: dict[str, int], message: str) -> None:
    """A client would fail on the first of them, with an error that says nothing."""
    with pytest.raises(OptionsError, match=message):
        find_placement(Admin(topics), Names("g"), "g-events")  # type: ignore[arg-type]
