"""When messages are written: evenly at a rate, or as their own times come."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import orjson

from stream_app.errors import MalformedEvent
from stream_app.sources import native
from stream_app.times import time_to_text

#: Seconds shorter than which nobody waits: sleeping would take as long.
_SHORT = 0.001


def at_rate(messages: Iterable[bytes], rate: float) -> Iterator[bytes]:
    """Each message when its turn has come, evenly spaced, `rate` messages a second."""
    began = time.monotonic()
    for number, message in enumerate(messages):
        wait(began + number / rate - time.monotonic())
        yield message


def in_real_time(messages: Iterable[bytes], start_ms: int) -> Iterator[bytes]:
    """Each event when it happens, if the first had happened at `start_ms` (ms since 1970 UTC).

    All times are moved by the same amount. What happened before now comes at once. A message that is no native event
    comes as it is, at the place it has.
    """
    moved_ms: int | None = None
    for message in messages:
        try:
            time_ms = native.decode(message).time_ms
        except MalformedEvent:
            yield message
            continue
        if moved_ms is None:
            moved_ms = start_ms - time_ms
        happens_ms = time_ms + moved_ms
        wait(happens_ms / 1000 - time.time())
        yield orjson.dumps({**orjson.loads(message), "time": time_to_text(happens_ms)})


def wait(seconds: float) -> None:
    """Wait so long, unless it is hardly at all."""
    if seconds > _SHORT:
        time.sleep(seconds)
