"""Finds events that a broken clock has dated far after, or far before, all others."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from stream_app.core.units import DAY_MS

#: Events kept at either end, and the largest share of all events that may be outliers, beside the least number.
_KEPT, _SHARE, _AT_LEAST = 1_000, 0.01, 3


class Dated(NamedTuple):
    """An event with its time in ms since 1970 UTC, and its number in the order of reading."""

    time_ms: int
    number: int
    place: str
    pipeline: str
    execution: str
    #: Whether it is dated more than a day before one of its pipeline that was read earlier.
    is_back: bool


class _Read:
    """The events read of one pipeline."""

    __slots__ = ("back", "first", "forth", "last", "latest_ms")

    def __init__(self, number: int, time_ms: int) -> None:
        self.first = self.last = number
        self.latest_ms = time_ms
        #: The last event that is back, 0 without one, and the last that is not.
        self.back = 0
        self.forth = number


class ClockOutliers:
    """Keeps the latest and the earliest events of a stream."""

    def __init__(self) -> None:
        self._latest: list[tuple[int, Dated]] = []
        self._earliest: list[tuple[int, Dated]] = []
        self._events = 0
        self._pipelines: dict[str, _Read] = {}

    def add(self, time_ms: int, place: str, pipeline: str, execution: str) -> None:
        """Notes an event.

        Parameters
        ----------
        time_ms
            Its time in ms since 1970 UTC.
        place
            Where it was read.
        pipeline, execution
            Of the event.
        """
        self._events += 1
        number = self._events
        read = self._pipelines.get(pipeline)
        if read is None:
            read = self._pipelines[pipeline] = _Read(number, time_ms)
        read.last = number
        is_back = time_ms < read.latest_ms - DAY_MS
        if is_back:
            read.back = number
        else:
            read.forth = number
            read.latest_ms = max(read.latest_ms, time_ms)
        event = Dated(time_ms, number, place, pipeline, execution, is_back)
        _keep(self._latest, time_ms, event)
        _keep(self._earliest, -time_ms, event)

    def ahead(self) -> list[Dated]:
        """The events more than a day after all others, although its pipeline, or others around it, went on before them.

        Returns
        -------
        list of Dated
            In the order of their times; empty when the clocks seem right. A day without events at the end of the
            stream is no fault of a clock, nor is the end of a file that another one follows, nor are many events.
        """
        return self._found(self._latest, self._is_ahead)

    def behind(self) -> list[Dated]:
        """The events more than a day before all others, although later ones of their pipeline were read around them.

        Returns
        -------
        list of Dated
            In the order of their times, as of `ahead`.
        """
        return self._found(self._earliest, self._is_behind)[::-1]

    def _found(self, kept: list[tuple[int, Dated]], is_suspect: Callable[[Dated], bool]) -> list[Dated]:
        few = max(_AT_LEAST, int(self._events * _SHARE))
        if self._events <= few:
            return []
        ordered = sorted(kept)
        for place in range(max(1, len(ordered) - few), len(ordered)):
            if ordered[place][0] - ordered[place - 1][0] > DAY_MS:
                return [event for _, event in ordered[place:] if is_suspect(event)]
        return []

    def _is_ahead(self, event: Dated) -> bool:
        own = self._pipelines[event.pipeline]
        return own.back > event.number or any(
            each.first < event.number < each.last for each in self._pipelines.values() if each is not own
        )

    def _is_behind(self, event: Dated) -> bool:
        return event.is_back and self._pipelines[event.pipeline].forth > event.number


def _keep(kept: list[tuple[int, Dated]], key: int, event: Dated) -> None:
    """Keeps an event if it is among those with the greatest keys."""
    if len(kept) < _KEPT:
        heapq.heappush(kept, (key, event))
    elif key > kept[0][0]:
        heapq.heapreplace(kept, (key, event))
