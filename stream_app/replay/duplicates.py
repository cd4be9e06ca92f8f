"""Counts messages that repeat an earlier one."""

from __future__ import annotations

from collections import deque

#: Messages remembered: senders that repeat do so soon.
_REMEMBERED = 200_000


class Duplicates:
    """Remembers the hashes of the last messages."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, message: bytes) -> bool:
        """Whether a message repeats one of the last, which it then joins.

        Parameters
        ----------
        message
            The message.
        """
        key = hash(message)
        if key in self._known:
            return True
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > _REMEMBERED:
            self._known.discard(self._order.popleft())
        return False
