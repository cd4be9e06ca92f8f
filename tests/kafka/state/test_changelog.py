"""What the records of a changelog amount to."""

from __future__ import annotations

import pytest

from stream_app.kafka.state.changelog import FENCE, POSITION, Fold, Rank, fence_key
from tests.support.kafka_records import record, row

START = Rank(1, 0)


def fold(*rows: tuple[bytes, bytes | None, Rank]) -> Fold:
    """The fold of a log of these rows, read to its end."""
    made = Fold({}, START)
    for offset, (key, value, rank) in enumerate(rows):
        made.add(row(offset, key, value, rank))
    return made


def group(rank: Rank, *rows: tuple[bytes, bytes | None]) -> list[tuple[bytes, bytes | None, Rank]]:
    return [(key, value, rank) for key, value in (*rows, (POSITION, b"at"))]


def test_the_last_row_of_a_key_counts() -> None:
    """Later groups overwrite and delete what earlier ones put."""
    made = fold(*group(Rank(1, 1), (b"x", b"1"), (b"y", b"1")), *group(Rank(1, 2), (b"x", b"2"), (b"y", None)))

    assert made.rows == {b"x": b"2", POSITION: b"at"}
    assert made.overwritten == set()


def test_rows_of_a_lower_rank_do_not_count() -> None:
    """A zombie's group, wherever it landed, changes nothing, and its keys are to be written again."""
    made = fold(*group(Rank(2, 5), (b"x", b"right")), *group(Rank(1, 9), (b"x", b"wrong"), (b"z", b"wrong")))

    assert made.rows == {b"x": b"right", POSITION: b"at"}
    assert made.overwritten == {b"x", b"z", POSITION}


def test_what_was_written_again_is_no_longer_overwritten() -> None:
    """The owner's next group heals the keys it writes."""
    rows = (
        *group(Rank(2, 5), (b"x", b"1")),
        *group(Rank(1, 9), (b"x", b"no")),
        *group(Rank(3, 5), (b"x", b"1")),
    )

    assert set() == fold(*rows).overwritten


def test_half_a_group_at_the_end_does_not_count() -> None:
    """Without its POSITION a group never happened; it may still come."""
    half = [(b"x", b"half", Rank(1, 2)), (b"y", None, Rank(1, 2))]
    made = fold(*group(Rank(1, 1), (b"x", b"1"), (b"y", b"1")), *half)
    assert made.rows == {b"x": b"1", b"y": b"1", POSITION: b"at"}
    assert made.to_write_again() == {b"x", b"y"}

    made.add(row(9, POSITION, b"then", Rank(1, 2)))

    assert made.rows == {b"x": b"half", POSITION: b"then"}
    assert made.to_write_again() == set()


def test_half_a_group_that_the_next_owner_dealt_with_is_settled() -> None:
    """The next owner wrote the rightful rows again; nothing is left to undo."""
    half = (b"x", b"half", Rank(1, 2))
    made = fold(*group(Rank(1, 1), (b"x", b"1")), half, *group(Rank(2, 1), (b"x", b"1")))

    assert made.rows == {b"x": b"1", POSITION: b"at"}
    assert made.to_write_again() == set()


def test_half_of_what_the_next_owner_wrote_settles_nothing() -> None:
    """It died too: the rows are those of the last whole group."""
    halves = [(b"x", b"half", Rank(1, 2)), (b"y", b"half", Rank(1, 2)), (b"x", b"1", Rank(2, 1))]
    made = fold(*group(Rank(1, 1), (b"x", b"1"), (b"y", b"1")), *halves)

    assert made.rows == {b"x": b"1", b"y": b"1", POSITION: b"at"}
    assert made.to_write_again() == {b"x", b"y"}


def test_what_a_former_owner_writes_after_a_fence_does_not_count() -> None:
    """Half of its group came before: the other half is too late."""
    rows = (
        *group(Rank(1, 1), (b"x", b"1")),
        (b"x", b"half", Rank(1, 2)),
        (FENCE, b"word", Rank(2, 0)),
        *group(Rank(1, 2), (b"y", b"late")),
    )
    made = fold(*rows)

    assert (made.rows, made.fence) == ({b"x": b"1", POSITION: b"at"}, b"word")
    assert made.to_write_again() == {b"x", b"y"}


def test_of_two_fences_of_one_epoch_the_first_counts() -> None:
    """The writer of the second sees that it was not the first."""
    made = fold(
        (FENCE, b"one", Rank(2, 0)), (FENCE, b"two", Rank(2, 0)), *group(Rank(2, 3)), (FENCE, b"three", Rank(2, 0))
    )

    assert (made.fence, made.rank) == (b"one", Rank(2, 3))


