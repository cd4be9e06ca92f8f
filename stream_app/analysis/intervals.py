"""Intervals: the bootstrap over pipelines, and Wilson's for a share of few.

Graphlets of one pipeline resemble each other, so what is drawn again (with replacement) are whole pipelines: 1,000
times, seeded; the interval is between the 2.5 % and the 97.5 % quantile (Efron and Tibshirani 1993, chapter 13). With
fewer than five pipelines that says nothing, and no interval is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TIMES = 1000
PIPELINES_MIN = 5
_Z = 1.959964
_QUANTILES = (0.025, 0.975)
#: Draws held at once.
_DRAWS = 500_000

Sums = NDArray[np.float64]
#: From sums (one row a resample) to a figure of each; NaN where it has none.
Figure = Callable[[Sums], Sums]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None where there is not enough data for it."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Resamples:
    """The sums of some pipelines, and the same sums of pipelines drawn again.

    Parameters
    ----------
    rows
        Whole numbers, one row a pipeline, one column a sum. They are added as doubles, which is exact, so the order
        of addition does not show.
    seed
        Of the draws.
    """

    def __init__(self, rows: Sums, seed: int) -> None:
        self.total = rows.sum(axis=0)
        self._sums: Sums | None = None
        pipelines = len(rows)
        if pipelines < PIPELINES_MIN:
            return
        rng = np.random.default_rng(seed)
        parts = []
        at_once = max(1, min(TIMES, _DRAWS // pipelines))
        for start in range(0, TIMES, at_once):
            size = min(at_once, TIMES - start)
            drawn = rng.integers(0, pipelines, (size, pipelines))
            drawn += np.arange(size)[:, None] * pipelines
            counts = np.bincount(drawn.ravel(), minlength=size * pipelines).reshape(size, pipelines)
            parts.append(counts.astype(np.float64) @ rows)
        self._sums = np.concatenate(parts)

    def estimate(self, figure: Figure, value: float | None = None) -> Estimate:
        """A figure of the sums with its interval.

        Parameters
        ----------
        figure
            Gives the figure of each row of sums.
        value
            The figure as it is known more exactly; the interval is moved there.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            found = float(figure(self.total[None, :])[0])
            if not math.isfinite(found):
                return Estimate(value)
            shift = 0.0 if value is None else value - found
            if self._sums is None:
                return Estimate(found + shift)
            drawn = figure(self._sums)
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn) < 0.9 * TIMES:
            return Estimate(found + shift)
        low, high = np.quantile(drawn, _QUANTILES)
        return Estimate(found + shift, float(low) + shift, float(high) + shift)


def ratio(part: int, whole: int) -> Figure:
    """The figure `column part / column whole`."""
    return lambda sums: sums[:, part] / sums[:, whole]


def wilson(count: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a share, seen `count` times in `trials` (Wilson 1927); all of [0, 1] for no trials."""
    if trials <= 0:
        return 0.0, 1.0
    share, z2 = count / trials, _Z * _Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = _Z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def share(count: float, trials: float) -> Estimate:
    """A share of independent trials with Wilson's interval."""
    if trials <= 0:
        return Estimate(None)
    return Estimate(count / trials, *wilson(count, trials))


def wider(estimate: Estimate, low: float, high: float) -> Estimate:
    """The estimate with an interval that holds both its own and the other."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return Estimate(estimate.value, low, high) if estimate.value is not None else estimate
    return Estimate(estimate.value, min(low, estimate.low), max(high, estimate.high))
