"""The plain rule that flags are compared with: flag a run when its pipeline's past push rate is below a threshold.

The rate is the one that was known at the run's first stage (`StageRecord.baseline`), so the rule is evaluated
prequentially, as the budgets are. It needs two histograms over bins of the rate for each pipeline, whatever the number
of thresholds: the waste that began after the first stage, and pushes. Both are sums, so those of two parts of a log add
up to those of the whole.

The accounting is that of the budgets where labels allow it: the ledger knows, execution by execution, what began after
a flag and turned out to be wasted; a label knows it for a run as a whole. It differs in this:

- A run of which anything was pushed has no waste here, whereas the ledger counts what its other trainers wasted.
- The waste of a pipeline is scaled to what the ledger says would be saved by flagging everything at its first stage
  (`HINDSIGHT`). So the curve ends at hindsight's waste, and what is not labelled yet counts as what is labelled.
- The rule has no guards and needs no labelled pushes before it flags: it flags from the first run on.
- A threshold, or a mixture of two, is picked after the fact so that the rule flags a given share of pushes. A budget
  has to learn its threshold. Both this and the lack of guards favour the rule in what it saves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.analysis.intervals import Figure, Sums
from stream_app.core.learning.feature_space import log_odds, probability
from stream_app.core.outputs import Example, StageRecord

#: Bins of the past push rate, an eighth wide in log-odds, from 0.03 % to 98 %; what is beyond is in the outer bins.
RATE_BINS = 96
_LOWEST, _BINS_PER_UNIT = -8.0, 8.0


@dataclass(frozen=True, slots=True)
class RatePoint:
    """What the rule flags below a threshold: shares of the pushes and of the waste."""

    threshold: float
    missed: float
    avoided: float


def rate_bin(rate: float) -> int:
    """The bin of a past push rate."""
    return min(max(math.floor((log_odds(rate) - _LOWEST) * _BINS_PER_UNIT), 0), RATE_BINS - 1)


def threshold_of(place: int) -> float:
    """The rate below which everything in a bin and the bins before it is; 1 for the last bin."""
    return 1.0 if place == RATE_BINS - 1 else probability(_LOWEST + (place + 1) / _BINS_PER_UNIT)


def first_stage(example: Example) -> StageRecord | None:
    """The first stage predicted for a graphlet or, before its trainer was known, for its run; None without any."""
    return next(iter((*example.inherited, *example.stages)), None)


def waste_after_first_stage(example: Example) -> tuple[int, int] | None:
    """Finds the waste that the rule could have avoided.

    Parameters
    ----------
    example
        A label.

    Returns
    -------
    tuple of int or None
        The bin of the rate at the first stage, and the node-ms that began after it. None for a push, and for a trainer
        whose run was predicted before: the label of the run counts the run's work once.
    """
    first = first_stage(example)
    if example.pushed is not False or first is None or (example.trainer is not None and example.inherited):
        return None
    return rate_bin(first.baseline), round(first.actual_left * 1000)


def rate_columns(waste: Mapping[int, int], pushes: Mapping[int, int], hindsight: int) -> NDArray[np.float64]:
    """The histograms of a pipeline side by side.

    Parameters
    ----------
    waste, pushes
        Bin to node-ms that began after the first stage, and to pushes.
    hindsight
        What flagging everything at its first stage saves by the ledger, in node-ms, to which the waste is scaled.
    """
    found = np.zeros(2 * RATE_BINS)
    all_waste = sum(waste.values())
    for place, node_ms in waste.items():
        # Whole numbers, so that their sums do not depend on the order.
        found[place] = round(node_ms * hindsight / all_waste) if all_waste > 0 else 0
    for place, number in pushes.items():
        found[RATE_BINS + place] = number
    return found


def curves(sums: Sums, first: int, wasted: int, pushes: int) -> tuple[Sums, Sums]:
    """The shares of pushes flagged and of waste avoided below no threshold, then below that of each bin.

    Parameters
    ----------
    sums
        One row a resample.
    first, wasted, pushes
        The columns at which `rate_columns` begins, and of all waste and all pushes.
    """
    none = np.zeros((len(sums), 1))
    middle = first + RATE_BINS
    avoided = np.cumsum(sums[:, first:middle], axis=1) / sums[:, wasted, None]
    missed = np.cumsum(sums[:, middle : middle + RATE_BINS], axis=1) / sums[:, pushes, None]
    return np.hstack([none, missed]), np.hstack([none, avoided])


def rate_points(total: Sums, first: int, wasted: int, pushes: int) -> list[RatePoint]:
    """The rule at every threshold at which it flags more than at the one before; empty without waste or pushes."""
    if not total[wasted] or not total[pushes]:
        return []
    missed, avoided = (each[0] for each in curves(total[None, :], first, wasted, pushes))
    return [
        RatePoint(threshold_of(place), float(missed[place + 1]), float(avoided[place + 1]))
        for place in range(RATE_BINS)
        if missed[place + 1] > missed[place] or avoided[place + 1] > avoided[place]
    ]


def avoided_at(flagged: int, first: int, wasted: int, pushes: int) -> Figure:
    """The share of the waste that the rule avoids where it flags as many pushes as a policy does.

    Between two thresholds the rule draws: some of the runs between them are flagged.

    Parameters
    ----------
    flagged
        The column of pushes that the policy flags.
    first, wasted, pushes
        As of `curves`.
    """

    def figure(sums: Sums) -> Sums:
        missed, avoided = curves(sums, first, wasted, pushes)
        shares = sums[:, flagged] / sums[:, pushes]
        return np.array([np.interp(each, *row) for each, *row in zip(shares, missed, avoided, strict=True)])

    return figure
