"""What each deployment budget's policy would have saved, and what it would have cost, on the log that was read.

The policies run beside each other on the same graphlets. What a policy saves is the compute of executions that began
after it had flagged every graphlet they served, and that turned out wasted. The hindsight oracle knows every outcome
and stops what is not pushed at its first stage, so it misses nothing: no policy can save more. The plain rule by the
past push rate stands beside them (`past_rate`). Nothing here was pruned: what pruning changes in a pipeline's later
runs is not in these figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from stream_app.analysis.cadence import Cadence, PipelineCadence, cadences, summary, worst
from stream_app.analysis.intervals import Estimate, Resamples, ratio, wider, wilson
from stream_app.analysis.past_rate import RATE_BINS, RatePoint, avoided_at, rate_columns, rate_points
from stream_app.analysis.rates import Price, money
from stream_app.analysis.sums import PipelineSums, ReplayStatistics
from stream_app.core.decisions.policy import Policy
from stream_app.core.learning.learner import Learner
from stream_app.core.state.ledger import HINDSIGHT, Ledger
from stream_app.core.units import DAY_MS
from stream_app.times import time_to_text

#: Columns of what is drawn again: waste, all compute, pushes, hindsight, then two for each budget and those of the
#: past push rate.
WASTED, COMPUTE, PUSHES, ORACLE = range(4)
_FIXED = 4


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """One budget's policy. Compute in node-seconds."""

    budget: float
    in_force: bool
    #: Labelled pushes still missing before it may flag, and the days that takes at the rate of labelled pushes over the
    #: period (None: no rate); event time from which it could flag; whether flags are stopped.
    missing_pushes: int
    missing_days: float | None
    ready: str | None
    stopped: bool
    #: Flagged compute that turned out wasted, useful, or is not decided yet.
    saved: float
    harmed: float
    undecided: float
    #: Shares of the waste, and of what the oracle saves.
    avoided: Estimate
    of_hindsight: Estimate
    #: Pushes with verdicts, those among them ever flagged, and their share.
    pushes: int
    pushes_flagged: int
    missed: Estimate
    #: Share of the waste that the rule by past push rate avoids where it flags the same share of pushes.
    by_past_rate: Estimate
    cadence: Cadence
    #: What `saved` costs; None without a rate card.
    saved_money: float | None = None


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Waste avoided against pushes missed, for every budget."""

    #: Waste in all compute that is decided or pending.
    wasted_share: Estimate
    #: What the oracle saves: node-seconds and share of the waste.
    hindsight_saved: float
    hindsight: Estimate
    budgets: list[BudgetFigures]
    #: The rule by past push rate, for rising thresholds.
    past_rate: list[RatePoint]
    #: Of the budget in force.
    worst_cadence: list[PipelineCadence]
    #: What `hindsight_saved` costs; None without a rate card.
    hindsight_money: float | None = None


def tradeoff(
    statistics: ReplayStatistics,
    ledgers: Mapping[str, Ledger],
    fleet: Ledger,
    priced: Mapping[Price, Ledger] | None,
    seed: int,
) -> Tradeoff:
    """Computes the figures of every budget.

    Parameters
    ----------
    statistics
        What was collected from the outputs.
    ledgers
        Pipeline to its ledger.
    fleet
        All ledgers merged.
    priced
        The same by price; None without a rate card.
    seed
        The seed of the resampling.

    Returns
    -------
    Tradeoff
        One entry for each budget.
    """
    policy = statistics.policy
    pushes = {name: (sums.push_ms, sums.push_flags) for name, sums in statistics.pipelines.items()}
    resamples = Resamples(rows_of(ledgers, statistics.pipelines, policy), seed)
    found, worst_found = [], []
    for index, budget in enumerate(policy.budgets):
        of_pipelines = cadences(pushes, index)
        if index == policy.active:
            worst_found = worst(of_pipelines)
        each = budget_figures(statistics, fleet, resamples, index, budget, summary(of_pipelines))
        found.append(each if priced is None else replace(each, saved_money=saved_money(priced, index)))
    return Tradeoff(
        wasted_share=resamples.estimate(ratio(WASTED, COMPUTE)),
        hindsight_saved=fleet.saved.get(HINDSIGHT, 0) / 1000,
        hindsight=resamples.estimate(ratio(ORACLE, WASTED)),
        budgets=sorted(found, key=attrgetter("budget")),
        past_rate=rate_points(resamples.total, rate_column(policy), WASTED, PUSHES),
        worst_cadence=worst_found,
        hindsight_money=None if priced is None else saved_money(priced, HINDSIGHT),
    )


def rate_column(policy: Policy) -> int:
    """The first column of the past push rate."""
    return _FIXED + 2 * len(policy.budgets)


def rows_of(ledgers: Mapping[str, Ledger], pipelines: Mapping[str, PipelineSums], policy: Policy) -> np.ndarray:
    """The sums of each pipeline."""
    rates = rate_column(policy)
    rows = np.zeros((len(ledgers), rates + 2 * RATE_BINS))
    for row, (name, ledger) in zip(rows, ledgers.items(), strict=True):
        sums = pipelines.get(name) or PipelineSums()
        flags: Sequence[int] = sums.push_flags
        row[rates:] = rate_columns(sums.rate_waste, sums.rate_pushes, ledger.saved.get(HINDSIGHT, 0))
        row[:_FIXED] = ledger.wasted, ledger.total(), len(flags), ledger.saved.get(HINDSIGHT, 0)
        for index in range(len(policy.budgets)):
            row[_FIXED + 2 * index] = ledger.saved.get(index, 0)
            row[_FIXED + 2 * index + 1] = sum(bits >> index & 1 for bits in flags)
    return rows


def saved_money(priced: Mapping[Price, Ledger], index: int) -> float:
    """What the flagged waste of one budget cost."""
    return money(priced, lambda ledger: ledger.saved.get(index, 0))


def budget_figures(
    statistics: ReplayStatistics, fleet: Ledger, resamples: Resamples, index: int, budget: float, cadence: Cadence
) -> BudgetFigures:
    """The figures of one budget."""
    learner: Learner | None = statistics.learner
    saved, flagged = _FIXED + 2 * index, _FIXED + 2 * index + 1
    pushes, pushes_flagged = int(resamples.total[PUSHES]), int(resamples.total[flagged])
    ready_ms = statistics.ready_ms.get(budget)
    missing = learner.pushes_missing(budget) if learner is not None else 0
    by_rate = avoided_at(flagged, rate_column(statistics.policy), WASTED, PUSHES)
    return BudgetFigures(
        budget=budget,
        in_force=index == statistics.policy.active,
        missing_pushes=missing,
        missing_days=days_until(missing, pushes, statistics),
        ready=time_to_text(ready_ms) if ready_ms is not None else None,
        stopped=learner is not None and learner.flags_stopped(budget),
        saved=fleet.saved.get(index, 0) / 1000,
        harmed=fleet.harmed.get(index, 0) / 1000,
        undecided=fleet.undecided.get(index, 0) / 1000,
        avoided=resamples.estimate(ratio(saved, WASTED)),
        of_hindsight=resamples.estimate(ratio(saved, ORACLE)),
        pushes=pushes,
        pushes_flagged=pushes_flagged,
        # Few flagged pushes come from few pipelines: then what is drawn again varies too little.
        missed=wider(resamples.estimate(ratio(flagged, PUSHES)), *wilson(pushes_flagged, pushes)),
        by_past_rate=resamples.estimate(by_rate),
        cadence=cadence,
    )


def days_until(missing: int, pushes: int, statistics: ReplayStatistics) -> float | None:
    """The days until missing pushes have come, at the rate of those labelled; None without a rate, or none missing."""
    span_ms = (statistics.last_ms or 0) - (statistics.first_ms or 0)
    return missing * span_ms / DAY_MS / pushes if missing and pushes and span_ms else None
