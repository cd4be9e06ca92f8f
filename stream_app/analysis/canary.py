"""A canary: acting on one pipeline, with pipelines like it as its control, and what came of it.

What would have happened without acting nobody knows. The control lives through the same time, so its change from before
to after stands for that of the canary: the effect is the difference between the two changes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from stream_app.analysis.fleet.values import PipelineFigures, WeekFigures
from stream_app.errors import OptionsError

#: Pipelines of a control, and whole weeks that are needed before and after.
CONTROL_MAX, WEEKS_MIN = 5, 2


@dataclass(frozen=True, slots=True)
class Change:
    """Means of whole weeks before and after a day."""

    node_seconds_before: float
    node_seconds_after: float
    pushes_before: float
    pushes_after: float

    @property
    def cost_ratio(self) -> float | None:
        """The compute of a week after over that before; None where there was none."""
        return self.node_seconds_after / self.node_seconds_before if self.node_seconds_before else None

    @property
    def push_ratio(self) -> float | None:
        """The same of pushes."""
        return self.pushes_after / self.pushes_before if self.pushes_before else None


@dataclass(frozen=True, slots=True)
class CanaryEffect:
    """What came of acting on a pipeline.

    Attributes
    ----------
    pipeline
        The canary.
    since
        The Monday from which on weeks count as after.
    weeks_before, weeks_after
        Whole weeks that were compared.
    canary
        Its change.
    control
        Of each pipeline of the control, its change.
    saved_share
        The share of its compute that acting saved: one minus its ratio over the median ratio of the control. None
        where a ratio is not known.
    pushes_share
        Its ratio of pushes over the median ratio of the control; 1: the cadence has not changed.
    """

    pipeline: str
    since: str
    weeks_before: int
    weeks_after: int
    canary: Change
    control: dict[str, Change]
    saved_share: float | None
    pushes_share: float | None


def control_of(pipelines: Sequence[PipelineFigures], name: str, excluded: Iterable[str] = ()) -> list[str]:
    """The pipelines that are most like one: by compute and trainings a day, share pushed, owner and model type.

    Parameters
    ----------
    pipelines
        The figures of all pipelines.
    name
        The canary.
    excluded
        Pipelines that are no control, since they are acted on, too.

    Returns
    -------
    list of str
        At most five, the most alike first.

    Raises
    ------
    OptionsError
        There is no such pipeline.
    """
    found = {each.pipeline: each for each in pipelines}
    if name not in found:
        raise OptionsError(f"there is no pipeline {name[:80]!r} in these events")
    canary, left = found[name], set(excluded) | {name}
    others = [each for each in pipelines if each.pipeline not in left and each.totals.graphlets]
    return [each.pipeline for each in sorted(others, key=lambda each: (_distance(canary, each), each.pipeline))][
        :CONTROL_MAX
    ]


def _distance(one: PipelineFigures, other: PipelineFigures) -> float:
    logs = zip(_rates(one), _rates(other), strict=True)
    distance = sum(abs(math.log1p(a) - math.log1p(b)) for a, b in logs)
    distance += abs((one.totals.share_pushed or 0.0) - (other.totals.share_pushed or 0.0))
    distance += 0.0 if one.owner == other.owner else 0.25
    return distance + (0.0 if one.model_types.keys() & other.model_types.keys() else 0.25)


def _rates(each: PipelineFigures) -> tuple[float, float]:
    """Node-hours and trainings a day."""
    days = max(each.lifespan_days, 1.0)
    return (each.totals.node_seconds or 0.0) / 3600 / days, each.trainings_a_day


def measure(pipelines: Sequence[PipelineFigures], name: str, since: str, control: Sequence[str]) -> CanaryEffect:
    """Compares whole weeks before and after.

    Parameters
    ----------
    pipelines
        The figures of all pipelines.
    name
        The canary.
    since
        The day on which acting began, such as `2026-03-02`. The week in which it is counts for neither.
    control
        The pipelines of its control.

    Returns
    -------
    CanaryEffect
        The effect.

    Raises
    ------
    OptionsError
        There is no such pipeline, no control, or less than two whole weeks before or after.
    """
    found = {each.pipeline: each for each in pipelines}
    missing = [each for each in (name, *control) if each not in found]
    if missing:
        raise OptionsError(f"there is no pipeline {missing[0][:80]!r} in these events")
    if not control:
        raise OptionsError(f"there is no pipeline like {name[:80]!r} to compare it with")
    starts = sorted({week.start for each in (name, *control) for week in found[each].weeks if week.whole})
    before = [start for start in starts if _end(start) <= since]
    after = [start for start in starts if start >= since]
    for weeks, when in ((before, "before"), (after, "after")):
        if len(weeks) < WEEKS_MIN:
            raise OptionsError(f"whole weeks {when} {since}: {len(weeks)}; at least {WEEKS_MIN} are needed")
    count = min(len(before), len(after))
    before, after = before[-count:], after[:count]
    changes = {each: _change(found[each], before, after) for each in (name, *control)}
    canary = changes.pop(name)
    cost = _against(canary.cost_ratio, [each.cost_ratio for each in changes.values()])
    return CanaryEffect(
        pipeline=name,
        since=since,
        weeks_before=len(before),
        weeks_after=len(after),
        canary=canary,
        control=changes,
        saved_share=None if cost is None else 1.0 - cost,
        pushes_share=_against(canary.push_ratio, [each.push_ratio for each in changes.values()]),
    )


def _end(start: str) -> str:
    return (date.fromisoformat(start) + timedelta(days=7)).isoformat()


def _change(figures: PipelineFigures, before: Sequence[str], after: Sequence[str]) -> Change:
    weeks = {week.start: week for week in figures.weeks}

    def mean(starts: Sequence[str], amount: str) -> float:
        known: list[WeekFigures] = [weeks[start] for start in starts if start in weeks]
        return sum(float(getattr(week, amount) or 0.0) for week in known) / len(starts)

    return Change(
        mean(before, "node_seconds"), mean(after, "node_seconds"), mean(before, "pushed"), mean(after, "pushed")
    )


def _against(ratio: float | None, others: Sequence[float | None]) -> float | None:
    known = [each for each in others if each is not None]
    middle = statistics.median(known) if known else 0.0
    return ratio / middle if ratio is not None and middle else None
