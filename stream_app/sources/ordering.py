"""Puts events from pages of a database into the order of their times, holding as few as possible."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from stream_app.core.events import Event


def in_order(pages: Iterable[tuple[int, Iterable[Event]]]) -> Iterator[Event]:
    """Sorts the events of some pages by time; events of the same time keep their order.

    Parameters
    ----------
    pages
        A time in ms since 1970 UTC before which neither this page nor a later one has an event, and the events.

    Yields
    ------
    Event
        One event after another.
    """
    heap: list[tuple[int, int, Event]] = []
    count = 0
    for earliest_ms, events in pages:
        while heap and heap[0][0] < earliest_ms:
            yield heapq.heappop(heap)[-1]
        for event in events:
            heapq.heappush(heap, (event.time_ms, count, event))
            count += 1
    while heap:
        yield heapq.heappop(heap)[-1]
