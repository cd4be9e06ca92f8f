"""Random draws by name: every pipeline, run and step has a generator of its own.

So what happens in one place never shifts the draws of another: a pruned run leaves all other pipelines as
they were, and its own pipeline meets the same luck in the same steps of later runs.
"""

from __future__ import annotations

import math
from random import Random


def generator(seed: int, *names: str | int) -> Random:
    """The generator of that name. Text seeds go through SHA-512, so they are the same in every process."""
    return Random(f"{seed}/{'/'.join(map(str, names))}")


def spread(rng: Random, median: float, sigma: float, low: float, high: float) -> float:
    """A log-normal draw cut off at `low` and `high`."""
    return min(high, max(low, median * math.exp(rng.gauss(0.0, sigma))))


def normal_cdf(x: float) -> float:
    """P(a standard normal variable is below `x`)."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
