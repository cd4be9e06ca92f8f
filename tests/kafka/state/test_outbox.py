"""The outbox gives back what was put in, byte for byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.kafka.state.outbox import Message, pack, unpack

optional = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), optional), max_size=3).map(tuple)
messages = st.builds(Message, topic=st.text(max_size=9), key=optional, value=optional, headers=headers)


@given(st.lists(messages, max_size=5))
def test_packed_messages_come_back(sent: list[Message]) -> None:
    """None is not the empty string, and any bytes at all may be in a key, a value or a header."""
    assert sent == unpack(pack(sent))
