"""Encodes features for a linear model: each as a curve over its own quantiles, a missing value by itself.

A feature may be heavy-tailed, a flag, a count or absent, and its kind is not declared. Each value is therefore checked
and compressed, and encoded between the *knots* of its feature: quantiles of its recent values, few at first and more as
labels arrive. A value becomes a weight on each of the two knots around it (a hat function each), so that a linear model
draws any piecewise linear curve. All features are encoded at once, in arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from stream_app.core.learning.array_pickling import Packed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Larger magnitudes are clipped to this; a value that is not a finite number becomes missing.
BOUND = 1e9
#: Magnitudes up to this stay as they are; features are extracted within it.
PLAIN = 20.0
#: Names beyond this many are ignored, so that the size of a model is bounded.
NAMES_MAX = 256
#: The name under which the past push rate enters beside the features.
BASELINE = "baseline"

#: Knots by vectors learned: more bend costs more labels to learn.
_KNOTS = ((0, 5), (500, 8), (2000, 14))
#: Slots of a feature: one for each knot, one more for values at the last knot, and one for its absence.
SLOTS, MISSING = 17, 16
#: Knots are drawn anew after 16 vectors, then at each doubling, then every so many.
_REDRAW_FIRST, _REDRAW_EVERY = 16, 4096
#: Vectors kept to draw knots from; once that many were seen, one of so many is kept: a sample of the last 4,096.
_SAMPLE, _THIN = 512, 8
#: Values that a feature must have shown before it gets more than one knot.
_VALUES_MIN = 8
_PLAIN_TYPES = {float}


def compressed(value: object) -> float:
    """The value clipped to BOUND, its magnitude beyond PLAIN replaced by a logarithm; NaN if it is not a finite number.

    >>> compressed(math.inf), compressed("7"), compressed(True), compressed(-3)
    (nan, nan, 1.0, -3.0)
    """
    if not isinstance(value, (int, float)) or value != value or value in (math.inf, -math.inf):
        return math.nan
    magnitude = float(min(abs(value), BOUND))
    if magnitude > PLAIN:
        magnitude = PLAIN + math.log1p(magnitude - PLAIN)
    return magnitude if value >= 0 else -magnitude


@dataclass(frozen=True, slots=True)
class Encoded:
    """The slots and amounts of a vector: two for each feature, at these positions of a flat array."""

    slots: Ints
    amounts: Floats


class FeatureSpace(Packed):
    """The features that a stage has seen, with the knots and the typical value of each.

    Parameters
    ----------
    names
        Names of features, after which the names of new ones follow.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        #: In order of first sight, so that a vector made earlier is a prefix of one made later.
        self.names: list[str] = []
        #: A dict for a set whose order, and with it the bytes of a pickle, does not depend on hash randomisation.
        self._known: dict[str, None] = {}
        #: Of each feature: its knots, rising, then infinity; one knot until there is more to go by.
        self._knots: Floats = np.full((0, SLOTS), math.inf)
        #: The median of the values, NaN where most are missing.
        self.typical: Floats = np.full(0, math.nan)
        #: Recent vectors, and the vectors counted.
        self._sample: Floats = np.full((0, 0), math.nan)
        self._seen = 0
        self._redraw_at = _REDRAW_FIRST
        self._add([BASELINE])
        self._add([name for name in names if name != BASELINE])

    def _add(self, names: list[str]) -> None:
        self.names.extend(names)
        self._known.update(dict.fromkeys(names))
        knots = np.full((len(names), SLOTS), math.inf)
        knots[:, 0] = 0.0
        self._knots = np.concatenate([self._knots, knots])
        self.typical = np.append(self.typical, np.full(len(names), math.nan))
        self._sample = np.concatenate([self._sample, np.full((len(self._sample), len(names)), math.nan)], axis=1)
        self._index()

    def _index(self) -> None:
        #: The first slot of each feature, its last knot, and whether it counts when present and when absent.
        self._first: Ints = np.arange(len(self.names)) * SLOTS
        self._last: Ints = np.isfinite(self._knots).sum(axis=1) - 1
        known_typical = ~np.isnan(self.typical)
        self._present: Floats = ((self._last > 0) | ~known_typical).astype(np.float64)
        self._absent: Floats = known_typical.astype(np.float64)
        #: The slot before the first and that of absence; knots side by side, and the distance from each to the next.
        self._before, self._missing = self._first - 1, self._first + MISSING
        self._ladder: Floats = self._knots[:, : self._last.max(initial=0) + 1].T.copy()
        with np.errstate(invalid="ignore"):
            self._gaps: Floats = np.diff(self._knots, append=math.inf).ravel()
        usual = self.encode(self.typical)
        self._usual_slots, self._usual_amounts = usual.slots, usual.amounts

    def usual(self) -> Encoded:
        """The encoding of the typical values."""
        return Encoded(self._usual_slots, self._usual_amounts)

    def admit(self, features: Iterable[str]) -> bool:
        """Adds names that are not known yet, in alphabetical order; returns whether there were any."""
        if all(map(self._known.__contains__, features)):
            return False
        new = sorted(name for name in features if name not in self._known)[: NAMES_MAX - len(self.names)]
        if new:
            self._add(new)
        return bool(new)

    def vector(self, features: Mapping[str, float], baseline: float) -> Floats:
        """The baseline's log-odds, then the compressed values of the known features; NaN where missing."""
        known = list(map(features.get, self.names, repeat(math.nan)))
        known[0] = log_odds(baseline)
        if set(map(type, known)) == _PLAIN_TYPES:
            values: Floats = np.array(known)
            if not np.count_nonzero(np.abs(values) > PLAIN):
                return values
        return np.array([known[0], *map(compressed, known[1:])])

    def encode(self, vector: Floats) -> Encoded:
        """Encodes a vector.

        The absence of a feature that is mostly missing, and the value of one that never changes, have amount 0: the
        intercept stands for them.
        """
        size = len(vector)
        slots, amounts = np.empty(2 * size, dtype=np.int64), np.empty(2 * size)
        missing = np.isnan(vector)
        reached = np.add.reduce((vector >= self._ladder).view(np.int8), axis=0, dtype=np.int8)
        at = self._before + np.maximum(reached, 1)
        # Beyond the last knot the next one is infinitely far, and the part 0; before the first one it is below 0.
        part = np.fmax((vector - self._knots.take(at)) / self._gaps.take(at), 0.0)
        amount = np.where(missing, self._absent, self._present)
        slots[:size] = np.where(missing, self._missing, at)
        slots[size:] = np.where(missing, self._first, at + 1)
        np.multiply(amount, 1.0 - part, out=amounts[:size])
        np.multiply(amount, part, out=amounts[size:])
        return Encoded(slots, amounts)

    def learn(self, vector: Floats) -> list[tuple[int, Floats, Floats]]:
        """Keeps a vector, and draws the knots anew when that is due.

        Returns (feature, old knots, new knots) where knots moved.
        """
        if self._seen < _SAMPLE:
            if self._seen >= len(self._sample):
                more = np.full((max(_REDRAW_FIRST, len(self._sample)), len(self.names)), math.nan)
                self._sample = np.concatenate([self._sample, more])
            self._sample[self._seen] = vector
        elif self._seen % _THIN == 0:
            self._sample[self._seen // _THIN % _SAMPLE] = vector
        self._seen += 1
        return self._redraw() if self._seen >= self._redraw_at else []

    def _redraw(self) -> list[tuple[int, Floats, Floats]]:
        self._redraw_at = min(2 * self._seen, self._seen + _REDRAW_EVERY)
        count = next(knots for labels, knots in reversed(_KNOTS) if self._seen >= labels)
        # Sorted, NaN comes last.
        sample = np.sort(self._sample[: self._seen], axis=0)
        known = len(sample) - np.isnan(sample).sum(axis=0)
        moved = []
        for i, values in enumerate(known.tolist()):
            self.typical[i] = sample[values // 2, i] if 2 * values > len(sample) else math.nan
            if values < _VALUES_MIN:
                continue
            # A value that is many quantiles is one knot.
            new = np.unique(sample[np.arange(count + 1) * (values - 1) // count, i])
            old = self.knots(i)
            if not np.array_equal(new, old):
                moved.append((i, old, new))
                self._knots[i] = math.inf
                self._knots[i, : len(new)] = new
        self._index()
        return moved

    def knots(self, feature: int) -> Floats:
        """The knots of a feature, rising."""
        return self._knots[feature, : self._last[feature] + 1].copy()


def log_odds(p: float) -> float:
    """The log-odds of a probability.

    Parameters
    ----------
    p
        The probability, which is clipped to 1e-6 from 0 and 1; NaN counts as a half.

    Returns
    -------
    float
        Natural logarithm of the odds.

    Examples
    --------
    >>> log_odds(0.5), round(log_odds(0.9), 3)
    (0.0, 2.197)
    """
    if p != p:
        return 0.0
    p = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(p / (1.0 - p))


def probability(odds: float) -> float:
    """The probability of log-odds, strictly inside (0, 1)."""
    odds = min(max(odds, -13.0), 13.0)
    return 1.0 / (1.0 + math.exp(-odds))