def test_compaction_may_have_taken_earlier_positions() -> None:
    """Only the last POSITION survives compaction; rows of the groups before it count all the same."""
    made = fold((b"x", b"1", Rank(1, 1)), (b"y", b"2", Rank(1, 2)), *group(Rank(1, 3), (b"z", b"3")))

    assert made.rows == {b"x": b"1", b"y": b"2", b"z": b"3", POSITION: b"at"}


def test_a_fence_outlives_the_next_one() -> None:
    """Its owner's rows are gone, overwritten by a zombie, and the next owner died behind a fence of its own."""
    log = [
        *group(Rank(1, 1), (b"x", b"1")),
        (fence_key(2), b"two", Rank(2, 0)),
        *group(Rank(2, 5), (b"x", b"2")),
        *group(Rank(1, 3), (b"x", b"late")),
        (fence_key(3), b"three", Rank(3, 0)),
    ]
    last = {key: number for number, (key, _, _) in enumerate(log)}
    made = fold(*[each for number, each in enumerate(log) if last[each[0]] == number])

    assert (made.rows, made.committed) == ({}, True)


def test_only_commits_write_more_than_position() -> None:
    """Taking over an empty log, or a record of a stranger in it, is no commit, of which something could be lost."""
    made = fold((FENCE, b"one", Rank(2, 0)), *group(Rank(1, 0)))
    made.add(record(7, key=b"x"))

    assert (made.rows, made.committed) == ({}, False)


@pytest.mark.parametrize(
    "headers", [(), (("rank", None),), (("rank", b""),), (("rank", b"\1" * 11),), (("x", b"\1" * 12),)]
)
def test_what_no_worker_wrote_is_ignored_once_told(
    headers: tuple[tuple[str, bytes | None], ...], caplog: pytest.LogCaptureFixture
) -> None:
    """A record without a rank: one of anybody must not stop a partition for ever.

    Compaction keeps it instead of the row that it has the key of, so that row is written again; a fence is not.
    """
    made = fold(*group(Rank(2, 5), (b"x", b"right")))
    for offset, key in enumerate((b"x", POSITION, FENCE, b"y"), 7):
        made.add(record(offset, b"wrong", headers=headers, key=key))

    assert made.rows == {b"x": b"right", POSITION: b"at"}
    assert made.to_write_again() == {b"x", b"y"}
    assert [line.split(";")[0] for line in caplog.messages] == ["topic[0] at offset 7: not a row of a changelog"]


#: What a zombie wrote after the next owner had taken over.
ZOMBIES = group(Rank(1, 9), (b"x", b"wrong"))


def read(fold: Fold, offset: int, *rows: tuple[bytes, bytes | None, Rank]) -> Fold:
    for place, each in enumerate(rows, offset):
        fold.add(row(place, *each))
    return fold


@pytest.mark.parametrize("offset", [1, 5], ids=["from the beginning", "from where a copy ends"])
def test_records_missing_before_a_position_that_does_not_count_may_have_counted(offset: int) -> None:
    """Compaction keeps the zombie's POSITION, instead of that of a commit which followed the rows that are known."""
    known = Fold({b"x": b"old", POSITION: b"at"}, Rank(2, 1), offset)

    assert read(known, offset + 1, *ZOMBIES).uncertain


def test_without_missing_records_the_rows_are_certain() -> None:
    """Whatever a zombie wrote, and with records missing after it: the last POSITION of a log is never removed."""
    known = read(Fold({b"x": b"old", POSITION: b"at"}, Rank(2, 1), 5), 5, *ZOMBIES)
    read(known, 17, (b"x", b"half", Rank(2, 3)))

    assert not known.uncertain


def test_a_position_that_counts_makes_the_rows_certain() -> None:
    """Its checksum tells whether rows are missing."""
    known = read(Fold({b"x": b"old", POSITION: b"at"}, Rank(2, 1), 5), 6, *ZOMBIES)
    read(known, 8, *group(Rank(3, 1), (b"x", b"old")))

    assert not known.uncertain


def test_a_position_of_nobody_hides_one_that_counts_as_well() -> None:
    """Compaction does not ask who wrote it."""
    known = Fold({b"x": b"old", POSITION: b"at"}, Rank(2, 1), 5)
    known.add(record(6, b"?", key=POSITION))

    assert known.uncertain
