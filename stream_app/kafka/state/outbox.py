"""The outbox: the output records of a batch, kept as a row of the state from which they were made.

Outputs are sent after the state is committed. If the process dies in between, the next owner of the partition sends
the outbox again: the same records, byte for byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from stream_app.errors import StateError

#: A header may have no value.
Headers = tuple[tuple[str, bytes | None], ...]

_LENGTH = struct.Struct(">i")


@dataclass(frozen=True)
class Message:
    """A record to be sent; Kafka's default partitioner places it by its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def pack(messages: Iterable[Message]) -> bytes:
    """Encodes messages: the number of headers, then each field as its length (-1: None) and its bytes."""
    parts: list[bytes] = []
    for message in messages:
        fields: list[bytes | None] = [message.topic.encode(), message.key, message.value]
        for name, content in message.headers:
            fields += [name.encode(), content]
        parts.append(_LENGTH.pack(len(message.headers)))
        for field in fields:
            parts.append(_LENGTH.pack(-1 if field is None else len(field)))
            if field is not None:
                parts.append(field)
    return b"".join(parts)


def unpack(packed: bytes) -> list[Message]:
    """Decodes what `pack` encoded.

    Raises
    ------
    StateError
        It is not what `pack` encodes.
    """
    try:
        messages = _unpacked(packed)
    except (struct.error, ValueError) as error:
        raise StateError(f"an outbox that cannot be read: {error}") from error
    if pack(messages) != packed:
        raise StateError("an outbox that cannot be read: it ends within a message")
    return messages


def _unpacked(packed: bytes) -> list[Message]:
    messages: list[Message] = []
    offset = 0

    def number() -> int:
        nonlocal offset
        (value,) = _LENGTH.unpack_from(packed, offset)
        offset += _LENGTH.size
        return int(value)

    def optional() -> bytes | None:
        nonlocal offset
        length = number()
        if length < 0:
            return None
        offset += length
        return packed[offset - length : offset]

    def required() -> bytes:
        field = optional()
        if field is None:
            raise ValueError("a name is missing")
        return field

    while offset < len(packed):
        count = number()
        topic, key, value = required().decode(), optional(), optional()
        headers = tuple((required().decode(), optional()) for _ in range(count))
        messages.append(Message(topic, key, value, headers))
    return messages
