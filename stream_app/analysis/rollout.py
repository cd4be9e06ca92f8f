"""What to do next on the way from looking at flags to acting on them, by one's own history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stream_app.analysis.budgets import BudgetFigures
from stream_app.analysis.figures import Figures, Prunable
from stream_app.analysis.summary import Because, objection
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.units import DAY_MS
from stream_app.times import text_to_time

#: Days of a month, and for which flags are looked at before anything acts on them.
MONTH_DAYS, LOOK_DAYS = 30.0, 14.0
#: Labelled graphlets of a pipeline, at least, before acting on it is recommended.
LABELLED_MIN = 30
#: Pipelines that are named.
PIPELINES_MAX = 10


class Step(StrEnum):
    """What to do next."""

    #: Report executions when they start: without that nothing can be predicted.
    REPORT = "report"
    #: Look at flags, until there are pushes enough for thresholds.
    OBSERVE = "observe"
    #: Look at flags: it is not sure that acting on them would pay.
    LOOK = "look"
    #: Tell owners of flags.
    WARN = "warn"
    #: Stop flagged runs of some pipelines.
    ACT = "act"
    #: Go on stopping flagged runs.
    GO_ON = "go_on"


@dataclass(frozen=True, slots=True)
class SafePipeline:
    """A pipeline of which no push was ever flagged, and some waste was.

    Attributes
    ----------
    pipeline, owner
        Its name and its owner.
    labelled, pushes
        Its graphlets with an outcome, and those that were pushed.
    saved_a_month
        Flagged waste in node-seconds, for 30 days.
    money_a_month
        What that costs; None without a rate card.
    """

    pipeline: str
    owner: str
    labelled: int
    pushes: int
    saved_a_month: float
    money_a_month: float | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, with its evidence.

    Attributes
    ----------
    step
        The step.
    because
        Why no more than to look; None for other steps.
    days
        Days that the events cover.
    evidence
        The figures of the budget that the step is for.
    saved_a_month, money_a_month
        Of that budget: flagged waste, in node-seconds and money, for 30 days; money is None without a rate card.
    pushes_at_risk_a_month
        Pushes that it had flagged, for 30 days.
    pipelines
        Those on which to act, those that save most first; for `Step.ACT` alone.
    """

    step: Step
    because: Because | None
    days: float
    evidence: BudgetFigures
    saved_a_month: float
    money_a_month: float | None
    pushes_at_risk_a_month: float
    pipelines: Sequence[SafePipeline]


def advise(figures: Figures) -> Advice:
    """Recommends the next step.

    To warn is recommended at the budget that would have saved most among those up to the one in force to which nothing
    objects (see `stream_app.analysis.summary.objection`). To act is recommended once the budget in force has had its
    thresholds for two weeks, on pipelines of which no push was flagged.

    Parameters
    ----------
    figures
        Of a replay of the history.

    Returns
    -------
    Advice
        The step and its evidence.
    """
    budgets = figures.tradeoff.budgets
    in_force = next(each for each in budgets if each.in_force)
    if not figures.verdicts:
        return _advice(figures, Step.REPORT, in_force)
    allowed = [each for each in budgets if each.budget <= in_force.budget]
    ready = [each for each in allowed if not each.missing_pushes]
    if not ready:
        return _advice(figures, Step.OBSERVE, in_force)
    sound = [each for each in ready if objection(each) is None]
    if not sound:
        found = in_force if in_force in ready else ready[-1]
        return _advice(figures, Step.LOOK, found, because=objection(found))
    if figures.mode == ENFORCE and in_force in sound:
        return _advice(figures, Step.GO_ON, in_force)
    if in_force in sound and _ready_days(figures, in_force) >= LOOK_DAYS:
        safe = [_safe(each, figures.days) for each in figures.prunable if _is_safe(each)][:PIPELINES_MAX]
        if safe:
            return _advice(figures, Step.ACT, in_force, safe)
    return _advice(figures, Step.WARN, max(sound, key=lambda each: each.saved))


def _advice(
    figures: Figures,
    step: Step,
    evidence: BudgetFigures,
    pipelines: Sequence[SafePipeline] = (),
    because: Because | None = None,
) -> Advice:
    days, money = figures.days, evidence.saved_money
    return Advice(
        step=step,
        because=because,
        days=days,
        evidence=evidence,
        saved_a_month=a_month(evidence.saved, days),
        money_a_month=None if money is None else a_month(money, days),
        pushes_at_risk_a_month=a_month(evidence.pushes_flagged, days),
        pipelines=tuple(pipelines),
    )


def a_month(amount: float, days: float) -> float:
    """An amount of some days for 30 days; that of less than a week is not stretched beyond four times."""
    return amount * MONTH_DAYS / max(days, MONTH_DAYS / 4)


def _ready_days(figures: Figures, budget: BudgetFigures) -> float:
    """Days for which a budget has had its thresholds."""
    if budget.ready is None or figures.last is None:
        return 0.0
    return (text_to_time(figures.last) - text_to_time(budget.ready)) / DAY_MS


def _is_safe(each: Prunable) -> bool:
    return not each.pushes_flagged and each.labelled >= LABELLED_MIN and each.saved > 0


def _safe(each: Prunable, days: float) -> SafePipeline:
    money = each.saved_money
    return SafePipeline(
        each.pipeline,
        each.owner,
        each.labelled,
        each.pushes,
        a_month(each.saved, days),
        None if money is None else a_month(money, days),
    )
