"""Records that Kafka deleted, by retention or by hand, before a reader came to them.

Clients go on at the first record that is left, or at the end, and say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LostRecords:
    """Offsets of one partition that were gone.

    Parameters
    ----------
    topic, partition
        Where they were.
    first, end
        The first of them, and the one after the last.
    """

    topic: str
    partition: int
    first: int
    end: int

    @property
    def count(self) -> int:
        """How many offsets; a compacted topic had fewer records."""
        return self.end - self.first

    def __str__(self) -> str:
        return (
            f"offsets {self.first} to {self.end - 1} of {self.topic}[{self.partition}] were gone before they were "
            f"read: {self.count} records are lost"
        )


class ReadPositions:
    """Where a reader of partitions has come to, which tells what it missed."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}

    def start(self, at: tuple[str, int], offset: int) -> None:
        """Sets the next offset that is to be read."""
        self._next[at] = offset

    def skips(self, at: tuple[str, int], offset: int) -> bool:
        """Whether a reader that is at this offset has not seen all before it; it may be that nothing was there."""
        return offset > self._next.get(at, offset)

    def move(self, at: tuple[str, int], offset: int, end: int, begins: int = 0) -> LostRecords | None:
        """Moves on, and tells what was missed.

        Parameters
        ----------
        at
            Topic and partition.
        offset
            The first offset that was read now, or where the reader is.
        end
            The next that is to be read.
        begins
            The first offset that Kafka has; what is missing after it was compacted, or is a mark of a transaction.

        Returns
        -------
        LostRecords or None
            None when nothing is lost.
        """
        first, self._next[at] = self._next.get(at, offset), end
        lost = min(offset, begins)
        return LostRecords(at[0], at[1], first, lost) if lost > first else None
