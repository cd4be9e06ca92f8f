"""A logistic regression over placed features, learned by AdaGrad: a curve of each feature, and an intercept.

It minimises log loss without reweighting, so that few pushes among many runs leave the probabilities what they are;
AdaGrad (Duchi, Hazan and Singer 2011) gives the rare knot the large step that imbalance calls for. river's own, which
goes by names in a dict, takes five times as long for the same numbers (docs/decisions/0002-learning.md).
"""

from __future__ import annotations

import math

import numpy as np

from stream_app.core.learning.array_pickling import Packed
from stream_app.core.learning.feature_space import SLOTS, Encoded, Floats, probability

_RATE, _INTERCEPT_RATE = 0.08, 0.01
#: Log-odds at which an empty regression starts: pushes are rare.
_INTERCEPT = -2.0
#: No label pulls harder than this.
_PULL_MAX = 1e12
_EPSILON = 1e-8


class Regression(Packed):
    """Heights of every feature's curve at its knots. It keeps to the finite numbers."""

    def __init__(self) -> None:
        self.heights: Floats = np.zeros(0)
        self._squares: Floats = np.zeros(0)
        self._intercept = _INTERCEPT

    def widen(self, features: int) -> None:
        """Make room for so many features."""
        more = np.zeros(features * SLOTS - len(self.heights))
        self.heights, self._squares = np.append(self.heights, more), np.append(self._squares, more)

    def log_odds(self, encoded: Encoded) -> float:
        """The log-odds of a placed vector."""
        return self._intercept + float((self.heights.take(encoded.slots) * encoded.amounts).sum())

    def learn(self, encoded: Encoded, label: bool, weight: float, log_odds: float) -> bool:
        """Learn a label of a placed vector that has these log-odds now; False when that is refused.

        From finite log-odds a step of AdaGrad is at most its learning rate, so heights stay finite. Should some be
        lost all the same, the label is refused, and those of them that are in this vector start anew.
        """
        pull = (probability(log_odds) - label) * weight
        if not (math.isfinite(log_odds) and abs(pull) < _PULL_MAX):
            self._repair(encoded)
            return False
        slopes = pull * encoded.amounts
        squares = self._squares.take(encoded.slots) + slopes * slopes
        self._squares[encoded.slots] = squares
        self.heights[encoded.slots] -= _RATE * slopes / np.sqrt(squares + _EPSILON)
        self._intercept -= _INTERCEPT_RATE * pull
        return True

    def _repair(self, encoded: Encoded) -> None:
        lost = encoded.slots[~np.isfinite(self.heights[encoded.slots] + self._squares[encoded.slots])]
        self.heights[lost] = self._squares[lost] = 0.0

    def parts(self, encoded: Encoded) -> Floats:
        """What each feature adds to the log-odds of a placed vector."""
        both: Floats = self.heights.take(encoded.slots) * encoded.amounts
        half = len(both) // 2
        return both[:half] + both[half:]

    def move(self, feature: int, old: Floats, new: Floats) -> None:
        """Put the learned curve of a feature on other knots, with the shape it had."""
        first = feature * SLOTS
        for numbers in (self.heights, self._squares):
            curve = np.interp(new, old, numbers[first : first + len(old)])
            numbers[first : first + len(old)] = 0.0
            numbers[first : first + len(new)] = curve
