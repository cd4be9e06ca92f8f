"""The watch tells a model that fell behind the baseline from one that had bad luck."""

from __future__ import annotations

import random

from stream_app.core.learning.drift import LABELS, PUSHES, TRIAL_LABELS, BaselineComparison, DriftCounter


def test_a_model_as_good_as_the_baseline_is_kept() -> None:
    """Equal log losses, however unlucky, are no reason to fall back."""
    comparison, draw = BaselineComparison(), random.Random(1)
    for _ in range(2 * LABELS):
        comparison.add(0.2, 0.2, draw.random() < 0.5)

        assert not comparison.worse


def test_a_model_clearly_worse_is_found_once_there_are_labels_enough() -> None:
    """Not before the window is full, and then at once."""
    comparison, draw = BaselineComparison(), random.Random(1)
    for _ in range(LABELS - 1):
        comparison.add(0.8, 0.2, draw.random() < 0.2)

        assert not comparison.worse

    comparison.add(0.8, 0.2, False)

    assert comparison.worse


def test_few_pushes_are_no_ground_to_judge_on() -> None:
    """With fewer pushes than needed in the window a bad model stays."""
    comparison = BaselineComparison()
    for number in range(3 * LABELS):
        comparison.add(0.6, 0.2, number % LABELS < PUSHES - 1)

    assert not comparison.worse


def test_what_left_the_window_no_longer_counts() -> None:
    """A bad time long past is forgotten."""
    comparison, draw = BaselineComparison(), random.Random(1)
    for _ in range(LABELS):
        comparison.add(0.9, 0.2, draw.random() < 0.2)
    for _ in range(LABELS):
        comparison.add(0.2, 0.25, draw.random() < 0.2)

    assert not comparison.worse


def test_a_trial_needs_labels_and_a_better_loss() -> None:
    """A fresh model takes over after enough labels if its loss is lower, and not before."""
    comparison = BaselineComparison()
    for number in range(TRIAL_LABELS):
        assert not comparison.better

        pushed = number % 5 == 0
        comparison.add(0.6 if pushed else 0.1, 0.2, pushed)

    assert comparison.better


def test_a_jump_in_the_losses_is_detected() -> None:
    """The detector counts a change after the probabilities stop fitting, and none before."""
    detector, draw = DriftCounter(), random.Random(2)
    for _ in range(1000):
        detector.add(0.1, draw.random() < 0.1)

    assert detector.detections == 0

    for _ in range(500):
        detector.add(0.1, draw.random() < 0.7)

    assert detector.detections >= 1
