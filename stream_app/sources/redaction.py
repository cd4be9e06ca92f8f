"""Properties whose values are not kept: they are dropped from events before anything is written.

A message may hold such a value in many places, also where its decoder does not look. So where anything is redacted no
message is written as it came: what is written of an event is its native form, without these properties, and nothing is
written of a message that is no event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import translate
from functools import lru_cache

from stream_app.core.events import ArtifactRef, Event, Properties
from stream_app.core.properties import JOB, LABEL_UNKNOWN, MAP_INDEX, PRUNED_BY, SKIPPED_TASKS, TASK

#: Properties that decide what a graphlet is and what became of it. They are never dropped.
NEEDED = frozenset(("blessed", "keep", "pushed", JOB, LABEL_UNKNOWN, MAP_INDEX, PRUNED_BY, SKIPPED_TASKS, TASK))
#: What begins the part of a reason that repeats the message.
_REPEATED = re.compile(", (?:got|at|after the key) ")
#: Names of properties that are remembered, with whether they are dropped.
_NAMES_MAX = 10_000


class Redaction:
    """Drops properties by their names.

    Parameters
    ----------
    names
        Names, or wildcards, of properties of executions and artifacts; upper and lower case are the same. Without any,
        nothing is dropped.

    Raises
    ------
    ValueError
        A property is named that is needed.

    Examples
    --------
    >>> event = Event(0, "ads", "t", "Trainer", "NEW", properties={"owner": "ann", "auc": 0.8})
    >>> Redaction(["Own*"]).event(event).properties
    {'auc': 0.8}
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = tuple(name.lower() for name in names)
        for name in self._names:
            if name in NEEDED:
                raise ValueError(f"the property {name} decides what became of a run; it cannot be redacted")
        patterns = re.compile("|".join(map(translate, self._names)))

        @lru_cache(_NAMES_MAX)
        def drops(name: str) -> bool:
            return name not in NEEDED and patterns.match(name.lower()) is not None

        self._drops = drops

    def __bool__(self) -> bool:
        """Whether anything is dropped."""
        return bool(self._names)

    def event(self, event: Event) -> Event:
        """An event without these properties; the event that is given stays as it is.

        Parameters
        ----------
        event
            An event.
        """
        if not self._names:
            return event
        return replace(
            event,
            properties=self._kept(event.properties),
            inputs=tuple(map(self._artifact, event.inputs)),
            outputs=tuple(map(self._artifact, event.outputs)),
        )

    def reason(self, reason: str) -> str:
        """Why a message is no event, without what of the message is repeated in it.

        Parameters
        ----------
        reason
            The reason.

        Examples
        --------
        >>> Redaction(["owner"]).reason('time: expected an RFC 3339 time, got "ann"')
        'time: expected an RFC 3339 time'
        """
        return _REPEATED.split(reason, maxsplit=1)[0] if self._names else reason

    def message(self, message: bytes) -> bytes:
        """What is kept of a message that is no event: all of it, or nothing.

        Parameters
        ----------
        message
            The message.
        """
        return b"" if self._names else message

    def _artifact(self, artifact: ArtifactRef) -> ArtifactRef:
        if not artifact.properties:
            return artifact
        return replace(artifact, properties=self._kept(artifact.properties))

    def _kept(self, properties: Properties) -> Properties:
        return {name: value for name, value in properties.items() if not self._drops(name)}


#: Drops nothing.
NOTHING = Redaction()
