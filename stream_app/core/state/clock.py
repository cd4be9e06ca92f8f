"""The time of one pipeline."""

from __future__ import annotations

from stream_app.core.units import DAY_MS


class Clock:
    """The latest event time of a pipeline, moved on by ticks; all times in ms since 1970 UTC."""

    __slots__ = ("_day", "cutoff_ms", "last_event_ms", "last_log_ms", "now_ms")

    def __init__(self) -> None:
        self.now_ms = 0
        #: The latest event time, and the log time of the event that set it.
        self.last_event_ms = 0
        self.last_log_ms = 0
        #: What was last touched before it is evicted.
        self.cutoff_ms = 0
        self._day = 0

    def record_event(self, event_ms: int, log_ms: int) -> None:
        """Notes an event; one that is logged again counts from when it was logged first."""
        if event_ms > self.last_event_ms:
            self.last_event_ms, self.last_log_ms = event_ms, log_ms
        elif event_ms == self.last_event_ms:
            self.last_log_ms = min(self.last_log_ms, log_ms)

    def day_of(self, time_ms: int) -> int:
        """The day of a time: one number for all that events of a day touch, since each is kept by thousands."""
        day = time_ms // DAY_MS
        if day != self._day:
            self._day = day
        return self._day

    def at_tick(self, log_ms: int) -> int:
        """The event time that a tick stands for: the last event's, plus the log time that has passed since."""
        return self.last_event_ms + max(0, log_ms - self.last_log_ms)
