"""The cursor of a pass over a store: how far it has been read.

ML Metadata has no log. A change leaves three traces: `last_update_time_since_epoch` of executions and artifacts, and
rising ids of events (edges) and of associations, which do not touch the execution they belong to. None of them is in
the order of commits, so a pass reads with some overlap, and the cursor remembers what it saw there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from stream_app.errors import StateError
from stream_app.sources.scalars import whole

#: How far a transaction's time may be before that of one committed earlier, in ms: longer than any transaction of
#: ML Metadata, and than the difference between its servers' clocks.
WINDOW_MS = 60_000
#: Rows this new may change again within the same millisecond, so they are always read again.
HOT_MS = 1_000
#: How far an id may be below one committed earlier.
ID_WINDOW = 1_000

_VERSION = 1


@dataclass(slots=True)
class Ids:
    """The ids of a growing table that were seen: all up to the last, apart from the gaps."""

    last: int = 0
    #: Ids not seen among the last `ID_WINDOW`: rolled back, or not committed yet.
    gaps: list[int] = field(default_factory=list)

    def after(self, seen: Iterable[int]) -> Ids:
        """The ids seen after some more were seen."""
        found = set(seen)
        last = max(found, default=self.last)
        last = max(last, self.last)
        lowest = last - ID_WINDOW
        missing = (*self.gaps, *range(max(self.last, lowest) + 1, last + 1))
        return Ids(last, [gap for gap in missing if gap > lowest and gap > 0 and gap not in found])


@dataclass(slots=True)
class Cursor:
    """A position in a store, to be stored between passes; an empty one stands at the beginning."""

    #: The latest change seen, in ms since 1970 UTC, and never after this machine's clock: a row with a future time must
    #: not hide present ones.
    frontier_ms: int = 0
    #: Id -> last change, of executions and artifacts changed since `frontier_ms` - `WINDOW_MS`.
    executions: dict[int, int] = field(default_factory=dict)
    artifacts: dict[int, int] = field(default_factory=dict)
    edges: Ids = field(default_factory=Ids)
    associations: Ids = field(default_factory=Ids)
    #: Execution id -> (last change of it or of an output, digest of its events), for the same window.
    said: dict[int, tuple[int, str]] = field(default_factory=dict)

    def move_to(self, other: Cursor) -> None:
        """Moves to the position of another cursor.

        Parameters
        ----------
        other
            The other cursor.
        """
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def to_json(self) -> bytes:
        """The cursor in the form that `from_json` reads."""
        return orjson.dumps({"version": _VERSION, **asdict(self)}, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, text: bytes) -> Cursor:
        """Reads a stored cursor.

        Parameters
        ----------
        text
            The JSON form.

        Returns
        -------
        Cursor
            The cursor.

        Raises
        ------
        StateError
            The text is not a cursor of this version. An empty cursor is always correct in its place: it only repeats
            events.
        """
        try:
            found: dict[str, Any] = orjson.loads(text)
            if found["version"] != _VERSION:
                raise StateError(f"cursor of version {found['version']!r}, expected {_VERSION}")
            return cls(
                whole(found["frontier_ms"]),
                {whole(int(key)): whole(ms) for key, ms in found["executions"].items()},
                {whole(int(key)): whole(ms) for key, ms in found["artifacts"].items()},
                Ids(whole(found["edges"]["last"]), list(map(whole, found["edges"]["gaps"]))),
                Ids(whole(found["associations"]["last"]), list(map(whole, found["associations"]["gaps"]))),
                {whole(int(key)): (whole(ms), str(digest)) for key, (ms, digest) in found["said"].items()},
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"cursor that cannot be read: {error}") from None
