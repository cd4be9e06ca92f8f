"""What the person who pays asks first: what was spent and wasted, what to do about it, and whether it gets better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stream_app.analysis.budgets import BudgetFigures, Tradeoff
from stream_app.analysis.intervals import Estimate
from stream_app.analysis.rates import Price, money, week_of_time, week_start_ms
from stream_app.analysis.waste import Compute, Money
from stream_app.core.state.ledger import Ledger
from stream_app.times import time_to_text

#: Findings that open the report, and weeks of the trend.
FINDINGS_MAX, WEEKS_MAX = 3, 26


class Act(StrEnum):
    """What is recommended."""

    #: Stop flagged runs; go on to stop them; only look at flags; wait for pushes; make predictions possible.
    ENFORCE = "enforce"
    GO_ON = "go_on"
    OBSERVE = "observe"
    WAIT = "wait"
    PREDICT = "predict"


class Because(StrEnum):
    """Why flags should only be looked at."""

    STOPPED = "stopped"
    FEW_PIPELINES = "few_pipelines"
    SAVES_NOTHING = "saves_nothing"
    OVER_BUDGET = "over_budget"
    PAST_RATE = "past_rate"


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding in one line: what is wrong, in which pipeline, what it cost, and what to do about it."""

    name: str
    pipeline: str
    node_hours: float
    #: None without a rate card.
    money: float | None
    act: str


