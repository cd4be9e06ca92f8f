"""The timers of a pipeline: horizons, announcements, and the next sweep."""

from __future__ import annotations

import heapq


class Timers:
    """The timers of one pipeline; all times are event times in ms since 1970 UTC."""

    __slots__ = ("_announcements", "_horizons", "next_sweep_ms")

    def __init__(self) -> None:
        #: Heaps of (time, trainer id), and of (time, kind of subject, its name).
        self._horizons: list[tuple[int, str]] = []
        self._announcements: list[tuple[int, int, str]] = []
        self.next_sweep_ms = 0

    def __len__(self) -> int:
        """The number of scheduled checks and announcements."""
        return len(self._horizons) + len(self._announcements)

    def add_horizon(self, when_ms: int, trainer_id: str) -> None:
        """Schedules a check of whether an open graphlet has expired."""
        heapq.heappush(self._horizons, (when_ms, trainer_id))

    def add_announcement(self, when_ms: int, kind: int, name: str) -> None:
        """Schedules the announcement of a subject's outcome, or a check of whether there is one."""
        heapq.heappush(self._announcements, (when_ms, kind, name))

    def pop_horizon(self, now_ms: int) -> str | None:
        """The next trainer whose horizon has passed."""
        if self._horizons and self._horizons[0][0] <= now_ms:
            return heapq.heappop(self._horizons)[1]
        return None

    def pop_announcement(self, now_ms: int) -> tuple[int, str] | None:
        """Kind and name of the next subject whose announcement is due."""
        if self._announcements and self._announcements[0][0] <= now_ms:
            return heapq.heappop(self._announcements)[1:]
        return None

    def next_ms(self, *, announcing: bool, sweeping: bool) -> int | None:
        """The time of the earliest timer; `announcing` and `sweeping` select whether those kinds count."""
        moments = [self._horizons[0][0]] if self._horizons else []
        if announcing and self._announcements:
            moments.append(self._announcements[0][0])
        if sweeping:
            moments.append(self.next_sweep_ms)
        return min(moments) if moments else None
