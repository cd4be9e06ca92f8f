"""Decodes messages of any format."""

from __future__ import annotations

from stream_app.core.events import Event
from stream_app.sources import SOURCES, Sources, detect

AUTO = "auto"


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
    return sources[detect(message) if source == AUTO else source](message, latest_ms)
