"""The cursor of a pass over MLflow: how far a tracking store and its registry have been read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StateError
from stream_app.sources.scalars import whole

#: How far a run's times, which its client's clock gives, may be before those of a run stored earlier.
WINDOW_MS = HOUR_MS
#: A run that is open for longer is not queried any more: its process died, and the horizon has passed.
OPEN_MAX_MS = 30 * DAY_MS
#: How far the time of a change in the registry, which its servers' clocks give, may be before that of an earlier one.
REGISTRY_WINDOW_MS = 60_000
#: A push that no alias names any more is remembered for this long, so that a rollback does not report it again.
PUSHES_MS = 90 * DAY_MS

_VERSION = 2


@dataclass(slots=True)
class Cursor:
    """A position, to be stored between passes; an empty one stands at the beginning."""

    #: The latest start and end of a run seen, in ms since 1970 UTC, never after the time of the pass.
    started_ms: int = 0
    ended_ms: int = 0
    #: The latest change of a model version seen, in ms since 1970 UTC, never after the time of the pass.
    versions_ms: int = 0
    #: Run id -> start, of those that had not ended.
    open: dict[str, int] = field(default_factory=dict)
    #: Run id -> (latest time of its events, digest of them), of the open and of those within `WINDOW_MS`.
    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: Those of them that are parents of others, that were registered, whose outcome the registry cannot tell.
    parents: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    #: Run id of those of them that were resumed -> the end before and the time of each resumption.
    resumed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    #: Push -> when its version was created and when it was pushed; see `registry_pass`.
    pushes: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Push that an alias or a line of the promotions named at the last pass -> when its version was created.
    named: dict[str, int] = field(default_factory=dict)
    #: Aliases (`@`) and stages (`#`) that mean nothing, and experiments (`=`) that do not exist, and were reported.
    ignored: list[str] = field(default_factory=list)

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
            The cursor. One of version 1 is read as an empty one, which is always correct in its place: it only repeats
            events.

        Raises
        ------
        StateError
            The text is not a cursor of a version that is read.
        """
        try:
            found: dict[str, Any] = orjson.loads(text)
            if found["version"] not in (1, _VERSION):
                raise StateError(f"cursor of version {found['version']!r}, expected {_VERSION}")
            started_ms, ended_ms = whole(found["started_ms"]), whole(found["ended_ms"])
            if found["version"] == 1:
                return cls()
            return cls(
                started_ms,
                ended_ms,
                whole(found["versions_ms"]),
                {str(key): whole(ms) for key, ms in found["open"].items()},
                {str(key): (whole(ms), str(digest)) for key, (ms, digest) in found["said"].items()},
                [str(key) for key in found["parents"]],
                [str(key) for key in found["registered"]],
                [str(key) for key in found["unknown"]],
                {str(key): [(whole(end), whole(ms)) for end, ms in gaps] for key, gaps in found["resumed"].items()},
                {str(key): (whole(created), whole(ms)) for key, (created, ms) in found["pushes"].items()},
                {str(key): whole(created) for key, created in found["named"].items()},
                [str(key) for key in found["ignored"]],
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"cursor that cannot be read: {error}") from None
