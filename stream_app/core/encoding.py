"""Features as a linear model can bend them: each a curve over its own quantiles, missing as a value of its own.

A feature may be heavy-tailed, a flag, a count or absent, and nobody says which. So each value is checked, bounded
and squashed, and placed between the *knots* of its feature: quantiles of its recent values, few at first and more
as labels come. A value is then a weight on the two knots around it (a hat function each), plus a straight line
through all of them, so that a linear model draws any piecewise linear curve and shares what the line explains.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

#: Larger magnitudes are cut to this; only what is no finite number at all becomes missing.
BOUND = 1e9
#: Names beyond this many are ignored, so that a model's size is bounded whatever it is sent.
NAMES_MAX = 256
#: The name under which the past push rate enters beside the features.
BASELINE = "baseline"
#: Keys of a view that belong to one feature: its knots from 0 on, its line, its absence.
KEYS, LINE, MISSING = 64, 62, 63

#: Knots by vectors learned: more bend costs more labels to learn.
_KNOTS = ((0, 5), (500, 8), (2000, 14))
#: Knots are drawn anew after 16 vectors, then at each doubling, then every so many.
_REDRAW_FIRST, _REDRAW_EVERY = 16, 4096
#: Vectors remembered to draw knots from, and which share of them once that many were seen: the last 4,096.
_SAMPLE, _THIN = 512, 8
#: Values that a feature must have shown before it gets more than one knot.
_VALUES_MIN = 8

View = dict[int, float]
Knots = list[float]


def bounded(value: object) -> float:
    """`value` cut to BOUND and squashed to sign(x) log(1 + |x|); NaN (missing) if it is no finite number.

    >>> bounded(math.inf), bounded("7"), bounded(True) == bounded(1.0)
    (nan, nan, True)
    """
    if not isinstance(value, (int, float)) or value != value or value in (math.inf, -math.inf):
        return math.nan
    magnitude = math.log1p(float(min(abs(value), BOUND)))
    return magnitude if value >= 0 else -magnitude


class FeatureSpace:
    """The features a stage has seen, the knots of each, and its typical value."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        #: In order of first sight, so that a vector made earlier is a prefix of one made later.
        self.names: list[str] = []
        #: A dict for a set whose order, and with it the bytes of a pickle, does not depend on hash randomisation.
        self._known: dict[str, None] = {}
        #: Of each feature, as are the next three: rising; one knot until there is more to go by.
        self.knots: list[Knots] = []
        #: The median of the values, NaN where most are missing; and the view of all these.
        self.typical: list[float] = []
        self.typical_view: View = {}
        #: Recent values, NaN where missing, and the vectors counted.
        self._sample: list[array[float]] = []
        self._seen = 0
        self._redraw_at = _REDRAW_FIRST
        self._add([BASELINE])
        self._add([name for name in names if name != BASELINE])

    def _add(self, names: list[str]) -> None:
        for name in names:
            self.names.append(name)
            self._known[name] = None
            self.knots.append([0.0])
            self.typical.append(math.nan)
            self._sample.append(array("d", [math.nan]) * min(self._seen, _SAMPLE))
        self.typical_view = self.view(self.typical)

    def admit(self, features: Iterable[str]) -> bool:
        """Take in names not known yet, in alphabetical order; whether there were any."""
        if all(map(self._known.__contains__, features)):
            return False
        new = sorted(name for name in features if name not in self._known)[: NAMES_MAX - len(self.names)]
        self._add(new)
        return bool(new)

    def vector(self, features: Mapping[str, float], baseline: float) -> list[float]:
        """The baseline's log-odds, then the bounded values of the known features; NaN where missing."""
        get, log1p = features.get, math.log1p
        values = [log_odds(baseline)]
        for name in self.names[1:]:
            value = get(name)
            if value.__class__ is float and -BOUND <= value <= BOUND:
                values.append(log1p(value) if value >= 0.0 else -log1p(-value))
            else:
                values.append(math.nan if value is None else bounded(value))
        return values

    def view(self, vector: Sequence[float]) -> View:
        """What a vector puts on which knots, lines and absences: key -> amount.

        Absence where a feature is mostly missing, and the value of one that never changes, put nothing: they are
        what the intercept is for.
        """
        view: View = {}
        key = 0
        for value, knots, typical in zip(vector, self.knots, self.typical, strict=False):
            if value != value:
                if typical == typical:
                    view[key + MISSING] = 1.0
            elif len(knots) > 1 or typical != typical:
                # `_place` in line: it is called for every feature of every prediction.
                last = len(knots) - 1
                if value <= knots[0]:
                    place = 0.0
                    view[key] = 1.0
                elif value >= knots[last]:
                    place = last
                    view[key + last] = 1.0
                else:
                    below = bisect_right(knots, value) - 1
                    low = knots[below]
                    part = (value - low) / (knots[below + 1] - low)
                    view[key + below] = 1.0 - part
                    if part:
                        view[key + below + 1] = part
                    place = below + part
                if last:
                    view[key + LINE] = 3.0 * place / last - 1.5
            key += KEYS
        return view

    def learn(self, vector: Sequence[float]) -> list[tuple[int, Knots, Knots]]:
        """Remember a vector; when it is time, draw the knots anew: (feature, old knots, new knots) where they moved."""
        if self._seen < _SAMPLE:
            for sample, value in zip(self._sample, vector, strict=True):
                sample.append(value)
        elif self._seen % _THIN == 0:
            place = self._seen // _THIN % _SAMPLE
            for sample, value in zip(self._sample, vector, strict=True):
                sample[place] = value
        self._seen += 1
        return self._redraw() if self._seen >= self._redraw_at else []

    def _redraw(self) -> list[tuple[int, Knots, Knots]]:
        self._redraw_at = min(2 * self._seen, self._seen + _REDRAW_EVERY)
        count = next(knots for labels, knots in reversed(_KNOTS) if self._seen >= labels)
        moved = []
        for i, sample in enumerate(self._sample):
            values = sorted(value for value in sample if value == value)
            self.typical[i] = values[len(values) // 2] if 2 * len(values) > len(sample) else math.nan
            if len(values) < _VALUES_MIN:
                continue
            # A set: a value that is many quantiles is one knot.
            last = len(values) - 1
            knots = sorted({values[j * last // count] for j in range(count + 1)})
            if knots != self.knots[i]:
                moved.append((i, self.knots[i], knots))
                self.knots[i] = knots
        self.typical_view = self.view(self.typical)
        return moved


def _place(knots: Knots, last: int, value: float) -> float:
    """Where a value lies among knots, from 0 at the first to `last` at the last, and not beyond them."""
    if value <= knots[0]:
        return 0.0
    if value >= knots[last]:
        return last
    below = bisect_right(knots, value) - 1
    return below + (value - knots[below]) / (knots[below + 1] - knots[below])


def on_curve(knots: Knots, heights: Sequence[float], value: float) -> float:
    """The height at `value` of the piecewise linear curve through `knots`, level beyond its ends.

    >>> on_curve([0.0, 2.0], [1.0, 5.0], 0.5)
    2.0
    """
    place = _place(knots, len(knots) - 1, value)
    below = int(place)
    part = place - below
    return heights[below] + (part * (heights[below + 1] - heights[below]) if part else 0.0)


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
