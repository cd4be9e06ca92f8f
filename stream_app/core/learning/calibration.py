"""From a deployment budget to a threshold: class-conditional conformal prediction over graphlets.

The budget is the largest share of would-be pushes that may be flagged, and it is family-wise: a push is
flagged if any of its stages is. So a push stands by its least score over the stages, and the threshold, one for all
stages, is the largest of these scores below which lie no more pushes than the budget allows:
floor(budget * (n + 1)) - 1 of n, each counted with one over the probability that it was left to run. A score is
what a flag risks for what it saves, whatever the stage, so one threshold also spends the budget where it saves most.
For exchangeable pushes the chance that the next one is flagged is then at most the budget (Vovk 2012, "Conditional
validity of inductive conformal predictors"). Under drift it may not be, so the share that really was flagged is
watched beside it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

#: Pushes that thresholds and the watch look back on.
WINDOW = 300
#: The watch stops flags when so many would be flagged by chance this rarely under the budget.
_EXCESS = 0.05
#: Room for rounding in budget * (n + 1), which is a whole number where it matters.
_ROUNDING = 1e-9


@dataclass(slots=True)
class _Push:
    graphlet: str
    #: Stage -> smallest score among the records of that stage that the guards let through.
    scores: dict[str, float]
    flagged: tuple[float, ...]
    weight: float
    #: The smallest of the scores at stages that get a budget; None without one: it cannot be flagged.
    least: float | None = None


class PushCalibration:
    """The last labelled pushes and the thresholds that follow from them, budget by budget."""

    def __init__(self, budgets: Sequence[float]) -> None:
        self.budgets = tuple(sorted(budgets))
        self._pushes: deque[_Push] = deque()
        #: Budget -> threshold, where there is one; and whether its flags must stop.
        self._thresholds: dict[float, float] = {}
        self._flags_stopped: dict[float, bool] = dict.fromkeys(self.budgets, False)
        #: The stages that get a budget, sorted.
        self._budgeted_stages: tuple[str, ...] = ()
        #: The least score of any push.
        self._least: float | None = None

    def add(
        self,
        graphlet: str,
        scores: Mapping[str, float],
        flagged: Collection[float],
        weight: float,
        budgeted_stages: Collection[str],
    ) -> None:
        """Count one more labelled push and draw the thresholds anew.

        `scores` has the smallest score (finite) that the guards let through at each stage, `flagged` the budgets whose
        policy flagged the push anywhere, `weight` is one over its propensity, `spending` names the stages that get a
        budget.
        """
        self._forget(graphlet)
        push = _Push(graphlet, dict(scores), tuple(sorted(flagged)), weight)
        self._pushes.append(push)
        if len(self._pushes) > WINDOW:
            self._pushes.popleft()
        stages = tuple(sorted(budgeted_stages))
        for each in (push,) if stages == self._budgeted_stages else self._pushes:
            each.least = min((score for stage, score in each.scores.items() if stage in stages), default=None)
        self._budgeted_stages = stages
        total = math.fsum([push.weight for push in self._pushes])
        self._draw(total)
        self._watch(total)

    def _forget(self, graphlet: str) -> None:
        for place, push in enumerate(self._pushes):
            if push.graphlet == graphlet:
                del self._pushes[place]
                return

    def _draw(self, total: float) -> None:
        """Thresholds anew. A push of which the guards let no score through at a spending stage counts, unflaggable."""
        ranked = sorted([(push.least, push.weight) for push in self._pushes if push.least is not None])
        self._least = ranked[0][0] if ranked else None
        self._thresholds.clear()
        for budget in self.budgets:
            limit = (
                None if self.pushes_missing(budget) else _largest(ranked, math.floor(budget * (total + 1) + _ROUNDING))
            )
            if limit is not None:
                self._thresholds[budget] = limit

    def _watch(self, total: float) -> None:
        flagged = [push for push in self._pushes if push.flagged]
        for budget in self.budgets:
            weights = [push.weight for push in flagged if budget in push.flagged]
            self._flags_stopped[budget] = _too_many(weights, total, budget)

    def threshold(self, budget: float) -> float | None:
        """Flag strictly below this score; None while pushes are missing or there are none to go by.

        Raises
        ------
        ValueError
            The budget is none of those kept: it would never flag, and nobody would know why.
        """
        if budget not in self._flags_stopped:
            raise ValueError(f"no thresholds are kept for a budget of {budget:g}; the learner has {self.budgets}")
        return self._thresholds.get(budget)

    def pushes_missing(self, budget: float) -> int:
        """Labelled pushes still missing before the budget can be kept at all."""
        return max(0, math.ceil(1 / budget - _ROUNDING) - 1 - len(self._pushes))

    def lowest_push_score(self) -> float | None:
        """The least score of any push: what a budget without enough pushes might use."""
        return self._least

    def flags_stopped(self, budget: float) -> bool:
        """Whether the 95 % lower bound of the share of recent pushes flagged under the budget exceeds it."""
        return self._flags_stopped[budget]


def _largest(ranked: list[tuple[float, float]], room: int) -> float | None:
    """The largest score below which lie pushes, with the heaviest at this score itself, of no more weight than `room`.

    The push at the edge stands for the next one, which may fall anywhere up to it. Where flagged pushes rarely run,
    those few are heavy and far between: to count 1 for the edge, as among equals, flagged 6.3 % instead of 5 %.
    """
    best: float | None = None
    below = 0.0
    for score, ties in groupby(ranked, key=itemgetter(0)):
        weights = [weight for _, weight in ties]
        if below + max(weights) > room:
            break
        best = score
        below += math.fsum(weights)
    return best


def _too_many(weights: list[float], total: float, budget: float) -> bool:
    """Whether flagged pushes of these weights, out of `total`, are more than chance and the budget explain.

    With equal weights this is the exact binomial test, which rejects when the Clopper-Pearson lower bound is
    above the budget. Unequal ones count as fewer pushes of their common size (Fay and Feuer 1997).
    """
    if not weights:
        return False
    size = math.fsum(w * w for w in weights) / math.fsum(weights)
    count, trials = round(math.fsum(weights) / size), max(1, round(total / size))
    term = below = (1.0 - budget) ** trials
    for k in range(1, min(count, trials)):
        term *= (trials - k + 1) / k * budget / (1.0 - budget)
        below += term
    return 1.0 - below <= _EXCESS
