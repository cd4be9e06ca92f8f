"""Bad input is refused with a reason a person understands; nothing but `MalformedEvent` ever comes out."""

from __future__ import annotations

import json
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources.native import decode
from tests.sources.bad_input import BAD_INPUT, VALID, BadInput

WHOLE = json.dumps(VALID).encode()


@pytest.mark.parametrize("bad", BAD_INPUT, ids=lambda bad: bad.name)
def test_bad_input_is_refused_with_its_reason(bad: BadInput) -> None:
    """The reason says where the fault is and what was expected; it is one short line."""
    with pytest.raises(MalformedEvent) as caught:
        decode(bad.message)

    reason = str(caught.value)
    assert bad.reason in reason
    assert reason.isprintable()
    assert len(reason) < 320


def test_the_names_of_bad_input_are_unique() -> None:
    """A failing case can be told by its name."""
    assert len(BAD_INPUT) == len({bad.name for bad in BAD_INPUT})


def test_a_reason_repeats_at_most_80_characters_of_a_value() -> None:
    """A stranger's text does not flood the dead letters' reasons."""
    with pytest.raises(MalformedEvent) as caught:
        decode(orjson.dumps(VALID | {"time": "\x1b" * 200}))

    assert len(str(caught.value).split("got ")[1]) <= 80


def test_a_long_key_that_appears_twice_does_not_flood_its_reason() -> None:
    """The path is as short as any other value."""
    key = b'"%s"' % (b"k" * 500)
    message = WHOLE.replace(b'"auc"', key + b": 1, " + key)

    with pytest.raises(MalformedEvent, match=r"^properties\.k{60,}[.]+: the key appears twice"):
        decode(message)


def test_an_endless_string_of_escapes_is_refused_at_once() -> None:
    """Looking for the key before a fault does not take quadratic time."""
    with pytest.raises(MalformedEvent, match="not JSON"):
        decode(b'{"a":"' + b'\\"' * 500_000)


def _survives(message: bytes) -> None:
    with suppress(MalformedEvent):
        assert isinstance(decode(message), Event)


@given(st.binary(max_size=200))
def test_random_bytes_never_crash(message: bytes) -> None:
    """Whatever the bytes, the answer is an event or a reason."""
    _survives(message)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(WHOLE)),
            st.integers(0, 8),
            st.binary(max_size=8)
            | st.sampled_from(
                [
                    b'"',
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                    b":",
                    b",",
                    b"\\",
                    b"null",
                    b"1e999",
                    b"-",
                    b"\\ud800",
                    b"\xed\xa0\x80",
                ]
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_mutated_events_never_crash(edits: list[tuple[int, int, bytes]]) -> None:
    """A valid event with bytes cut out and others put in is an event or has a reason."""
    message = WHOLE
    for place, cut, put in edits:
        message = message[:place] + put + message[place + cut :]
    _survives(message)
