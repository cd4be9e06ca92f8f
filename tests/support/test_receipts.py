"""The checks of what sinks received find what they are for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.receipts import extra_share, missing, wrong
from tests.support.sinks import Attempt

FIRST = Attempt(1.0, "ok", "s", True, "digest", "f#1@s", "f", 1, "raised")
SECOND = replace(FIRST, id="f#2@s", revision=2, change="resolved")


def test_a_message_may_come_twice_under_its_id() -> None:
    """Other flags and sinks have orders of their own."""
    attempts = [SECOND, replace(FIRST, name="t"), replace(FIRST, flag="g", id="g#1@s"), SECOND]

    assert wrong(attempts) == []
    assert extra_share(attempts) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("attempts", "what"),
    [
        ([replace(FIRST, verified=False)], "signature"),
        ([FIRST, replace(FIRST, id="other")], "several ids"),
        ([FIRST, replace(FIRST, body="other")], "several bodies"),
        ([SECOND, FIRST], r"order \[2, 1\]"),
        ([FIRST, SECOND, FIRST], r"order \[1, 2, 1\]"),
    ],
)
def test_what_is_wrong_is_found(attempts: list[Attempt], what: str) -> None:
    """One line each."""
    with pytest.raises(AssertionError, match=what):
        assert not wrong(attempts), wrong(attempts)


def test_what_did_not_arrive_is_named() -> None:
    """By sink and record."""
    assert missing([FIRST, replace(SECOND, name="t")], ["s", "t"], ["f#1", "f#2"]) == [("s", "f#2"), ("t", "f#1")]
