"""The steps of a ladder in time: when the owner of a flagged run is warned again, and from when the run may be stopped.

A time of a ladder is reached once both the clock of the pipeline and the log have reached it. So a pipeline whose
events arrive late gives its owner the same time as any other, and one whose clock is ahead stops nothing early.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import heappop, heappush
from typing import NamedTuple

from stream_app.acting.hours import parse_hours
from stream_app.alerts.flags import Change, FlaggedGraphlet, latest_ms
from stream_app.alerts.tracked import TrackedFlag
from stream_app.core.decisions.policy import ENFORCE


class NextStep(NamedTuple):
    """The next step of a flag's ladder.

    Parameters
    ----------
    change
        `REMINDED` or `DUE`.
    at_ms
        When it is taken at the earliest, in ms since 1970 UTC.
    stop_ms
        From when the run may be stopped; None: never.
    """

    change: Change
    at_ms: int
    stop_ms: int | None


def next_step(flag: TrackedFlag) -> NextStep | None:
    """The next step of a flag's ladder.

    Parameters
    ----------
    flag
        The flag.

    Returns
    -------
    NextStep or None
        None: there is none. The second warning comes once, a stop once for each later time of it. Where a warning was
        late, the stop is as much later, so that there is time between the two.
    """
    if not (flag.open and flag.reported and flag.mode == ENFORCE):
        return None
    flagged = flag.undecided()
    warn_again_ms = latest_ms(each.warn_again_ms for each in flagged)
    stop_ms = latest_ms(each.stop_ms for each in flagged)
    if warn_again_ms is not None and flag.reminded_ms is None:
        return NextStep(Change.REMINDED, warn_again_ms, stop_ms)
    if stop_ms is None or (flag.due_ms is not None and stop_ms <= flag.due_ms):
        return None
    at_ms = stop_ms
    if warn_again_ms is not None and flag.reminded_ms is not None:
        between_ms = min(stop_ms - warn_again_ms, warn_again_ms - flag.raised_ms)
        at_ms = max(at_ms, flag.reminded_ms + between_ms)
    return NextStep(Change.DUE, at_ms, stop_ms)


def exempt_end_ms(flagged: Collection[FlaggedGraphlet], log_ms: int) -> int | None:
    """The end of the exempt hours of flagged graphlets that a moment lies in.

    Parameters
    ----------
    flagged
        The graphlets.
    log_ms
        The moment, in ms since 1970 UTC.

    Returns
    -------
    int or None
        In ms since 1970 UTC; None where the moment lies in none.

    Raises
    ------
    ValueError
        The hours of one cannot be read.
    """
    hours = {each.exempt_hours for each in flagged if each.exempt_hours}
    ends = [parse_hours(each).end_ms(log_ms) for each in sorted(hours)]
    return max((each for each in ends if each is not None), default=None)


class StepQueue:
    """When flags are to be looked at next, by pipeline, so that time passes without a walk over all flags."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        #: Pipeline -> heap of time and flag; an entry holds if `_at` has the same time.
        self._heaps: dict[str, list[tuple[int, str]]] = {}

    def put(self, pipeline: str, flag: str, at_ms: int | None) -> None:
        """Sets when a flag is to be looked at.

        Parameters
        ----------
        pipeline, flag
            Its pipeline and its id.
        at_ms
            In ms since 1970 UTC; None: never.
        """
        if self._at.get(flag) == at_ms:
            return
        if at_ms is None:
            del self._at[flag]
            return
        self._at[flag] = at_ms
        heappush(self._heaps.setdefault(pipeline, []), (at_ms, flag))

    def pipelines(self, among: Collection[str]) -> list[str]:
        """The pipelines with flags that wait, among some, in a fixed order."""
        fewer, other = sorted((self._heaps.keys(), among), key=len)
        return sorted(name for name in fewer if name in other)

    def take(self, pipeline: str, now_ms: int) -> list[str]:
        """Takes the flags of a pipeline that are to be looked at by now, in the order of their times.

        Parameters
        ----------
        pipeline
            The pipeline.
        now_ms
            The time in ms since 1970 UTC.
        """
        heap, taken = self._heaps[pipeline], []
        while heap and heap[0][0] <= now_ms:
            at_ms, flag = heappop(heap)
            if self._at.get(flag) == at_ms:
                del self._at[flag]
                taken.append(flag)
        if not heap:
            del self._heaps[pipeline]
        return taken
