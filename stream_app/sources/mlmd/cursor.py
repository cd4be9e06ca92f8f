"""How far a store has been read.

MLMD has no log. What changes leaves three traces: `last_update_time_since_epoch` of executions and artifacts, and
rising ids of events (edges) and associations, which do not touch the execution they belong to. None of them is in
the order of commits, so a pass looks back a little, and the cursor remembers what it saw there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from stream_app.errors import StateError

#: How far a transaction's time may lie before that of one committed earlier. Longer than any transaction of MLMD,
#: and than the difference between the clocks of its servers.
WINDOW_MS = 60_000
#: Rows this new may change again within the same millisecond: they are compared, not believed to be the same.
HOT_MS = 1_000
#: How far an id may lie below one committed earlier.
ID_WINDOW = 1_000

_VERSION = 1


@dataclass(slots=True)
class Ids:
    """Which ids of a growing table were seen: all up to the last, but for the gaps."""

    last: int = 0
    #: Ids not seen among the last `ID_WINDOW`: rolled back, or not committed yet.
    gaps: list[int] = field(default_factory=list)

    def after(self, seen: Iterable[int]) -> Ids:
        """The same after these ids were seen too."""
        found = set(seen)
        last = max(found, default=self.last)
        last = max(last, self.last)
        lowest = last - ID_WINDOW
        missing = (*self.gaps, *range(max(self.last, lowest) + 1, last + 1))
        return Ids(last, [gap for gap in missing if gap > lowest and gap > 0 and gap not in found])


@dataclass(slots=True)
class Cursor:
    """A place in a store, to be kept between passes; an empty one stands at the beginning."""

    #: The latest change seen, in ms since 1970 UTC, and never after this machine's clock: a row from the future must
    #: not hide those of the present.
    frontier_ms: int = 0
    #: Id -> last change, of executions and artifacts changed since `frontier_ms` - `WINDOW_MS`.
    executions: dict[int, int] = field(default_factory=dict)
    artifacts: dict[int, int] = field(default_factory=dict)
    edges: Ids = field(default_factory=Ids)
    associations: Ids = field(default_factory=Ids)
    #: Execution id -> (last change of it or of an output, digest of its events), for the same window.
    said: dict[int, tuple[int, str]] = field(default_factory=dict)

    def move_to(self, other: Cursor) -> None:
        """Stands where another cursor stands."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def to_json(self) -> bytes:
        """The cursor as `from_json` reads it."""
        return orjson.dumps({"version": _VERSION, **asdict(self)}, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, text: bytes) -> Cursor:
        """A cursor that was written.

        Raises StateError when it is none, or one of another version; starting from an empty one is always right, it
        only says again what was said.
        """
        try:
            found: dict[str, Any] = orjson.loads(text)
            if found["version"] != _VERSION:
                raise StateError(f"cursor of version {found['version']!r}, expected {_VERSION}")
            return cls(
                int(found["frontier_ms"]),
                {int(key): int(ms) for key, ms in found["executions"].items()},
                {int(key): int(ms) for key, ms in found["artifacts"].items()},
                Ids(**found["edges"]),
                Ids(**found["associations"]),
                {int(key): (int(ms), str(digest)) for key, (ms, digest) in found["said"].items()},
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"cursor that cannot be read: {error}") from None
