"""An outbox of any length is committed in rows of bounded size."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import StateError
from stream_app.kafka.processing.long_outbox import FURTHER, ROW_BYTES, LongOutbox
from stream_app.kafka.state.outbox import Message

#: Messages of up to twice the size of a row, by their sizes in eighths of a row.
SIZES = st.lists(st.integers(0, 16), max_size=12)


def messages(sizes: list[int], name: str = "m") -> list[Message]:
    return [Message(f"{name}{number}", None, bytes(size * ROW_BYTES // 8)) for number, size in enumerate(sizes)]


def size_of(part: list[Message]) -> int:
    return sum(len(message.value or b"") for message in part)


@given(SIZES, SIZES)
def test_what_was_committed_last_comes_back_in_order(before: list[int], now: list[int]) -> None:
    """Whatever the commit before it had, and in any process."""
    rows: dict[bytes, bytes] = {}
    outbox = LongOutbox(rows)
    for sizes in (before, now):
        sent = messages(sizes)
        first, further = outbox.split(sent)
        for key, value in further:
            if value is None:
                del rows[key]
            else:
                rows[key] = value
        again = LongOutbox(rows)

        assert first + again.restored == sent
        assert len(first) <= 1 or size_of(first) <= ROW_BYTES

    assert dict(again.split([])[1]) == dict.fromkeys(rows)


def test_a_short_outbox_takes_no_further_row() -> None:
    """Nearly every commit has one."""
    sent = messages([4, 4])

    assert LongOutbox({b"\x00outbox": b"", b"row": b""}).split(sent) == (sent, [])


@given(SIZES)
def test_rows_are_filled(sizes: list[int]) -> None:
    """Two rows that follow each other would not fit into one, and a row above the size has one message."""
    first, further = LongOutbox({}).split(messages(sizes))
    parts = [first, *(LongOutbox({key: value or b""}).restored for key, value in further)]

    assert all(size_of(one) + size_of(other[:1]) > ROW_BYTES for one, other in pairwise(parts))
    assert all(len(part) == 1 for part in parts if size_of(part) > ROW_BYTES)


def test_a_row_that_cannot_be_read_is_an_error_of_the_state() -> None:
    """What it held is not known, so the partition does not go on without it."""
    with pytest.raises(StateError, match="an outbox that cannot be read"):
        LongOutbox({FURTHER + b"000000": b"\x00"})
