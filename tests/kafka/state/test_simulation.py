"""Hundreds of histories of owners that begin, go on without knowing, and die, drawn from their seeds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kafka.state.simulation import run

#: What must have happened, or the histories would prove little.
FAULTS = (
    "ForeignAppendError",
    "KafkaConnectionError",
    "DiskFullError",
    "damaged copies",
    "times",
    "removed by compaction",
)


@pytest.mark.parametrize("hundred", range(4))
def test_every_record_counts_once_and_every_output_is_sent(hundred: int) -> None:
    """Whatever is delivered, compacted or damaged when, and whoever dies where; what is gone is refused."""
    seen: Counter[str] = Counter()
    for seed in range(100 * hundred, 100 * hundred + 100):
        world = run(seed)
        seen += world.seen
        seen["removed by compaction"] += world.cluster.removed

    assert all(seen[fault] > 50 for fault in FAULTS), seen
