"""When there is something to do for whom, the earliest first."""

from __future__ import annotations

import heapq


class Schedule:
    """One time each for many names."""

    def __init__(self) -> None:
        #: Earliest first; an entry that is not the last one of its name is void.
        self._entries: list[tuple[int, str]] = []
        self._times: dict[str, int] = {}

    def set(self, name: str, time_ms: int | None) -> None:
        """Sets the time of a name in ms since 1970 UTC; None: there is nothing to do."""
        if time_ms is None:
            self._times.pop(name, None)
        elif self._times.get(name) != time_ms:
            self._times[name] = time_ms
            heapq.heappush(self._entries, (time_ms, name))

    def first_ms(self) -> int | None:
        """The earliest time; None: there is nothing to do."""
        while self._entries:
            time_ms, name = self._entries[0]
            if self._times.get(name) == time_ms:
                return time_ms
            heapq.heappop(self._entries)
        return None

    def pop(self) -> str:
        """Takes the name with the earliest time, which `first_ms` has returned."""
        _, name = heapq.heappop(self._entries)
        del self._times[name]
        return name
