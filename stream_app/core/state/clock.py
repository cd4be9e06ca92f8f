"""The clock of one pipeline."""

from __future__ import annotations

from stream_app.core.units import DAY_MS


class Clock:
    """The latest event time of a pipeline, which ticks move on. All times are in ms since 1970 UTC."""

    __slots__ = ("_day", "cutoff_ms", "last_event_ms", "last_log_ms", "now_ms")

    def __init__(self) -> None:
        self.now_ms = 0
        #: The latest event time, and the log time of the event that set it.
        self.last_event_ms = 0
        self.last_log_ms = 0
        #: Executions and graphlets last touched before this time are evicted.
        self.cutoff_ms = 0
        self._day = 0

    def record_event(self, event_ms: int, log_ms: int) -> None:
        """Records an event's time and log time; an event that is logged again counts from its first log time."""
        if event_ms > self.last_event_ms:
            self.last_event_ms, self.last_log_ms = event_ms, log_ms
        elif event_ms == self.last_event_ms:
            self.last_log_ms = min(self.last_log_ms, log_ms)

    def day_of(self, time_ms: int) -> int:
        """The day of a time. Events of the same day share one number object, since thousands of executions keep it."""
        day = time_ms // DAY_MS
        if day != self._day:
            self._day = day
        return self._day

    def at_tick(self, log_ms: int) -> int:
        """The event time at a tick: the last event's time plus the log time passed since."""
        return self.last_event_ms + max(0, log_ms - self.last_log_ms)
