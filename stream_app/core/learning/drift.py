"""Detects that a model has become unreliable: its log loss against the past push rate's, and a change detector."""

from __future__ import annotations

import math
from collections import deque

from river.drift import ADWIN

#: Number of the last labels on which a model is judged, and of pushes among them that are needed.
LABELS, PUSHES = 500, 30
#: A model on trial must have seen this many labels and pushes since it was made.
TRIAL_LABELS, TRIAL_PUSHES = 100, 10
#: Log loss is cut here for the change detector, which needs a bound.
_LOSS_MAX = 5.0


def log_loss(p: float, pushed: bool) -> float:
    """Minus the logarithm of the probability given to what happened, which counts as at least one in a million."""
    return -math.log(max(p if pushed else 1.0 - p, 1e-6))


class BaselineComparison:
    """A model's recent log loss minus the baseline's, label by label."""

    def __init__(self) -> None:
        self._window: deque[tuple[float, bool]] = deque()
        self._sum = self._squares = 0.0
        self._pushes = 0

    def add(self, p: float, baseline: float, pushed: bool) -> None:
        """Counts a label: the probabilities of the model and the baseline, and whether the graphlet was pushed."""
        excess = log_loss(p, pushed) - log_loss(baseline, pushed)
        self._window.append((excess, pushed))
        self._sum += excess
        self._squares += excess * excess
        self._pushes += pushed
        if len(self._window) > LABELS:
            old, was_pushed = self._window.popleft()
            self._sum -= old
            self._squares -= old * old
            self._pushes -= was_pushed

    @property
    def worse(self) -> bool:
        """Whether the model is worse than the baseline by more than two standard errors."""
        n = len(self._window)
        if n < LABELS or self._pushes < PUSHES:
            return False
        mean = self._sum / n
        return mean > 2.0 * math.sqrt(max(self._squares / n - mean * mean, 0.0) / n)

    @property
    def better(self) -> bool:
        """Whether the model, over a trial long enough, is better than the baseline."""
        return len(self._window) >= TRIAL_LABELS and self._pushes >= TRIAL_PUSHES and self._sum < 0.0


class DriftCounter:
    """Counts the changes that an adaptive window sees in a stage's log loss.

    References
    ----------
    .. [1] A. Bifet and R. Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007.
    """

    def __init__(self) -> None:
        self._window = ADWIN()  # type: ignore[no-untyped-call]
        self.detections = 0

    def add(self, p: float, pushed: bool) -> bool:
        """Adds the loss of one label; returns whether it shows that the losses have changed."""
        self._window.update(min(log_loss(p, pushed), _LOSS_MAX) / _LOSS_MAX)  # type: ignore[no-untyped-call]
        changed = bool(self._window.drift_detected)
        self.detections += changed
        return changed
