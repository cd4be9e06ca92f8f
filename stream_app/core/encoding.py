"""Features as a linear model can bend them: squashed, on a grid of standard deviations, missing as a value.

A feature may be heavy-tailed, a flag, a count or absent, and nobody says which. So each value is checked and
bounded, squashed by a signed logarithm, and placed in units of its own running spread. From there two views
are made: a *curve* (a straight line plus hats one standard deviation apart: any piecewise linear shape) and
*cells* (one indicator for each third of a standard deviation: any step). Absence is an indicator of its own
in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

#: Larger magnitudes are cut to this; only what is no finite number at all becomes missing.
BOUND = 1e9
#: Names beyond this many are ignored, so that a model's size is bounded whatever it is sent.
NAMES_MAX = 256
#: The name under which the past push rate enters beside the features.
BASELINE = "baseline"

#: Standard deviations either side of the mean; values outside count as the edge.
_EDGE = 5.0
_MISSING, _LINE, _KEYS = 63, 62, 64
#: Values (counted as `learn` counts them) after which a feature's mean and spread forget.
_MEMORY = 500
_NAN = math.nan

View = dict[int, float]


def bounded(value: object) -> float:
    """`value` cut to BOUND and squashed to sign(x) log(1 + |x|); NaN (missing) if it is no finite number.

    >>> bounded(math.inf), bounded("7"), bounded(True) == bounded(1.0)
    (nan, nan, True)
    """
    if not isinstance(value, (int, float)) or value != value or value in (math.inf, -math.inf):
        return _NAN
    magnitude = math.log1p(float(min(abs(value), BOUND)))
    return magnitude if value >= 0 else -magnitude


class FeatureSpace:
    """The features a stage has seen, the grid of each, and its typical value."""

    def __init__(self, names: list[str] | None = None) -> None:
        #: In order of first sight, so that a vector made earlier is a prefix of one made later.
        self.names: list[str] = [BASELINE]
        self._known: set[str] = {BASELINE}
        self._seen = 0
        self._refit_at = 16
        #: Of each feature: values seen, running mean and variance; the grid in use (origin, 1 / spread).
        self._count: list[int] = []
        self._mean: list[float] = []
        self._variance: list[float] = []
        self._origin: list[float] = []
        self._scale: list[float] = []
        #: Of each feature: how often each cell was seen on this grid, the commonest, the last value in that.
        self._tally: list[dict[int, int]] = []
        self._mode: list[int] = []
        #: NaN where the feature is mostly missing.
        self.typical: list[float] = []
        self._extend()
        if names:
            self.admit(names)

    def admit(self, names: list[str]) -> bool:
        """Take in names not known yet, sorted; whether there were any."""
        new = sorted(name for name in names if name not in self._known)[: NAMES_MAX - len(self.names)]
        self.names.extend(new)
        self._known.update(new)
        self._extend()
        return bool(new)

    def _extend(self) -> None:
        for _ in range(len(self.names) - len(self._count)):
            self._count.append(0)
            self._mean.append(0.0)
            self._variance.append(0.0)
            self._origin.append(0.0)
            self._scale.append(0.0)
            self._tally.append({})
            self._mode.append(_MISSING)
            self.typical.append(_NAN)

    def knows(self, features: Mapping[str, float]) -> bool:
        """Whether every name is known, or could not be taken in any more."""
        return len(self.names) >= NAMES_MAX or self._known.issuperset(features)

    def vector(self, features: Mapping[str, float], baseline: float) -> list[float]:
        """The bounded values of the known features, the baseline's log-odds first; NaN where missing."""
        get, log1p = features.get, math.log1p
        values = [log_odds(baseline)]
        for name in self.names[1:]:
            value = get(name)
            if value.__class__ is float and -BOUND <= value <= BOUND:
                values.append(log1p(value) if value >= 0.0 else -log1p(-value))
            else:
                values.append(_NAN if value is None else bounded(value))
        return values

    def views(self, vector: list[float]) -> tuple[View, View]:
        """The curve and the cells of a vector: key -> weight, keys apart for every feature."""
        curve: View = {}
        cells: View = {}
        key, edge = 0, _EDGE
        for value, origin, scale in zip(vector, self._origin, self._scale, strict=False):
            if value != value:
                curve[key + _MISSING] = cells[key + _MISSING] = 1.0
            else:
                z = (value - origin) * scale
                z = -edge if z < -edge else edge if z > edge else z
                place = z + edge
                knot = int(place)
                part = place - knot
                curve[key + knot] = 1.0 - part
                if part:
                    curve[key + knot + 1] = part
                if z:
                    curve[key + _LINE] = z
                cells[key + int(z * 3.0 + 15.5)] = 1.0
            key += _KEYS
        return curve, cells

    def parts(self, index: int, value: float) -> tuple[View, int]:
        """What feature `index` puts into `views` when it has this (squashed) value: its curve, its cell."""
        key = index * _KEYS
        if value != value:
            return {key + _MISSING: 1.0}, key + _MISSING
        z = min(max((value - self._origin[index]) * self._scale[index], -_EDGE), _EDGE)
        place = z + _EDGE
        knot = int(place)
        curve = {key + knot: 1.0 - (place - knot), key + knot + 1: place - knot, key + _LINE: z}
        return curve, key + int(z * 3.0 + 15.5)

    def learn(self, vector: list[float], cells: View) -> None:
        """Move means, spreads and typical values towards a vector; an outlier counts as five spreads away.

        After the first few hundred only every fourth vector counts: enough to follow, at a quarter the cost.
        """
        self._seen += 1
        if self._seen >= self._refit_at:
            self._refit()
        elif self._seen > 512 and self._seen % 4:
            return
        counts, means, variances = self._count, self._mean, self._variance
        for i, (value, key) in enumerate(zip(vector, cells, strict=True)):
            tally = self._tally[i]
            times = tally[key] = tally.get(key, 0) + 1
            if times >= tally.get(self._mode[i], 0):
                self._mode[i] = key
                self.typical[i] = value
            if value != value:
                continue
            count = counts[i] = counts[i] + 1
            step, variance = value - means[i], variances[i]
            if count > 30:
                limit = max(1.0, _EDGE * math.sqrt(variance))
                step = -limit if step < -limit else limit if step > limit else step
            rate = 1.0 / (count if count < _MEMORY else _MEMORY)
            means[i] += rate * step
            variances[i] += rate * ((1.0 - rate) * step * step - variance)

    def _refit(self) -> None:
        """Put the grids where the values are; one that still fits stays, since weights hang on its places."""
        self._refit_at = min(2 * self._seen, self._seen + 4096)
        for i, (mean, variance) in enumerate(zip(self._mean, self._variance, strict=True)):
            spread = math.sqrt(variance)
            scale = self._scale[i]
            if scale and abs(self._origin[i] - mean) * scale < 0.2 and 0.8 < spread * scale < 1.25:
                continue
            self._origin[i] = mean
            self._scale[i] = 1.0 / spread if spread > 1e-9 else 0.0
            self._tally[i].clear()


def log_odds(p: float) -> float:
    """The log-odds of a probability, which is first kept within 1e-6 of its ends; NaN counts as a half."""
    if p != p:
        return 0.0
    p = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(p / (1.0 - p))


def probability(odds: float) -> float:
    """The probability of log-odds, strictly inside (0, 1)."""
    odds = min(max(odds, -13.0), 13.0)
    return 1.0 / (1.0 + math.exp(-odds))
