"""Combines several log-odds into one calibrated probability: an online logistic regression by Newton's method.

The weights start at the first input alone and carry a covariance, so that a few dozen labels move them far and a few
thousand hardly; a little process noise keeps them able to follow a change. This is Platt scaling (slope and intercept)
and stacking in one step: the inputs are the log-odds of the members before they learn the label. It is the extended
Kalman filter of logistic regression [1]_.

References
----------
.. [1] L. Fahrmeir, "Posterior Mode Estimation by Extended Kalman Filtering for Multivariate Dynamic Generalized
   Linear Models", JASA 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from stream_app.core.learning.feature_space import probability

#: Prior variance of a weight, worth about ten labels. Process noise is added only below it.
_PRIOR = 0.1
#: Variance a weight gains with each label; without it calibration slopes settled at 1.15 as members improved.
_NOISE = 5e-6


class StackingCalibrator:
    """The weights of some log-odds and of an intercept.

    Parameters
    ----------
    size
        Number of log-odds.
    """

    def __init__(self, size: int) -> None:
        self.weights = [1.0] + [0.0] * size
        self._covariance = [[_PRIOR if i == j else 0.0 for j in range(size + 1)] for i in range(size + 1)]

    def log_odds(self, inputs: Sequence[float]) -> float:
        """The combined log-odds of the inputs."""
        answer: float = sum(map(mul, self.weights, (*inputs, 1.0)))
        return answer

    def learn(self, inputs: Sequence[float], label: bool, weight: float) -> bool:
        """Moves the weights towards a label; False, and nothing changed, when they would become infinite."""
        values = (*inputs, 1.0)
        p = probability(self.log_odds(inputs))
        # A label predicted with certainty still carries a little information about the slope.
        information = max(1e-3, p * (1.0 - p)) * weight
        gain = [sum(map(mul, row, values)) for row in self._covariance]
        spread = 1.0 + information * sum(map(mul, gain, values))
        pull = (label - p) * weight / spread
        weights = [w + g * pull for w, g in zip(self.weights, gain, strict=True)]
        if not all(map(math.isfinite, (*weights, *gain, spread))):
            return False
        self.weights = weights
        shrink = information / spread
        for i, row in enumerate(self._covariance):
            taken = shrink * gain[i]
            row[:] = [c - taken * g for c, g in zip(row, gain, strict=True)]
            if row[i] < _PRIOR:
                row[i] += _NOISE
        return True
