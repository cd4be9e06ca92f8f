"""From a message to an event, in whichever format it is; and what kind of fault a message has."""

from __future__ import annotations

import re

from stream_app.core.events import Event
from stream_app.sources import SOURCES, Sources, detect

AUTO = "auto"

_INDEX = re.compile(r"\[\d+\]")
_SIZE = re.compile(r"^message of [\d,]+ bytes")


def decode(
    message: bytes, source: str = AUTO, latest_ms: int | None = None, sources: Sources = SOURCES
) -> Event | None:
    """The event of a message; None when it tells of no execution, and is passed over.

    Parameters
    ----------
    source
        The format by its name in `sources`, or `auto`: told from the message's keys.
    latest_ms
        The latest time it may bear, in ms since 1970 UTC; None: no bound.

    Raises
    ------
    MalformedEvent
        It is no event.
    """
    return sources[detect(message) if source == AUTO else source](message, latest_ms)


def kind_of(reason: str) -> str:
    """What a reason says apart from the values it repeats, so that reasons can be counted."""
    for kind in ("not JSON", "not UTF-8"):
        if reason.startswith(kind):
            return kind
    kind = reason.split(", got ", 1)[0]
    return _SIZE.sub("message too large", _INDEX.sub("[]", kind))
