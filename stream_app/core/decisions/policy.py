"""Decides from a score: guards, thresholds by budget, hysteresis, and the holdout of `enforce`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from stream_app.core.ladder import LadderRule
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import CONTINUE, PRUNE, WARN, Guard, Withdrawal
from stream_app.core.state.history import HISTORY_LENGTH, History
from stream_app.core.units import DAY_MS

OBSERVE, ENFORCE = "observe", "enforce"

#: A pipeline's first labelled graphlets are never flagged.
FIRST_GRAPHLETS = 5
#: A stage with a smaller share of the cost ahead is not worth a flag.
LEFT_SHARE_MIN = 0.05
#: At most this share of a pipeline's last pushes, or one of them, may have been flagged.
PIPELINE_SHARE_MAX = 0.2
#: A pipeline without a usual number of runs between pushes runs every so many.
RUNS_AT_MOST = 20
#: A flag is withdrawn at this multiple of the threshold.
WITHDRAW_AT = 2.0
#: Probabilities with which a flagged run continues in `enforce`: far below the threshold, and at it.
HOLDOUT_MIN, HOLDOUT_MAX = 0.02, 0.5
#: Share of pipeline-weeks in which nothing is pruned.
FREE_WEEKS = 0.05


@dataclass(frozen=True)
class Policy:
    """The user's choices about flags.

    Parameters
    ----------
    mode
        `observe` reports flags; `enforce` also answers that flagged runs should stop, apart from a holdout.
    budget
        The largest share of would-be pushes that may be flagged, between 0 and 1.
    budgets
        Budgets whose policies run beside the one in force, to show what each would do; `budget` is added at the end if
        it is not among them. State keeps budgets by their position here, so that another `budget` leaves the others'
        counts valid.
    salt
        Salt of the hash that draws the holdout; another salt draws other runs.
    ladders
        What flags lead to; the first rule that holds for a run.
    """

    mode: str = OBSERVE
    budget: float = 0.05
    budgets: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    salt: str = ""
    ladders: tuple[LadderRule, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", tuple(dict.fromkeys((*self.budgets, self.budget))))

    @property
    def active(self) -> int:
        """Index of the budget in force."""
        return self.budgets.index(self.budget)


@dataclass(slots=True)
class Decision:
    """The decision at a stage, with its reasons."""

    decision: str
    threshold: float | None
    #: The guard that forbids a flag under any budget, or None.
    guard: Guard | None
    #: Indices of budgets that flag here.
    flagged: list[int]
    holdout: bool = False
    propensity: float = 1.0
    #: As of a verdict.
    held_back: Guard | None = None
    withdrawn: Guard | Withdrawal | None = None
    pushes_missing: int = 0


def score_of(p: float, cost_left: float) -> float:
    """The odds of a push over the compute expected to be left in node-hours: the risk of a flag against its saving."""
    return p / (1.0 - p) / (max(cost_left, 1.0) / 3600.0)


def guard(history: History, now_ms: int, keep: bool, cost: float, cost_left: float) -> Guard | None:
    """The guard that forbids to flag a graphlet under any budget, or None."""
    if keep:
        return Guard.KEEP
    if history.labelled < FIRST_GRAPHLETS:
        return Guard.FIRST
    if cost_left <= LEFT_SHARE_MIN * (cost + cost_left):
        return Guard.NOTHING_LEFT
    usual_ms = history.usual_interval_ms()
    if usual_ms is not None and now_ms - history.push_ms[-1] > usual_ms:
        return Guard.DUE
    return None


def budget_guard(history: History, budget: int) -> Guard | None:
    """The guard that forbids the policy of one budget (by index) to flag another graphlet of this pipeline, or None."""
    usual_runs = history.usual_runs_between()
    streak_max = RUNS_AT_MOST - 1 if usual_runs is None else max(1.0, usual_runs)
    if history.flag_streaks.get(budget, 0) >= streak_max:
        return Guard.STREAK
    flagged = sum(1 for bits in history.push_flags if bits >> budget & 1)
    # One even where the share allows none: a pipeline with few pushes could otherwise never be flagged.
    if flagged >= max(1, int(PIPELINE_SHARE_MAX * min(HISTORY_LENGTH, history.pushes))):
        return Guard.PIPELINE_SHARE
    return None


@dataclass(frozen=True, slots=True)
class Question:
    """What to decide on: a stage of a run or a trainer."""

    stage: str
    score: float
    #: The result of `guard`.
    guarded: Guard | None
    #: Whether the trainer, or its run before the trainer was known, has an open flag.
    was_flagged: bool
    pipeline: str
    #: The run, or the trainer that is in no run, for which the holdout is drawn.
    subject: str
    now_ms: int
    #: Whether a flagged run would be stopped; it is asked only where the stage is flagged.
    may_act: Callable[[], bool] = lambda: True


def decide(policy: Policy, learner: Learner, history: History, question: Question) -> Decision:
    """Decides on a stage under the budget in force, and beside it under every other budget."""
    stage, score, guarded = question.stage, question.score, question.guarded
    flagged: list[int] = []
    held_back = guarded
    for index, budget in enumerate(policy.budgets):
        limit = learner.threshold(stage, budget)
        if guarded is not None or limit is None or score >= limit or learner.flags_stopped(budget):
            continue
        reason = budget_guard(history, index)
        if reason is None:
            flagged.append(index)
        elif index == policy.active:
            held_back = reason
    threshold = learner.threshold(stage, policy.budget)
    decision = Decision(CONTINUE, threshold, guarded, flagged)
    withdrawn = why_withdrawn(learner, policy, question, threshold) if question.was_flagged else None
    if policy.active in flagged or (question.was_flagged and withdrawn is None):
        decision.decision = PRUNE
        if policy.mode == ENFORCE and question.may_act():  # nothing is held out where nothing is stopped
            hold_out(decision, policy, question)
    elif question.was_flagged:
        decision.withdrawn = withdrawn
    else:
        warn(decision, policy, learner, stage, score, held_back)
    return decision


def why_withdrawn(
    learner: Learner, policy: Policy, question: Question, threshold: float | None
) -> Guard | Withdrawal | None:
    """Why an open flag is withdrawn, or None. A flag stays until the score is well above the threshold."""
    if question.guarded is not None:
        return question.guarded
    if learner.flags_stopped(policy.budget):
        return Guard.STOPPED
    if threshold is None:
        return Withdrawal.NO_THRESHOLD
    return None if question.score < WITHDRAW_AT * threshold else Withdrawal.RECOVERED


def warn(
    decision: Decision, policy: Policy, learner: Learner, stage: str, score: float, held_back: Guard | None
) -> None:
    """Warns where the score would flag the graphlet but no flag is allowed."""
    threshold, pushes_missing = decision.threshold, learner.pushes_missing(policy.budget)
    if pushes_missing:
        lowest = learner.lowest_push_score(stage)
        if held_back is None and lowest is not None and score < lowest:
            decision.decision = WARN
            decision.held_back, decision.pushes_missing = Guard.PUSHES_MISSING, pushes_missing
    elif threshold is not None and score < threshold:
        decision.decision = WARN
        decision.held_back = Guard.STOPPED if learner.flags_stopped(policy.budget) else held_back


def hold_out(decision: Decision, policy: Policy, question: Question) -> None:
    """Draws whether a flagged run continues so that its outcome is seen; the same draw at every stage of a run."""
    threshold = decision.threshold or question.score
    nearness = min(1.0, question.score / threshold) if threshold > 0 else 0.0
    chance = HOLDOUT_MIN + (HOLDOUT_MAX - HOLDOUT_MIN) * nearness
    week = str(question.now_ms // (7 * DAY_MS))
    free_week = draw(policy.salt, "week", question.pipeline, week) < FREE_WEEKS
    decision.propensity = FREE_WEEKS + (1.0 - FREE_WEEKS) * chance
    if free_week or draw(policy.salt, "run", question.pipeline, question.subject) < chance:
        decision.decision = CONTINUE
        decision.holdout = True
        if question.was_flagged:
            decision.withdrawn = Withdrawal.HELD_OUT


def draw(*names: str) -> float:
    """A pseudo-random number in [0, 1) that depends on the names alone."""
    digest = hashlib.blake2b("\x00".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / math.ldexp(1.0, 64)
