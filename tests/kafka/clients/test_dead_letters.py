"""Which records of the topic of dead letters are dead letters."""

from __future__ import annotations

import pytest

from stream_app.kafka.clients.dead_letters import _letter
from tests.support.kafka_records import record

PLACE = (("topic", b"provenance"), ("partition", b"3"), ("offset", b"17"))


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    """By its headers."""
    letter = _letter(record(0, b"oops", headers=(("reason", b"not JSON"), *PLACE)))

    assert letter is not None
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == ("not JSON", "provenance", 3, 17)


def test_a_reason_that_is_no_text_is_shown_all_the_same() -> None:
    """Anybody may write to the topic."""
    letter = _letter(record(0, b"oops", headers=(("reason", b"\xffx"), *PLACE)))

    assert letter is not None
    assert letter.reason == "\ufffdx"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("topic", b"provenance"),),
        (("topic", b"\xff"), ("partition", b"3"), ("offset", b"17")),
        (("topic", b"provenance"), ("partition", b"x"), ("offset", b"17")),
        (("topic", b"provenance"), ("partition", b"3"), ("offset", None)),
    ],
)
def test_what_does_not_say_where_it_came_from_is_none(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    """A stranger's record ends neither `dlq list` nor `dlq requeue`."""
    assert _letter(record(0, b"oops", headers=headers)) is None
