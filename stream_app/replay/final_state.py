"""Reads files and stores into a detector that makes no predictions, for questions about its last state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_app.core.detector import Detector, Settings
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.replay.decoding import AUTO, decode
from stream_app.replay.reading import InputError, MessageReader, Stores
from stream_app.sources import SOURCES, Sources

#: Messages between two calls of `progress`.
_PROGRESS_EVERY = 1000


def final_state(
    files: Sequence[str],
    settings: Settings,
    source: str = AUTO,
    now_ms: int | None = None,
    sources: Sources = SOURCES,
    stores: Stores | None = None,
    progress: Callable[[int, MessageReader], None] | None = None,
) -> tuple[Detector, list[str]]:
    """Reads files of events and stores.

    Parameters
    ----------
    files, settings, source, now_ms, sources, stores, progress
        As of `replay`.

    Returns
    -------
    detector : Detector
        The detector after the last event; it keeps what a replay keeps.
    faults : list of str
        Files that break off, where and why.

    Raises
    ------
    OptionsError
        As of `MessageReader`.
    InputError
        As of `MessageReader`; or there is no event in the files.
    """
    reading = MessageReader(files, stores)
    detector = Detector(settings)
    latest_ms = None if now_ms is None else now_ms + DAY_MS
    events = 0
    for count, message in enumerate(reading, 1):
        try:
            event = decode(message, source, latest_ms, sources)
        except MalformedEvent:
            event = None
        if event is not None:
            detector.step(event)
            events += 1
        if progress is not None and count % _PROGRESS_EVERY == 0:
            progress(events, reading)
    if not events:
        broken = f" ({'; '.join(reading.faults)})" if reading.faults else ""
        raise InputError(f"there is no event in what was read{broken}; see `stream-app check`")
    if now_ms is None:
        detector.settle_last()
    else:
        detector.tick(now_ms)
    if progress is not None:
        progress(events, reading)
    return detector, reading.faults
