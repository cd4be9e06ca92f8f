"""The outbox gives back what was put in, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import StateError
from stream_app.kafka.state.outbox import Message, pack, unpack

optional = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), optional), max_size=3).map(tuple)
messages = st.builds(Message, topic=st.text(max_size=9), key=optional, value=optional, headers=headers)


@given(st.lists(messages, max_size=5))
def test_packed_messages_come_back(sent: list[Message]) -> None:
    """None is not the empty string, and any bytes at all may be in a key, a value or a header."""
    assert sent == unpack(pack(sent))


WHOLE = pack([Message("topic", b"key", None, (("name", None),))])


@pytest.mark.parametrize(
    "packed",
    [
        *(WHOLE[:end] for end in range(1, len(WHOLE))),
        WHOLE + b"\0",
        b"\xff\xff\xff\xff" + WHOLE[4:],
        WHOLE[:4] + b"\xff\xff\xff\xff" + WHOLE[8:],
        WHOLE[:8] + b"\xff" + WHOLE[9:],
    ],
)
def test_what_was_not_packed_is_refused(packed: bytes) -> None:
    """Cut off, with more behind it, or with other lengths: never other messages than were put in."""
    with pytest.raises(StateError, match="an outbox that cannot be read"):
        unpack(packed)
