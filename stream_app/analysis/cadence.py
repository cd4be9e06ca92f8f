"""What a budget does to the time between a pipeline's pushes.

Of a pipeline with at least four pushes, the intervals between all of its pushes are set against those that are left
when the flagged ones are taken out. The first and the last push bound the time looked at, flagged or not, so every
interval is finite and one that a flag opens at an edge counts. Where the last push is flagged, no later one ends the
wait: it counts up to that push, and the pipeline is counted as one that never pushes again. It says what the flags of a
log would have removed, nothing else changed: a pipeline that is really pruned lives on differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stream_app.core.units import HOUR_MS

PUSHES_MIN = 4
_WORST = 8


@dataclass(frozen=True, slots=True)
class PipelineCadence:
    """One pipeline's intervals in hours, with all of its pushes and with those not flagged."""

    pipeline: str
    pushes: int
    flagged: int
    mean: float
    mean_left: float
    longest: float
    longest_left: float
    #: Whether the last push, or the only one, was flagged: then no push ends the last wait.
    never: bool = False

    @property
    def mean_stretch(self) -> float:
        return self.mean_left / self.mean if self.mean else 1.0

    @property
    def longest_stretch(self) -> float:
        return self.longest_left / self.longest if self.longest else 1.0


@dataclass(frozen=True, slots=True)
class Cadence:
    """How much longer intervals get over the pipelines looked at: 1 is no change, None none to look at."""

    pipelines: int
    #: Pipelines of which at least one push was flagged.
    touched: int
    #: Pipelines whose last push was flagged, those with too few pushes for intervals among them.
    never: int
    mean_median: float | None = None
    mean_p90: float | None = None
    mean_max: float | None = None
    longest_median: float | None = None
    longest_p90: float | None = None
    longest_max: float | None = None


def cadences(pushes: Mapping[str, tuple[Sequence[int], Sequence[int]]], budget: int) -> list[PipelineCadence]:
    """Finds the intervals of every pipeline with a push, under one budget.

    Parameters
    ----------
    pushes
        Pipeline to the times of its pushes in ms, and bits of the budgets that flagged each.
    budget
        The index of the budget.

    Returns
    -------
    list of PipelineCadence
        One entry for each pipeline with a push. With less than `PUSHES_MIN` its intervals say little.
    """
    return [
        cadence_of(pipeline, times, [bits >> budget & 1 for bits in flags])
        for pipeline, (times, flags) in pushes.items()
        if len(times)
    ]


def cadence_of(pipeline: str, times: Sequence[int], flagged: Sequence[int]) -> PipelineCadence:
    """The intervals of one pipeline."""
    every = sorted(times)
    left = sorted([every[0], *(time for time, flag in zip(times, flagged, strict=True) if not flag), every[-1]])
    span = every[-1] - every[0]
    kept = len(times) - sum(flagged)
    # Pushes not flagged divide the time looked at into as many intervals as there are, less one; at least one.
    return PipelineCadence(
        pipeline=pipeline,
        pushes=len(times),
        flagged=sum(flagged),
        mean=span / max(1, len(times) - 1) / HOUR_MS,
        mean_left=span / max(1, kept - 1) / HOUR_MS,
        longest=longest(every) / HOUR_MS,
        longest_left=longest(left) / HOUR_MS,
        never=all(flag for time, flag in zip(times, flagged, strict=True) if time == every[-1]),
    )


def longest(times: Sequence[int]) -> int:
    """The longest interval between sorted times; 0 for one time."""
    return max((later - sooner for sooner, later in pairwise(times)), default=0)


def summary(every: Sequence[PipelineCadence]) -> Cadence:
    """Quantiles over the pipelines with enough pushes."""
    never = sum(each.never for each in every)
    found = [each for each in every if each.pushes >= PUSHES_MIN]
    touched = sum(1 for each in found if each.flagged)
    if not found:
        return Cadence(0, 0, never)
    means = [each.mean_stretch for each in found]
    longests = [each.longest_stretch for each in found]
    return Cadence(
        pipelines=len(found),
        touched=touched,
        never=never,
        mean_median=float(np.median(means)),
        mean_p90=float(np.quantile(means, 0.9)),
        mean_max=max(means),
        longest_median=float(np.median(longests)),
        longest_p90=float(np.quantile(longests, 0.9)),
        longest_max=max(longests),
    )


def worst(found: Sequence[PipelineCadence]) -> list[PipelineCadence]:
    """The pipelines whose longest interval stretches most, those that never push again first; only those touched."""
    stretched = [each for each in found if each.flagged]
    stretched.sort(key=lambda each: (not each.never, -each.longest_stretch, -each.mean_stretch, each.pipeline))
    return stretched[:_WORST]
