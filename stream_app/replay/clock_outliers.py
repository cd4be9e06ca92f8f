"""Finds events that a broken clock has dated far after all others."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from stream_app.core.units import DAY_MS

#: Latest events kept, and the largest share of all events that may be outliers, beside the least number.
_KEPT, _SHARE, _AT_LEAST = 1_000, 0.01, 3


@dataclass(frozen=True, slots=True, order=True)
class Dated:
    """An event with its time in ms since 1970 UTC, and its number in the order of reading."""

    time_ms: int
    number: int
    place: str
    pipeline: str
    execution: str


class ClockOutliers:
    """Keeps the latest events of a stream."""

    def __init__(self) -> None:
        self._latest: list[Dated] = []
        self._events = 0

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
        if len(self._latest) < _KEPT:
            heapq.heappush(self._latest, Dated(time_ms, self._events, place, pipeline, execution))
        elif time_ms > self._latest[0].time_ms:
            heapq.heapreplace(self._latest, Dated(time_ms, self._events, place, pipeline, execution))

    def found(self) -> list[Dated]:
        """The events more than a day after all others, which were read before some of the others.

        Returns
        -------
        list of Dated
            In the order of their times; empty when the clocks seem right. A day without events at the end of the
            stream is no fault of a clock, and neither are more than a few events.
        """
        latest = sorted(self._latest)
        few = max(_AT_LEAST, int(self._events * _SHARE))
        if self._events <= few:
            return []
        for place in range(max(1, len(latest) - few), len(latest)):
            outliers, others = latest[place:], latest[:place]
            if outliers[0].time_ms - others[-1].time_ms > DAY_MS:
                numbers = {each.number for each in outliers}
                last_other = next(number for number in range(self._events, 0, -1) if number not in numbers)
                return [each for each in outliers if each.number < last_other]
        return []
