"""An outbox that is too long for one row of the state.

Input bounds most outputs, but when time moves far ahead at once, one event may close any number of graphlets. Kafka
takes no row that is larger than a record batch may be, so that what does not fit into the outbox of the table is kept
in further rows. They are committed with it, and deleted by the next commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Message, pack, unpack

#: Prefix of the keys of further rows; their number follows.
FURTHER = b"\x00outbox/"
#: Bytes of keys and values in one row, unless a single message is larger.
ROW_BYTES = 1 << 20


class LongOutbox:
    """The further rows of the outbox of a partition.

    Parameters
    ----------
    rows
        The rows of the partition.

    Attributes
    ----------
    restored
        The messages in further rows, in order, which may not have been sent.

    Raises
    ------
    StateError
        A further row cannot be read.
    """

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self._keys = sorted(key for key in rows if key.startswith(FURTHER))
        self.restored = [message for key in self._keys for message in unpack(rows[key])]

    def split(self, outbox: Iterable[Message]) -> tuple[list[Message], list[Row]]:
        """Splits the outbox of the next commit.

        Parameters
        ----------
        outbox
            All of its messages.

        Returns
        -------
        tuple
            The messages for the outbox of the table, and the rows to commit with them: those of the other messages, and
            the deletion of rows of the commit before.
        """
        first, *others = _parts(outbox)
        written = {FURTHER + b"%06d" % number: pack(part) for number, part in enumerate(others)}
        rows: dict[bytes, bytes | None] = {**dict.fromkeys(self._keys), **written}
        self._keys = [*written]
        return first, [*rows.items()]


def _parts(messages: Iterable[Message]) -> list[list[Message]]:
    """The messages in order, in parts of bounded size; at least one part."""
    parts: list[list[Message]] = [[]]
    size = 0
    for message in messages:
        message_size = len(message.key or b"") + len(message.value or b"")
        if parts[-1] and size + message_size > ROW_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(message)
        size += message_size
    return parts
