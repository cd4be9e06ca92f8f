"""The last labels, kept in arrays."""

from __future__ import annotations

import math
import pickle

import numpy as np

from stream_app.core.learning.window import SIZE, Window


def filled(labels: int) -> Window:
    """Labels whose vectors say their number, every seventh a push."""
    window = Window()
    for number in range(labels):
        window.add(np.array([0.5, float(number)]), number % 7 == 0, 1.0 + number % 2)
    return window


def test_the_last_labels_come_in_the_order_in_which_they_were_learned() -> None:
    """Whether or not the oldest were overwritten."""
    for labels in (30, SIZE, SIZE + 500):
        found = list(filled(labels).last(2000))

        assert [int(vector[1]) for vector, _, _ in found] == list(range(max(0, labels - 2000), labels))
        assert all(pushed == (int(vector[1]) % 7 == 0) for vector, pushed, _ in found)


def test_no_more_labels_are_kept_than_there_is_room_for() -> None:
    """The arrays hold the last ones."""
    rows, pushed, weights = filled(SIZE + 10).arrays()

    assert len(rows) == len(pushed) == len(weights) == SIZE
    assert rows[:, 1].min() == 10.0


def test_a_vector_from_before_a_name_was_known_misses_it() -> None:
    """Vectors grow; the old ones are filled up with absence."""
    window = filled(3)
    window.add(np.array([0.5, 3.0, 9.0]), True, 1.0)
    rows, _, _ = window.arrays()

    assert rows.shape == (4, 3)
    assert np.isnan(rows[:3, 2]).all()
    assert rows[3].tolist() == [0.5, 3.0, 9.0]


def test_a_window_survives_pickling_and_goes_on() -> None:
    """With the same labels before and after."""
    window = filled(50)
    again: Window = pickle.loads(pickle.dumps(window))
    for each in (window, again):
        each.add(np.array([0.5, math.nan, 1.0]), False, 1.0)

    assert pickle.dumps(again) == pickle.dumps(window)
