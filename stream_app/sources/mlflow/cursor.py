"""The cursor of a pass over MLflow: how far a tracking store and its registry have been read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StateError

#: How far a run's times, which its client's clock gives, may be before those of a run stored earlier.
WINDOW_MS = HOUR_MS
#: A run that is open for longer is not queried any more: its process died, and the horizon has passed.
OPEN_MAX_MS = 30 * DAY_MS

_VERSION = 1


@dataclass(slots=True)
class Cursor:
    """A position, to be stored between passes; an empty one stands at the beginning."""

    #: The latest start and end of a run seen, in ms since 1970 UTC, never after the time of the pass.
    started_ms: int = 0
    ended_ms: int = 0
    #: Run id -> start, of those that had not ended.
    open: dict[str, int] = field(default_factory=dict)
    #: Run id -> (latest time of its events, digest of them), of the open and of those within `WINDOW_MS`.
    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: Those of them that are parents of others.
    parents: list[str] = field(default_factory=list)
    #: `model@alias` and `model#stage` -> the version that they name as pushed.
    pushed: dict[str, str] = field(default_factory=dict)

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
        return orjson.dumps({"version": _VERSION, **asdict(self)})

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
                int(found["started_ms"]),
                int(found["ended_ms"]),
                {str(key): int(ms) for key, ms in found["open"].items()},
                {str(key): (int(ms), str(digest)) for key, (ms, digest) in found["said"].items()},
                [str(key) for key in found["parents"]],
                {str(key): str(version) for key, version in found["pushed"].items()},
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"cursor that cannot be read: {error}") from None
