"""From a deployment budget to thresholds: class-conditional conformal prediction over graphlets.

The budget is the largest share of would-be pushes that may be flagged, and it is family-wise: a push is
flagged if any of its stages is. So pushes are ranked stage by stage, and one common rank is taken so far up
that the thresholds it gives (the score of that rank at each stage; flag strictly below) touch no more
distinct pushes than the budget allows: floor(budget * (n + 1)) - 1 of n, each counted with one over the
probability that it was left to run. For exchangeable pushes the chance that the next one is flagged is then
at most the budget (Vovk 2012, "Conditional validity of inductive conformal predictors"). Under drift it may
not be, so the share that really was flagged is watched beside it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

#: Pushes that thresholds and the watch look back on.
WINDOW = 300
#: The watch stops flags when so many would be flagged by chance this rarely under the budget.
_EXCESS = 0.05
#: Room for rounding in budget * (n + 1), which is a whole number where it matters.
_ROUNDING = 1e-9

_Ranked = list[tuple[float, int]]


@dataclass(slots=True)
class _Push:
    number: int
    graphlet: str
    #: Stage -> smallest score among the records of that stage that the guards let through.
    scores: dict[str, float]
    flagged: tuple[float, ...]
    weight: float


class PushCalibration:
    """The last labelled pushes and the thresholds that follow from them, budget by budget."""

    def __init__(self, budgets: Sequence[float]) -> None:
        self.budgets = tuple(sorted(budgets))
        self._pushes: deque[_Push] = deque()
        self._number = 0
        #: Stage -> (score, push number), rising; a push without an eligible record is absent: plus infinity.
        self._ranked: dict[str, _Ranked] = {}
        self._thresholds: dict[tuple[str, float], float] = {}
        self._stopped: dict[float, bool] = dict.fromkeys(self.budgets, False)

    def add(
        self,
        graphlet: str,
        scores: Mapping[str, float],
        flagged: Collection[float],
        weight: float,
        spending: Collection[str],
    ) -> None:
        """Count one more labelled push and draw the thresholds anew.

        `scores` has the smallest eligible score (finite) at each stage, `flagged` the budgets whose policy flagged the
        push anywhere, `weight` is one over its propensity, `spending` names the stages that get a budget.
        """
        self._number += 1
        self._forget(graphlet)
        self._pushes.append(_Push(self._number, graphlet, dict(scores), tuple(sorted(flagged)), weight))
        for stage, score in scores.items():
            insort(self._ranked.setdefault(stage, []), (score, self._number))
        if len(self._pushes) > WINDOW:
            self._forget(self._pushes[0].graphlet)
        self._draw(sorted(spending))
        self._watch()

    def _forget(self, graphlet: str) -> None:
        for place, push in enumerate(self._pushes):
            if push.graphlet == graphlet:
                for stage, score in push.scores.items():
                    ranked = self._ranked[stage]
                    del ranked[bisect_left(ranked, (score, push.number))]
                del self._pushes[place]
                return

    def _draw(self, spending: list[str]) -> None:
        self._thresholds.clear()
        ranked = {stage: self._ranked[stage] for stage in spending if self._ranked.get(stage)}
        total = math.fsum(push.weight for push in self._pushes)
        room = {b: math.floor(b * (total + 1) + _ROUNDING) for b in self.budgets if not self.missing(b)}
        if not ranked or not room:
            return
        rank = _ranks_within(ranked, {p.number: p.weight for p in self._pushes}, room)
        for budget, place in rank.items():
            for stage, scores in ranked.items():
                self._thresholds[stage, budget] = scores[min(place, len(scores)) - 1][0]

    def _watch(self) -> None:
        total = math.fsum(push.weight for push in self._pushes)
        for budget in self.budgets:
            weights = [push.weight for push in self._pushes if budget in push.flagged]
            self._stopped[budget] = _too_many(weights, total, budget)

    def threshold(self, stage: str, budget: float) -> float | None:
        """Flag strictly below this score; None while pushes are missing or the stage has none to go by.

        Raises
        ------
        ValueError
            The budget is none of those kept: it would never flag, and nobody would know why.
        """
        if budget not in self._stopped:
            raise ValueError(f"no thresholds are kept for a budget of {budget:g}; the learner has {self.budgets}")
        return self._thresholds.get((stage, budget))

    def missing(self, budget: float) -> int:
        """Labelled pushes still missing before the budget can be kept at all."""
        return max(0, math.ceil(1 / budget - _ROUNDING) - 1 - len(self._pushes))

    def tentative(self, stage: str) -> float | None:
        """The smallest score of a push at this stage: what a budget without enough pushes might use."""
        ranked = self._ranked.get(stage)
        return ranked[0][0] if ranked else None

    def stopped(self, budget: float) -> bool:
        """Whether the 95 % lower bound of the share of recent pushes flagged under the budget exceeds it."""
        return self._stopped[budget]


def _ranks_within(
    ranked: Mapping[str, _Ranked], weights: Mapping[int, float], room: Mapping[float, int]
) -> dict[float, int]:
    """For each budget the largest common rank whose touched pushes, and the heaviest at its edge, it has room for.

    The push at the edge stands for the next one, which may fall anywhere up to it. Where flagged pushes rarely run,
    those few are heavy and far between: to count 1 for the edge, as among equals, flagged 6.3 % instead of 5 %.
    """
    most = max(room.values())
    best: dict[float, int] = {}
    below = dict.fromkeys(ranked, 0)
    touched: set[int] = set()
    weight = 0.0
    for rank in range(1, max(map(len, ranked.values())) + 1):
        edge = 0.0
        for stage, scores in ranked.items():
            threshold, place = scores[min(rank, len(scores)) - 1][0], below[stage]
            while scores[place][0] < threshold:
                number = scores[place][1]
                if number not in touched:
                    touched.add(number)
                    weight += weights[number]
                place += 1
            below[stage] = place
            edge = max(edge, weights[scores[place][1]])
        if weight > most:
            break
        best.update({budget: rank for budget, limit in room.items() if weight + edge <= limit})
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
