"""The watch tells a model that fell behind the baseline from one that had bad luck."""

from __future__ import annotations

import random

from stream_app.core.learning.drift import LABELS, PUSHES, TRIAL_LABELS, ChangeDetector, Watch


def test_a_model_as_good_as_the_baseline_is_kept() -> None:
    """Equal log losses, however unlucky, are no reason to fall back."""
    watch, draw = Watch(), random.Random(1)
    for _ in range(2 * LABELS):
        watch.add(0.2, 0.2, draw.random() < 0.5)

        assert not watch.worse


def test_a_model_clearly_worse_is_found_once_there_are_labels_enough() -> None:
    """Not before the window is full, and then at once."""
    watch, draw = Watch(), random.Random(1)
    for _ in range(LABELS - 1):
        watch.add(0.8, 0.2, draw.random() < 0.2)

        assert not watch.worse

    watch.add(0.8, 0.2, False)

    assert watch.worse


def test_few_pushes_are_no_ground_to_judge_on() -> None:
    """With fewer pushes than needed in the window a bad model stays."""
    watch = Watch()
    for number in range(3 * LABELS):
        watch.add(0.6, 0.2, number % LABELS < PUSHES - 1)

    assert not watch.worse


def test_what_left_the_window_no_longer_counts() -> None:
    """A bad time long past is forgotten."""
    watch, draw = Watch(), random.Random(1)
    for _ in range(LABELS):
        watch.add(0.9, 0.2, draw.random() < 0.2)
    for _ in range(LABELS):
        watch.add(0.2, 0.25, draw.random() < 0.2)

    assert not watch.worse


def test_a_trial_needs_labels_and_a_better_loss() -> None:
    """A fresh model takes over after enough labels if its loss is lower, and not before."""
    watch = Watch()
    for number in range(TRIAL_LABELS):
        assert not watch.better

        pushed = number % 5 == 0
        watch.add(0.6 if pushed else 0.1, 0.2, pushed)

    assert watch.better


def test_a_jump_in_the_losses_is_detected() -> None:
    """The detector counts a change after the probabilities stop fitting, and none before."""
    detector, draw = ChangeDetector(), random.Random(2)
    for _ in range(1000):
        detector.add(0.1, draw.random() < 0.1)

    assert detector.detections == 0

    for _ in range(500):
        detector.add(0.1, draw.random() < 0.7)

    assert detector.detections >= 1
