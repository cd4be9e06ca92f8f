"""The clock of one pipeline, and the clock of a fleet in a replay."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from stream_app.core.units import DAY_MS

#: Pipelines that must have reached a time before it is the fleet's.
FLEET_MIN = 3


class Ahead(NamedTuple):
    """An event far ahead of the clock, which no other execution has confirmed yet. Times are in ms since 1970 UTC."""

    time_ms: int
    log_ms: int
    execution: str
    #: Whether an event that is not ahead came after it.
    contradicted: bool = False


class Clock:
    """The latest event time of a pipeline, which ticks move on. All times are in ms since 1970 UTC.

    One sender's clock may be wrong. An event that is more than `leap_ms` ahead moves the clock only once an event of
    another execution is as far ahead.
    """

    __slots__ = ("_day", "ahead", "alone", "cutoff_ms", "last_event_ms", "last_log_ms", "now_ms")

    def __init__(self) -> None:
        self.now_ms = 0
        #: The latest event time that moved the clock, and the log time of that event.
        self.last_event_ms = 0
        self.last_log_ms = 0
        #: Executions and graphlets last touched before this time are evicted.
        self.cutoff_ms = 0
        self.ahead: Ahead | None = None
        #: The only execution whose events have moved the clock; None before any and once there are two.
        self.alone: str | None = None
        self._day = 0

    def record_event(self, event_ms: int, log_ms: int, execution: str, leap_ms: int) -> int:
        """Records an event's time and log time; an event that is logged again counts from its first log time.

        Parameters
        ----------
        event_ms, log_ms
            Event time and log time.
        execution
            The execution's id.
        leap_ms
            How far ahead of the clock an event may be and move it alone, in ms.

        Returns
        -------
        int
            The time to which the event moves the clock; at most the clock's time for an event that does not move it.
        """
        if not self.last_event_ms:
            self.alone = execution
        elif self.alone not in (None, execution) and event_ms < self.last_event_ms - leap_ms:
            self._step_back()
            self.alone = execution
        elif event_ms > max(self.now_ms, self.last_event_ms) + leap_ms:
            return self._record_ahead(Ahead(event_ms, log_ms, execution), leap_ms)
        elif self.alone != execution:
            self.alone = None
        if self.ahead is not None and not self.ahead.contradicted:
            self.ahead = self.ahead._replace(contradicted=True)
        self._move(event_ms, log_ms)
        return event_ms

    def last_ms(self, leap_max_ms: int) -> int:
        """The clock at the end of a log: an event ahead counts where nothing after it says otherwise.

        `leap_max_ms` is how far ahead it may be, in ms.
        """
        ahead = self.ahead
        if ahead is None or ahead.contradicted or ahead.time_ms > self.now_ms + leap_max_ms:
            return self.now_ms
        return ahead.time_ms

    def _step_back(self) -> None:
        """Takes back what one execution, whose clock seems to be wrong, has told alone."""
        assert self.alone is not None
        self.ahead = Ahead(self.last_event_ms, self.last_log_ms, self.alone)
        self.now_ms = self.last_event_ms = self.last_log_ms = self.cutoff_ms = 0

    def _record_ahead(self, event: Ahead, leap_ms: int) -> int:
        if self.ahead is None or self.ahead.execution == event.execution:
            self.ahead = event if self.ahead is None else min(event, self.ahead)
            return self.now_ms
        first, second = sorted((self.ahead, event))
        self.alone = None
        self._move(first.time_ms, first.log_ms)
        self.ahead = second
        if second.time_ms <= first.time_ms + leap_ms:
            self._move(second.time_ms, second.log_ms)
            self.ahead = None
        return self.last_event_ms

    def _move(self, event_ms: int, log_ms: int) -> None:
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
        if not self.last_event_ms:  # there were acts of people alone
            return self.now_ms
        return self.last_event_ms + max(0, log_ms - self.last_log_ms)


def fleet_ms(clocks: Collection[Clock]) -> int:
    """The time that a fleet has reached: the latest that at least three pipelines have, so that no single one tells it.

    Parameters
    ----------
    clocks
        The clocks of all pipelines. Of fewer than three the latest counts.

    Returns
    -------
    int
        In ms since 1970 UTC; 0 without pipelines.
    """
    times = sorted((clock.now_ms for clock in clocks), reverse=True)
    if len(times) < FLEET_MIN:
        return times[0] if times else 0
    return times[FLEET_MIN - 1]