@dataclass(frozen=True, slots=True)
class Week:
    """The compute of graphlets that began in a week; node-seconds, and money, which is None without a rate card."""

    #: The Monday, such as `2026-03-02`; "" for all weeks that are not listed.
    start: str
    #: Whether the events cover all of it.
    whole: bool
    spent: float
    wasted: float
    #: What is not decided yet.
    pending: float
    spent_money: float | None = None
    wasted_money: float | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do about flags, and the figures of the budget in force that say so."""

    act: Act
    #: Why not more, for `Act.OBSERVE`.
    because: Because | None
    evidence: BudgetFigures


@dataclass(frozen=True, slots=True)
class Summary:
    """The first section of the report."""

    #: Node-seconds.
    spent: float
    wasted: float
    wasted_share: Estimate
    #: Money; None without a rate card.
    spent_money: float | None
    wasted_money: float | None
    #: Those with the most money, at most `FINDINGS_MAX`.
    findings: Sequence[FindingLine]
    recommendation: Recommendation
    #: At most `WEEKS_MAX`, without gaps, up to the week in which the events end.
    weeks: list[Week]
    #: The sum of all other weeks; None when there are none.
    other_weeks: Week | None


def summarise(
    spent: Compute,
    cost: Money | None,
    found: Tradeoff,
    trend: tuple[list[Week], Week | None],
    findings: Iterable[FindingLine],
    *,
    predicted: bool,
    enforced: bool,
) -> Summary:
    """Makes the summary of a report.

    Parameters
    ----------
    spent, cost
        The compute, and what it cost; None without a rate card.
    found
        The figures of the budgets.
    trend
        See `weeks_of`.
    findings
        All findings, in any order.
    predicted
        Whether there was any verdict.
    enforced
        Whether flagged runs are stopped already.

    Returns
    -------
    Summary
        The summary.
    """
    weeks, other_weeks = trend
    return Summary(
        spent=spent.total,
        wasted=spent.wasted,
        wasted_share=found.wasted_share,
        spent_money=None if cost is None else cost.total,
        wasted_money=None if cost is None else cost.wasted,
        findings=top(findings),
        recommendation=recommend(found, predicted=predicted, enforced=enforced),
        weeks=weeks,
        other_weeks=other_weeks,
    )


def top(findings: Iterable[FindingLine]) -> list[FindingLine]:
    """The findings with the most money, or with the most node-hours where there is no money."""
    order = sorted(findings, key=lambda each: (-(each.money or 0.0), -each.node_hours, each.name, each.pipeline))
    return order[:FINDINGS_MAX]


def recommend(found: Tradeoff, *, predicted: bool, enforced: bool) -> Recommendation:
    """Recommends what to do, by what the budget in force would have saved and cost.

    To stop runs is recommended where the interval of what is avoided is above zero, that of the pushes flagged is not
    above the budget, and the plain rule by past push rate would have avoided less.

    Parameters
    ----------
    found
        The figures of the budgets.
    predicted, enforced
        As of `summarise`.
    """
    evidence = next(each for each in found.budgets if each.in_force)
    if not predicted:
        return Recommendation(Act.PREDICT, None, evidence)
    if evidence.missing_pushes:
        return Recommendation(Act.WAIT, None, evidence)
    because = objection(evidence)
    if because is not None:
        return Recommendation(Act.OBSERVE, because, evidence)
    return Recommendation(Act.GO_ON if enforced else Act.ENFORCE, None, evidence)


def objection(evidence: BudgetFigures) -> Because | None:
    """What speaks against stopping flagged runs; None when nothing does."""
    avoided, missed, by_rate = evidence.avoided, evidence.missed, evidence.by_past_rate
    if evidence.stopped:
        return Because.STOPPED
    if not evidence.saved or avoided.value is None:
        return Because.SAVES_NOTHING
    if avoided.low is None:
        return Because.FEW_PIPELINES
    if avoided.low <= 0:
        return Because.SAVES_NOTHING
    if missed.low is not None and missed.low > evidence.budget:
        return Because.OVER_BUDGET
    if by_rate.value is not None and by_rate.value >= avoided.value:
        return Because.PAST_RATE
    return None


def weeks_of(
    ledgers: Iterable[Mapping[int, Mapping[Price, Ledger]]], first_ms: int | None, last_ms: int | None, *, priced: bool
) -> tuple[list[Week], Week | None]:
    """The trend over weeks.

    Parameters
    ----------
    ledgers
        Of each pipeline, its ledgers by week and price (`PricedLedgers.by_week`).
    first_ms, last_ms
        The period of the events in ms since 1970 UTC; None without events.
    priced
        Whether there is a rate card.

    Returns
    -------
    tuple of list of Week and Week or None
        The weeks up to the one in which the events end, at most `WEEKS_MAX`; and the sum of all others, which are
        older, or later by a wrong clock.
    """
    merged: dict[int, dict[Price, Ledger]] = {}
    for of_pipeline in ledgers:
        for number, of_week in of_pipeline.items():
            for price, ledger in of_week.items():
                merged.setdefault(number, {}).setdefault(price, Ledger()).merge(ledger)
    if first_ms is None or last_ms is None or not merged:
        return [], None
    last = week_of_time(last_ms)
    listed = [number for number in merged if last - WEEKS_MAX < number <= last]
    weeks = []
    for number in range(min(listed, default=last), last + 1):
        start_ms, end_ms = week_start_ms(number), week_start_ms(number + 1)
        whole = first_ms <= start_ms and end_ms <= last_ms
        weeks.append(_week(time_to_text(start_ms)[:10], merged.get(number, {}), whole=whole, priced=priced))
    other: dict[Price, Ledger] = {}
    for number in merged.keys() - listed:
        for price, ledger in merged[number].items():
            other.setdefault(price, Ledger()).merge(ledger)
    return weeks, _week("", other, whole=False, priced=priced) if other else None


def _week(start: str, ledgers: Mapping[Price, Ledger], *, whole: bool, priced: bool) -> Week:
    every = list(ledgers.values())
    return Week(
        start=start,
        whole=whole,
        spent=sum(ledger.total() for ledger in every) / 1000,
        wasted=sum(ledger.wasted for ledger in every) / 1000,
        pending=sum(ledger.pending for ledger in every) / 1000,
        spent_money=money(ledgers, Ledger.total) if priced else None,
        wasted_money=money(ledgers, lambda ledger: ledger.wasted) if priced else None,
    )
