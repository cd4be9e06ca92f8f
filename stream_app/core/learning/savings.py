"""Estimates what pruning saved, verified by flagged runs that were left to continue.

A pruned run never shows what it would have cost. But a flagged run continues with a known probability, its propensity,
and then shows what it used. Such a run represents the flagged runs that were pruned: with propensities that fall from
stage to stage (one draw a run), it represents (before - after) / last of them at each stage. The verified saving is the
ratio of what these runs used to what was expected of them, times what was expected of the pruned runs. Its variance is
that of a ratio of sums over pipelines, since runs of one pipeline resemble each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scipy import special

from stream_app.core.outputs import PRUNE, Example

#: The widest interval: a factor of e to this power either way, when nothing is known.
_LOG_MAX = 20.0
#: Number of pruned runs of a pipeline that are remembered until all their examples have arrived.
_RUNS_MAX = 100


@dataclass(frozen=True, slots=True)
class Saved:
    """Node-seconds saved by prunes, in all.

    Attributes
    ----------
    estimated
        Expected cost left of all pruned runs.
    verified, low, high
        By the holdout, with its 95 % interval; None before any run was held out.
    pruned, held_out
        Number of runs pruned, and of runs held out.
    """

    estimated: float
    verified: float | None
    low: float | None
    high: float | None
    pruned: int
    held_out: int


@dataclass(slots=True)
class _Pipeline:
    """Node-seconds left in one pipeline: actual and expected of its held-out runs, weighted, and of its prunes."""

    actual: float = 0.0
    expected: float = 0.0
    pruned: float = 0.0
    #: Pruned run -> whether it counts by its own flag, rather than by those of its trainers.
    runs: dict[str, bool] = field(default_factory=dict)

    def prune(self, example: Example) -> bool:
        """Counts the cost expected to be left at a prune, once for each run: by its own flag or by its trainers'."""
        own = [record for record in example.stages if record.decision == PRUNE]
        flags = own or [record for record in example.inherited if record.decision == PRUNE]
        if not flags:
            return False
        if example.run is not None and (example.trainer is None or example.inherited):
            by_run = example.trainer is None or not own
            if self.runs.get(example.run, False) or (by_run and example.run in self.runs):
                return False
            self.runs[example.run] = by_run
            if len(self.runs) > _RUNS_MAX:
                del self.runs[next(iter(self.runs))]
        self.pruned += flags[-1].cost_left
        return True


class Savings:
    """Sums over examples, each of which must be added once."""

    def __init__(self) -> None:
        self._pruned = 0
        self._held_out = 0
        self._pipelines: dict[str, _Pipeline] = {}
        #: Weighted sums of actual squared, actual times expected, expected squared, over all held-out runs.
        self._squares = [0.0, 0.0, 0.0]

    def add(self, example: Example) -> None:
        """Counts what an example shows about savings: a prune, a held-out run, or nothing."""
        if example.pushed is None:
            self._pruned += self._pipelines.setdefault(example.pipeline, _Pipeline()).prune(example)
            return
        flags = [record for record in example.stages if record.propensity < 1.0]
        if not flags or example.word or any(record.decision == PRUNE for record in flags):
            # Never flagged, or flagged and continued regardless, such as by somebody's word: that was no draw, so it
            # represents no pruned run, of which nobody had said a word.
            return
        self._held_out += 1
        held = self._pipelines.setdefault(example.pipeline, _Pipeline())
        before = min((record.propensity for record in example.inherited), default=1.0)
        last = min(before, *(record.propensity for record in example.stages))
        for record in example.stages:
            after = min(before, record.propensity)
            weight, actual, expected = (before - after) / last, record.actual_left, record.cost_left
            held.actual += weight * actual
            held.expected += weight * expected
            for i, square in enumerate((actual * actual, actual * expected, expected * expected)):
                self._squares[i] += weight * square
            before = after

    def saved(self) -> Saved:
        """The saving so far, estimated and verified."""
        pipelines = self._pipelines.values()
        estimated = math.fsum(each.pruned for each in pipelines)
        expected = math.fsum(each.expected for each in pipelines)
        if expected <= 0.0:
            return Saved(estimated, None, None, None, self._pruned, self._held_out)
        ratio = math.fsum(each.actual for each in pipelines) / expected
        verified = ratio * estimated
        reach = t_quantile(self._freedom()) * self._standard_error(ratio, expected, estimated)
        if verified <= 0.0:
            return Saved(estimated, verified, 0.0, reach, self._pruned, self._held_out)
        # Costs are skewed, so is the error: an interval even in the logarithm misses equally on both sides.
        factor = math.exp(min(reach / verified, _LOG_MAX))
        return Saved(estimated, verified, verified / factor, verified * factor, self._pruned, self._held_out)

    def _standard_error(self, ratio: float, expected: float, estimated: float) -> float:
        """Standard error of the verified saving: the ratio's part, by pipeline, and the draw's part."""
        ratio_part = 0.0
        for each in self._pipelines.values():
            # A pipeline that is much of the sum pulls the ratio towards itself, so that its error seems too small.
            leverage = min(each.expected / expected, 0.5)
            ratio_part += ((each.actual - ratio * each.expected) / (1.0 - leverage)) ** 2
        a, b, c = self._squares
        draw_part = max(0.0, a - 2.0 * ratio * b + ratio * ratio * c)
        return math.sqrt((estimated / expected) ** 2 * ratio_part + draw_part)

    def _freedom(self) -> float:
        """Degrees of freedom: the number of equal pipelines whose sums would vary like these, less one."""
        least = math.inf
        for amounts in ([p.expected for p in self._pipelines.values()], [p.pruned for p in self._pipelines.values()]):
            squares = math.fsum(amount * amount for amount in amounts)
            if squares > 0.0:
                least = min(least, math.fsum(amounts) ** 2 / squares)
        return max(1.0, least - 1.0)


def t_quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t distribution: a 95 % interval reaches as many standard errors either way.

    Parameters
    ----------
    freedom
        Degrees of freedom, at least 1 and not necessarily whole; infinity gives the normal distribution.

    Returns
    -------
    float
        The quantile, exact to machine precision.
    """
    return float(special.stdtrit(freedom, 0.975))
