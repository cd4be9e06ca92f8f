"""From a message to an event, in whichever format it is."""

from __future__ import annotations

from stream_app.core.events import Event
from stream_app.sources import SOURCES, Sources, detect

AUTO = "auto"


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
