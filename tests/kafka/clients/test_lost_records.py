"""What a reader missed, by where it is and where the log begins."""

from __future__ import annotations

import pytest

from stream_app.kafka.clients.lost_records import LostRecords, ReadPositions

AT = ("verdicts", 2)


@pytest.mark.parametrize(
    ("offset", "begins", "lost"),
    [
        (10, 0, None),
        (15, 0, None),  # compacted
        (15, 10, None),  # deleted up to where it is, and compacted after that
        (15, 15, (10, 15)),
        (15, 12, (10, 12)),
        (15, 20, (10, 15)),  # deleted again since
        (4, 4, None),  # the topic was made anew
    ],
)
def test_only_what_the_log_no_longer_begins_with_is_lost(
    offset: int, begins: int, lost: tuple[int, int] | None
) -> None:
    """Offsets have holes where records were compacted, and marks of transactions."""
    positions = ReadPositions()
    positions.start(AT, 10)

    assert positions.skips(AT, offset) == (offset > 10)
    assert positions.move(AT, offset, offset + 1, begins) == (LostRecords(*AT, *lost) if lost else None)
    assert not positions.skips(AT, offset + 1)


def test_the_first_records_read_miss_nothing() -> None:
    """What was deleted before a reader began is nothing that it was to read."""
    positions = ReadPositions()

    assert not positions.skips(AT, 100)
    assert positions.move(AT, 100, 101, 100) is None


def test_it_is_told_in_a_line() -> None:
    lost = LostRecords(*AT, 10, 15)

    assert str(lost) == "offsets 10 to 14 of verdicts[2] were gone before they were read: 5 records are lost"
