"""The blend starts by believing its first input and learns slopes, an intercept and whom to trust."""

from __future__ import annotations

import math
import random

from stream_app.core.learning.stacking import StackingCalibrator


def test_a_new_blend_repeats_its_first_input() -> None:
    """Before any label the other inputs have no say."""
    assert StackingCalibrator(2).log_odds((-1.3, 5.0)) == -1.3


def test_it_finds_the_input_that_knows() -> None:
    """Given noise first and the true log-odds at half their size second, it doubles the second."""
    stacking, draw = StackingCalibrator(2), random.Random(4)
    for _ in range(5000):
        truth = draw.gauss(-1.0, 1.5)
        stacking.learn((draw.gauss(-1.0, 1.0), truth / 2), draw.random() < 1 / (1 + math.exp(-truth)), 1.0)

    assert abs(stacking.weights[0]) < 0.15
    assert 1.6 < stacking.weights[1] < 2.4
    assert abs(stacking.weights[2]) < 0.3


def test_a_label_that_would_leave_the_finite_numbers_is_refused() -> None:
    """Nothing changes, and the caller hears of it."""
    stacking = StackingCalibrator(2)
    stacking.learn((0.5, 1.0), True, 1.0)
    before = list(stacking.weights)

    assert not stacking.learn((math.nan, 1.0), True, 1.0)
    assert not stacking.learn((0.1, math.inf), False, 1.0)
    assert before == stacking.weights
