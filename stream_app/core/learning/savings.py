"""What pruning saved, verified by the runs that were flagged and left to run.

A pruned run never shows what it would have cost. But a flagged run is left to run with a known probability,
its propensity, and then shows what it really used. Such a run stands for the flagged ones that were pruned:
with propensities that fall from stage to stage (one draw a run), for (before - after) / last of them at each
stage. The ratio of what they used to what was expected of them, times what was expected of the pruned, is
the verified saving; its variance is that of a ratio of sums over pipelines, since runs of one pipeline
resemble each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scipy import special

from stream_app.core.outputs import PRUNE, Example

#: Widest interval: a factor of e to this either way says that nothing is known.
_LOG_MAX = 20.0
#: How many pruned runs of a pipeline are remembered until all that they say is in.
_RUNS_MAX = 100


@dataclass(frozen=True, slots=True)
class Saved:
    """Node-seconds that prunes saved, in all."""

    #: Expected cost left of all runs pruned.
    estimated: float
    #: By the holdout, with its 95 % interval; None before any run was held out.
    verified: float | None
    low: float | None
    high: float | None
    #: Runs pruned, and runs held out.
    pruned: int
    held_out: int


@dataclass(slots=True)
class _Pipeline:
    """Node-seconds left, by pipeline: over its held-out runs weighted by the prunes they stand for, and pruned."""

    actual: float = 0.0
    expected: float = 0.0
    pruned: float = 0.0
    #: Pruned run -> whether it counts by its own flag, rather than by those of its trainers.
    runs: dict[str, bool] = field(default_factory=dict)

    def prune(self, example: Example) -> bool:
        """Count the cost expected left at a prune, of a run once: by its own flag or by its trainers'."""
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
    """Sums over examples; feed it each example once."""

    def __init__(self) -> None:
        self._pruned = 0
        self._held_out = 0
        self._pipelines: dict[str, _Pipeline] = {}
        #: Weighted sums of actual squared, actual times expected, expected squared, over all held-out runs.
        self._squares = [0.0, 0.0, 0.0]

    def add(self, example: Example) -> None:
        """Count what an example says about savings: a prune, a held-out run, or nothing."""
        if example.pushed is None:
            self._pruned += self._pipelines.setdefault(example.pipeline, _Pipeline()).prune(example)
            return
        flags = [record for record in example.stages if record.propensity < 1.0]
        if not flags or any(record.decision == PRUNE for record in flags):
            # Never flagged, or told to stop and run on regardless: that was no draw, so it stands for nobody.
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
        """Of the verified saving less the true one: the ratio's part, by pipeline, and that of the draw."""
        ratio_part = 0.0
        for each in self._pipelines.values():
            # A pipeline that is much of the sum pulls the ratio towards itself and looks better than it is.
            leverage = min(each.expected / expected, 0.5)
            ratio_part += ((each.actual - ratio * each.expected) / (1.0 - leverage)) ** 2
        a, b, c = self._squares
        draw_part = max(0.0, a - 2.0 * ratio * b + ratio * ratio * c)
        return math.sqrt((estimated / expected) ** 2 * ratio_part + draw_part)

    def _freedom(self) -> float:
        """Degrees of freedom: as many equal pipelines as vary like these, by what they hold of either sum, less one."""
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
