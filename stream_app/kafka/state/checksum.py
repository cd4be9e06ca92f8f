"""What the rows of a partition amount to: written to the changelog with every commit, and compared when it is read.

Compaction keeps the last record of a key, also when it does not count, because a worker that had lost the partition
wrote it, or one that died within a group. Until `min.compaction.lag.ms` have passed, the row that counts is still there
to be read, and the next owner writes it again. If nobody takes the partition over for longer, that row may be gone.
What remains looks like a state; only the checksum shows that it is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.kafka.state.local_store import Row, digest

_MASK = (1 << 64) - 1


class Checksum:
    """The number of rows and the sum of their digests, kept up to date as rows are replaced.

    The digests are held in memory: those of replaced rows must not depend on what a disk gives back.

    Parameters
    ----------
    rows
        The rows to begin with.
    """

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self._digests = {row[0]: digest(row) for row in rows.items()}
        self._sum = sum(self._digests.values())

    def update(self, rows: Iterable[Row]) -> None:
        """Replaces rows.

        Parameters
        ----------
        rows
            Keys and values; a value of None deletes the row.
        """
        for key, value in rows:
            self._sum -= self._digests.pop(key, 0)
            if value is not None:
                self._digests[key] = added = digest((key, value))
                self._sum += added

    def fields(self) -> dict[str, object]:
        """The fields by which it is written and compared."""
        return {"rows": len(self._digests), "digests": f"{self._sum & _MASK:016x}"}
