"""A logistic regression over encoded features, learned by AdaGrad: a curve for each feature, and an intercept.

It minimises log loss without reweighting, so that probabilities stay calibrated where pushes are rare; AdaGrad [1]_
gives a rarely used knot the large step that imbalance needs. river's own regression, which keeps names in a dict, takes
five times as long for the same numbers (docs/decisions/0002-learning.md).

References
----------
.. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
   Optimization", JMLR 2011.
"""

from __future__ import annotations

import math

import numpy as np

from stream_app.core.learning.array_pickling import Packed
from stream_app.core.learning.feature_space import SLOTS, Encoded, Floats, probability

_RATE, _INTERCEPT_RATE = 0.08, 0.01
#: Log-odds at which an empty regression starts: pushes are rare.
_INTERCEPT = -2.0
#: The largest gradient of a label.
_PULL_MAX = 1e12
_EPSILON = 1e-8


class Regression(Packed):
    """The heights of every feature's curve at its knots. All numbers stay finite."""

    def __init__(self) -> None:
        self.heights: Floats = np.zeros(0)
        self._squares: Floats = np.zeros(0)
        self._intercept = _INTERCEPT

    def widen(self, features: int) -> None:
        """Makes room for so many features."""
        more = np.zeros(features * SLOTS - len(self.heights))
        self.heights, self._squares = np.append(self.heights, more), np.append(self._squares, more)

    def log_odds(self, encoded: Encoded) -> float:
        """The log-odds of an encoded vector."""
        return self._intercept + float((self.heights.take(encoded.slots) * encoded.amounts).sum())

    def learn(self, encoded: Encoded, label: bool, weight: float, log_odds: float) -> bool:
        """Learns the label of an encoded vector that has these log-odds now; False when the update is refused.

        From finite log-odds a step of AdaGrad is at most its learning rate, so heights stay finite. Should some become
        infinite all the same, the label is refused, and those of them in this vector start anew.
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
        """The part of each feature in the log-odds of an encoded vector."""
        both: Floats = self.heights.take(encoded.slots) * encoded.amounts
        half = len(both) // 2
        return both[:half] + both[half:]

    def move(self, feature: int, old: Floats, new: Floats) -> None:
        """Moves the learned curve of a feature to other knots, keeping its shape."""
        first = feature * SLOTS
        for numbers in (self.heights, self._squares):
            curve = np.interp(new, old, numbers[first : first + len(old)])
            numbers[first : first + len(old)] = 0.0
            numbers[first : first + len(new)] = curve
