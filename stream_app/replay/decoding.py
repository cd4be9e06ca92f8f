"""Decodes messages of any format."""

from __future__ import annotations

from collections import Counter

import orjson

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources import SOURCES, Decode, Sources, detect
from stream_app.sources.strict_json import shown

AUTO = "auto"
#: The property with which `stream-app simulate` marks the runs that it makes up.
SIMULATED = "simulated"

_TYPES_MAX = 1000

#: The kind of fault of a line on which a logger has written something before the event.
PREFIXED = "not JSON alone: text stands before the object"
_STRIP = "strip it, for instance with `sed 's/^[^{]*//'`"


def decode(
    message: bytes, source: str = AUTO, latest_ms: int | None = None, sources: Sources = SOURCES
) -> Event | None:
    """The event of a message; None for a valid message about no execution, which is ignored.

    Parameters
    ----------
    message
        The message.
    source
        The name of its format in `sources`, or `auto`: the format is detected from the keys of the message.
    latest_ms
        The latest time of an event, in ms since 1970 UTC; None: not bounded.
    sources
        The decoders.

    Raises
    ------
    MalformedEvent
        It is not an event.
    """
    try:
        return sources[detect(message) if source == AUTO else source](message, latest_ms)
    except MalformedEvent as error:
        prefix = _prefix(message)
        if prefix is None:
            raise
        raise MalformedEvent(f"{PREFIXED}, got {shown(prefix)}; {_STRIP}") from error


class SeenTypes:
    """Counts the events of each execution type that decoders return.

    Parameters
    ----------
    sources
        The decoders.
    """

    def __init__(self, sources: Sources) -> None:
        #: Execution type -> events; at most 1,000 types.
        self.types: Counter[str] = Counter()
        #: Whether an event says that a simulator made it up.
        self.simulated = False
        #: The decoders, counted.
        self.sources: Sources = {name: self._counted(source) for name, source in sources.items()}

    def _counted(self, source: Decode) -> Decode:
        def decoded(message: bytes, latest_ms: int | None) -> Event | None:
            event = source(message, latest_ms)
            if event is not None:
                name = event.execution_type
                if name in self.types or len(self.types) < _TYPES_MAX:
                    self.types[name] += 1
                if event.properties.get(SIMULATED) is True:
                    self.simulated = True
            return event

        return decoded


def _prefix(message: bytes) -> str | None:
    """What a logger has written before the JSON object of a line; None where it is not that."""
    start = message.find(b"{")
    if start <= 0 or not message[:start].strip():
        return None
    try:
        orjson.loads(message[start:])
    except orjson.JSONDecodeError:
        return None
    return message[:start].decode(errors="replace")
