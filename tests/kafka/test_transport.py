"""How fetched records become batches."""

from __future__ import annotations

from stream_app.kafka.transport import split
from tests.kafka.records import record


def test_a_batch_is_bounded_in_bytes() -> None:
    """Records are cut where the next one would pass the bound, in order."""
    batches = split([record(n, b"x" * 40, key=b"") for n in range(5)], most_bytes=100)

    assert [[r.offset for r in batch.records] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch.end for batch in batches] == [2, 4, 5]


def test_a_record_over_the_bound_stands_alone() -> None:
    """It is handed over all the same."""
    batches = split([record(0, b"x"), record(1, b"x" * 200), record(9, None)], most_bytes=100)

    assert [[r.offset for r in batch.records] for batch in batches] == [[0], [1], [9]]
    assert batches[-1].end == 10


def test_nothing_makes_no_batch() -> None:
    """There is no empty batch."""
    assert split([]) == []
