"""Delays messages: to an even rate, or to the times of their events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import orjson

from stream_app.errors import MalformedEvent
from stream_app.sources import native
from stream_app.times import time_to_text

#: Shorter pauses, in seconds, are skipped: the call of sleep would take as long.
_SHORTEST = 0.001


def at_rate(messages: Iterable[bytes], rate: float) -> Iterator[bytes]:
    """Yields messages evenly spaced in time.

    Parameters
    ----------
    messages
        Iterated once.
    rate
        Messages per second.
    """
    began = time.monotonic()
    for number, message in enumerate(messages):
        wait(began + number / rate - time.monotonic())
        yield message


def in_real_time(messages: Iterable[bytes], start_ms: int) -> Iterator[bytes]:
    """Yields events at their own times, all of them shifted so that the first happens at `start_ms`.

    Events whose shifted time is in the past are yielded at once. A message that is not a native event is yielded
    unchanged and in order.

    Parameters
    ----------
    messages
        Iterated once.
    start_ms
        The time of the first event, in ms since 1970 UTC.
    """
    shift_ms: int | None = None
    for message in messages:
        try:
            time_ms = native.decode(message).time_ms
        except MalformedEvent:
            yield message
            continue
        if shift_ms is None:
            shift_ms = start_ms - time_ms
        happens_ms = time_ms + shift_ms
        wait(happens_ms / 1000 - time.time())
        yield orjson.dumps({**orjson.loads(message), "time": time_to_text(happens_ms)})


def wait(seconds: float) -> None:
    """Sleeps, unless for a negligible time."""
    if seconds > _SHORTEST:
        time.sleep(seconds)
