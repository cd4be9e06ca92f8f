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
from dataclasses import dataclass

from stream_app.core.outputs import PRUNE, Example


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
class _Held:
    """Cost left over the held-out runs of one pipeline, weighted by the prunes they stand for."""

    actual: float = 0.0
    expected: float = 0.0


class Savings:
    """Sums over examples; feed it each example once."""

    def __init__(self) -> None:
        self._estimated = 0.0
        self._pruned = 0
        self._held_out = 0
        self._held: dict[str, _Held] = {}
        #: Weighted sums of actual squared, actual times expected, expected squared, over all held-out runs.
        self._squares = [0.0, 0.0, 0.0]

    def add(self, example: Example) -> None:
        """Count what an example says about savings: a prune, a held-out run, or nothing."""
        if example.pushed is None:
            prunes = [record for record in example.stages if record.decision == PRUNE]
            if prunes:
                self._pruned += 1
                self._estimated += prunes[-1].cost_left
            return
        if all(record.propensity >= 1.0 for record in example.stages):
            return
        self._held_out += 1
        held = self._held.setdefault(example.pipeline, _Held())
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
        expected = math.fsum(held.expected for held in self._held.values())
        if expected <= 0.0:
            return Saved(self._estimated, None, None, None, self._pruned, self._held_out)
        ratio = math.fsum(held.actual for held in self._held.values()) / expected
        verified = ratio * self._estimated
        error = self._standard_error(ratio, expected)
        low, high = max(0.0, verified - 1.96 * error), verified + 1.96 * error
        return Saved(self._estimated, verified, low, high, self._pruned, self._held_out)

    def _standard_error(self, ratio: float, expected: float) -> float:
        """Of the verified saving less the true one: the ratio's part, by pipeline, and that of the draw."""
        ratio_part = 0.0
        for held in self._held.values():
            # A pipeline that is much of the sum pulls the ratio towards itself and looks better than it is.
            leverage = min(held.expected / expected, 0.5)
            ratio_part += ((held.actual - ratio * held.expected) / (1.0 - leverage)) ** 2
        a, b, c = self._squares
        pruned_part = max(0.0, a - 2.0 * ratio * b + ratio * ratio * c)
        return math.sqrt((self._estimated / expected) ** 2 * ratio_part + pruned_part)
