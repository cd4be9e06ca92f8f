"""From a deployment budget to a threshold: class-conditional conformal prediction over graphlets.

The budget is the largest share of would-be pushes that may be flagged, and it is family-wise: a push is flagged if any
of its stages is. A push is therefore ranked by its lowest score over the stages. The threshold, one for all stages, is
the highest of these scores below which lie no more pushes than the budget allows: floor(budget * (n + 1)) - 1 of n,
each counted with one over the probability that it was left to continue. The score sets the risk of a flag against its
saving at every stage alike, so one threshold also spends the budget where it saves most.

For exchangeable pushes the probability that the next one is flagged is then at most the budget [1]_. Under drift it may
not be, so the share that was really flagged is monitored too.

References
----------
.. [1] V. Vovk, "Conditional validity of inductive conformal predictors", ACML 2012.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

#: Number of the last pushes from which thresholds, and the share flagged, are computed.
WINDOW = 300
#: Flags stop when the number flagged would be reached under the budget with at most this probability.
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
    """The last labelled pushes and the thresholds that follow from them, budget by budget.

    Parameters
    ----------
    budgets
        The budgets to keep thresholds for, each between 0 and 1.

    References
    ----------
    .. [1] V. Vovk, "Conditional validity of inductive conformal predictors", ACML 2012.
    """

    def __init__(self, budgets: Sequence[float]) -> None:
        self.budgets = tuple(sorted(budgets))
        self._pushes: deque[_Push] = deque()
        #: Budget -> threshold, where there is one; and whether its flags must stop.
        self._thresholds: dict[float, float] = {}
        self._flags_stopped: dict[float, bool] = dict.fromkeys(self.budgets, False)
        #: The stages that get a budget, sorted.
        self._budgeted_stages: tuple[str, ...] = ()
        #: The lowest score of any push.
        self._least: float | None = None

    def add(
        self,
        graphlet: str,
        scores: Mapping[str, float],
        flagged: Collection[float],
        weight: float,
        budgeted_stages: Collection[str],
    ) -> None:
        """Counts one more labelled push and computes the thresholds anew.

        Parameters
        ----------
        graphlet
            The id of the graphlet; an earlier push of it is replaced.
        scores
            Stage to the lowest finite score that the guards let through there.
        flagged
            The budgets whose policies flagged the push at any stage.
        weight
            One over the push's propensity.
        budgeted_stages
            The stages that get a budget.
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
        for position, push in enumerate(self._pushes):
            if push.graphlet == graphlet:
                del self._pushes[position]
                return

    def _draw(self, total: float) -> None:
        """Computes the thresholds. A push without a score at a budgeted stage counts as one that cannot be flagged."""
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
        """The threshold of a budget.

        Parameters
        ----------
        budget
            One of the budgets kept.

        Returns
        -------
        float or None
            A graphlet is flagged strictly below it. None while pushes are missing or no push has a score.

        Raises
        ------
        ValueError
            The budget is not kept. It would never flag, and nothing would tell why.
        """
        if budget not in self._flags_stopped:
            raise ValueError(f"no thresholds are kept for a budget of {budget:g}; the learner has {self.budgets}")
        return self._thresholds.get(budget)

    def pushes_missing(self, budget: float) -> int:
        """The number of labelled pushes still missing before the budget can be kept at all."""
        return max(0, math.ceil(1 / budget - _ROUNDING) - 1 - len(self._pushes))

    def lowest_push_score(self) -> float | None:
        """The lowest score of any push, which a budget without enough pushes might use."""
        return self._least

    def flags_stopped(self, budget: float) -> bool:
        """Whether the 95 % lower bound of the share of recent pushes flagged under the budget exceeds the budget."""
        return self._flags_stopped[budget]


def _largest(ranked: list[tuple[float, float]], room: int) -> float | None:
    """The highest score below which the pushes weigh, with the heaviest at this score, no more than `room`.

    The push at the edge stands for the next one, which may fall anywhere up to it. Where flagged pushes rarely
    continue, those few are heavy and far apart: counting 1 for the edge, as among equal weights, flagged 6.3 % instead
    of 5 %.
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

    With equal weights this is the exact binomial test, which rejects when the Clopper-Pearson lower bound is above the
    budget. Unequal weights count as fewer pushes of their common size (Fay and Feuer 1997).
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
