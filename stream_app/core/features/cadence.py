"""Features of when a pipeline pushes: its own intervals between pushes, in time and in runs, and the days of the week.

Many pipelines push in a cadence of their own: every so many runs, not before so many hours, never at weekends. These
features put each pipeline on its own scale, so that one model serves all.
"""

from __future__ import annotations

import math
from functools import lru_cache

from stream_app.core.state.history import History
from stream_app.core.units import DAY_MS, HOUR_MS

#: 1970-01-01 was a Thursday: days since then plus 3 are 0 on a Monday, modulo 7.
FIRST_WEEKDAY, WEEKEND = 3, 5
#: The weight of a pipeline's past rate against its own intervals, in intervals.
PRIOR = 1.0


def cadence_features(found: dict[str, float], history: History, subject: str, now_ms: int) -> None:
    """Adds how far the pipeline is through its usual interval, and how often it pushed after such an interval."""
    begun = any(started.subject == subject for started in history.started)
    runs = history.starts_since + (not begun)
    today = weekday(now_ms)
    found["weekday"] = float(today)
    found["weekend"] = float(today >= WEEKEND)
    found["hour"] = now_ms % DAY_MS / HOUR_MS
    found["starts_since_push"] = math.log1p(runs)
    if history.taken.count:
        found["taken_rate"] = history.taken.mean
    if not history.push_ms:
        return
    rate = (history.pushes + 1.0) / (history.labelled + 5.0)
    intervals = [later - sooner for sooner, later in zip(history.push_ms, history.push_ms[1:], strict=False)]
    if intervals:
        since_ms = max(0, now_ms - history.push_ms[-1])
        gap_ms = history.start_gap.mean if history.start_gap.count > 1 else 0.0
        found["due_time"] = share_over(intervals, since_ms)
        found["hazard_time"] = hazard(intervals, since_ms, gap_ms / 2.0, rate)
        found["irregular_time"] = irregularity(tuple(intervals))
    if history.starts_between:
        between = history.starts_between
        found["due_runs"] = share_over(between, runs)
        found["hazard_runs"] = hazard(between, runs, runs // 6, rate)
        found["irregular_runs"] = irregularity(tuple(between))
        found["runs_to_least"] = math.log((runs + 1.0) / (min(between) + 1.0))
    at_weekends = len([push_ms for push_ms in history.push_ms if weekday(push_ms) >= WEEKEND])
    alike = at_weekends if today >= WEEKEND else len(history.push_ms) - at_weekends
    by_chance = len(history.push_ms) * (2.0 if today >= WEEKEND else 5.0) / 7.0
    found["push_days"] = math.log((alike + 1.0) / (by_chance + 1.0))


def weekday(time_ms: int) -> int:
    """Day of the week in UTC, 0 on Mondays."""
    return (time_ms // DAY_MS + FIRST_WEEKDAY) % 7


def share_over(intervals: list[int], value: float) -> float:
    """The share of past intervals that were over by `value`, kept inside 0 and 1."""
    return (len([interval for interval in intervals if interval <= value]) + 0.5) / (len(intervals) + 1.0)


def hazard(intervals: list[int], value: float, reach: float, rate: float) -> float:
    """Log-odds that an interval which has lasted until `value`, give or take `reach`, ends there.

    It is the share that ended there among past intervals that lasted as long, shrunk towards `rate` (inside 0 and 1).
    """
    supersedable = [interval for interval in intervals if interval >= value - reach]
    ended = len([interval for interval in supersedable if interval <= value + reach])
    share = (ended + PRIOR * rate) / (len(supersedable) + PRIOR)
    return math.log(share / (1.0 - share))


@lru_cache(maxsize=500)
def irregularity(intervals: tuple[int, ...]) -> float:
    """Standard deviation of the intervals' logarithms, 0 for equal intervals."""
    logs = [math.log1p(interval) for interval in intervals]
    mean = math.fsum(logs) / len(logs)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in logs) / len(logs))
