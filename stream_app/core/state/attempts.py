"""The reports of an execution, and the attempts that follow from them.

An execution may be retried under its own id: each attempt begins with a RUNNING report and lasts until the next end.
Reports are merged as sets, so that neither order nor repetition matters. Few are kept exactly. Of an execution that
reports more often, RUNNING reports are kept as spans without a long gap.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from stream_app.core.events import ENDS, RUNNING
from stream_app.core.units import HOUR_MS

#: Time in ms since 1970 UTC, and state.
Report = tuple[int, str]
#: Start and end of an attempt in ms since 1970 UTC; the end is None while the attempt runs.
Attempt = tuple[int, int | None]

#: Reports kept exactly; of more reports the earliest ends.
REPORTS_MAX = 32
#: Two RUNNING reports at most this far apart, in ms, are in one span.
GAP_MS = 2 * HOUR_MS
#: Spans kept. The gap is doubled until no more can fit between the first and the last RUNNING report.
SPANS_MAX = 128


class Reports:
    """The RUNNING and end events of one execution."""

    __slots__ = ("ends", "few", "spans")

    def __init__(self) -> None:
        #: All reports while there are few of them, sorted (time, state); then empty.
        self.few: list[Report] = []
        #: Once there are more: first and last report of each span, and the ends; both sorted.
        self.spans: list[tuple[int, int]] = []
        self.ends: list[Report] = []

    def add(self, report: Report) -> bool:
        """Merges a report; False when nothing changes."""
        if self.spans or self.ends:
            return self._add_further(report)
        position = bisect_left(self.few, report)
        if position < len(self.few) and self.few[position] == report:
            return False
        self.few.insert(position, report)
        if len(self.few) > REPORTS_MAX:
            for each in self.few:
                self._add_further(each)
            self.few = []
        return True

    def _add_further(self, report: Report) -> bool:
        time_ms, state = report
        if state not in ENDS:
            return self._add_running(time_ms)
        if report in self.ends or (len(self.ends) == REPORTS_MAX and report > self.ends[-1]):
            return False
        insort(self.ends, report)
        del self.ends[REPORTS_MAX:]
        return True

    def _add_running(self, time_ms: int) -> bool:
        position = bisect_left(self.spans, time_ms, key=lambda span: span[1])
        if position < len(self.spans) and self.spans[position][0] <= time_ms:
            return False
        self.spans.insert(position, (time_ms, time_ms))
        extent_ms, gap_ms = self.spans[-1][1] - self.spans[0][0], GAP_MS
        while extent_ms // gap_ms >= SPANS_MAX:
            gap_ms *= 2
        joined: list[tuple[int, int]] = []
        for first_ms, last_ms in self.spans:
            if joined and first_ms - joined[-1][1] <= gap_ms:
                joined[-1] = (joined[-1][0], last_ms)
            else:
                joined.append((first_ms, last_ms))
        self.spans = joined
        return True

    def marks(self, end: Report | None) -> list[Report]:
        """The reports from which attempts follow, sorted; an end within a span is followed by a start.

        `end` is the last end, which may not be among those that are kept.
        """
        if not self.spans and not self.ends:
            return self.few if end is None or end in self.few else sorted([*self.few, end])
        marks = {(moment, RUNNING) for span in self.spans for moment in span}
        for end_ms, state in self.ends if end is None else {*self.ends, end}:
            marks.add((end_ms, state))
            if any(first_ms <= end_ms < last_ms for first_ms, last_ms in self.spans):
                marks.add((end_ms + 1, RUNNING))
        return sorted(marks)

    @classmethod
    def from_row(cls, few: list[Report], spans: list[tuple[int, int]], ends: list[Report]) -> Reports:
        """Reads the stored form."""
        found = cls()
        found.few = [(time_ms, state) for time_ms, state in few]
        found.spans = [(first_ms, last_ms) for first_ms, last_ms in spans]
        found.ends = [(time_ms, state) for time_ms, state in ends]
        return found


def known_reports(reports: Reports | None, running_ms: int | None, end_ms: int | None, end_state: str) -> list[Report]:
    """The reports that are kept of an execution, sorted.

    Parameters
    ----------
    reports
        Its reports; None while there is at most one RUNNING and one end event.
    running_ms, end_ms, end_state
        Its first RUNNING event and its last end, in ms since 1970 UTC; None without one.
    """
    end = (end_ms, end_state) if end_ms is not None else None
    if reports is not None:
        return reports.marks(end)
    return sorted([*([(running_ms, RUNNING)] if running_ms is not None else []), *([end] if end is not None else [])])


def attempts_of(reports: list[Report], first_ms: int) -> list[Attempt]:
    """The attempts of an execution, in the order of time.

    Parameters
    ----------
    reports
        RUNNING and end reports.
    first_ms
        The first event of the execution, in ms since 1970 UTC: where its only attempt starts without any RUNNING
        report.

    Returns
    -------
    list of tuple
        Start and end of each; the end is None while the attempt runs.

    Examples
    --------
    >>> attempts_of([(10, "RUNNING"), (20, "FAILED"), (50, "RUNNING"), (70, "COMPLETE")], 0)
    [(10, 20), (50, 70)]
    """
    found: list[Attempt] = []
    running = [time_ms for time_ms, state in reports if state == RUNNING]
    start_ms: int | None = None if running else first_ms
    # Of a start and an end in one moment the start comes first.
    for time_ms, state in sorted(reports, key=lambda report: (report[0], report[1] in ENDS)):
        if state in ENDS:
            if start_ms is not None or not found or found[-1][1] != time_ms:
                found.append((time_ms if start_ms is None else start_ms, time_ms))
            start_ms = None
        elif start_ms is None:
            start_ms = time_ms
    # One end that no start precedes: clocks differ, and there is one attempt.
    skewed = len(found) == 1 and bool(running) and min(running) > (found[0][1] or 0)
    return found if start_ms is None or skewed or not running else [*found, (start_ms, None)]
