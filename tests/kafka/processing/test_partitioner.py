"""Which partition a pipeline belongs to."""

from __future__ import annotations

import pytest
from kafka.partitioner import murmur2

from stream_app.kafka.processing.partitioner import partition_of


@pytest.mark.parametrize("pipeline", ["p", "ads-ctr", "fraud/daily", "日本", ""])
@pytest.mark.parametrize("partitions", [1, 3, 12, 100])
def test_it_is_where_a_keyed_sender_puts_it(pipeline: str, partitions: int) -> None:
    """kafka-python, written independently, hashes the same key to the same partition."""
    assert partition_of(pipeline, partitions) == (murmur2(pipeline.encode()) & 0x7FFFFFFF) % partitions
