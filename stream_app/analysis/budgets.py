"""What each deployment budget's policy would have saved, and what it would have cost, on the log that was read.

The policies run beside each other on the same graphlets. What a policy saves is the compute of executions that began
after it had flagged every graphlet they served, and that turned out wasted. The hindsight oracle knows every outcome
and stops what is not pushed at its first stage, so it misses nothing: no policy can save more. Nothing here was pruned:
what pruning changes in a pipeline's later runs is not in these figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from stream_app.analysis.cadence import Cadence, PipelineCadence, cadences, summary, worst
from stream_app.analysis.intervals import Estimate, Resamples, ratio, wider, wilson
from stream_app.analysis.rates import Price, money
from stream_app.analysis.sums import PipelineSums, ReplayStatistics
from stream_app.core.decisions.policy import Policy
from stream_app.core.learning.learner import Learner
from stream_app.core.state.ledger import HINDSIGHT, Ledger
from stream_app.times import time_to_text

#: Columns of what is drawn again: waste, all compute, pushes, hindsight, then two for each budget.
WASTED, COMPUTE, PUSHES, ORACLE = range(4)
_FIXED = 4


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """One budget's policy. Compute in node-seconds."""

    budget: float
    in_force: bool
    #: Labelled pushes still missing before it may flag; event time from which it could; whether flags are stopped.
    missing_pushes: int
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
    #: Of the budget in force.
    worst_cadence: list[PipelineCadence]


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
        worst_cadence=worst_found,
    )


def rows_of(ledgers: Mapping[str, Ledger], pipelines: Mapping[str, PipelineSums], policy: Policy) -> np.ndarray:
    """The sums of each pipeline."""
    rows = np.zeros((len(ledgers), _FIXED + 2 * len(policy.budgets)))
    for row, (name, ledger) in zip(rows, ledgers.items(), strict=True):
        flags: Sequence[int] = pipelines[name].push_flags if name in pipelines else ()
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
    return BudgetFigures(
        budget=budget,
        in_force=index == statistics.policy.active,
        missing_pushes=learner.pushes_missing(budget) if learner is not None else 0,
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
        cadence=cadence,
    )
