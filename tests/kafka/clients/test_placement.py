"""Where records of the topic of events are sent."""

from __future__ import annotations

import pytest
from kafka.partitioner import murmur2

from stream_app.kafka.clients.placement import Placement, partition_of_key


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
