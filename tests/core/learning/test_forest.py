"""Trees that see what features say together, and that renew themselves."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.core.learning.forest import TREES, Forest
from stream_app.core.learning.tree_growing import INNER, NODES, grow
from stream_app.core.learning.window import Window

Rows = NDArray[np.float64]


def together(labels: int, seed: int = 0) -> tuple[Rows, NDArray[np.bool_]]:
    """Pushed one time in ten, but nine in ten where the signs of two of six features differ; a seventh is absent."""
    random = np.random.RandomState(seed)
    rows = random.normal(size=(labels, 7))
    rows[:, 6] = math.nan
    likely = np.where(rows[:, 0] * rows[:, 1] < 0.0, np.where(rows[:, 2] > 1.0, 0.9, 0.1), 0.1)
    return rows, random.uniform(size=labels) < likely


def taught(labels: int, seed: int = 0) -> Forest:
    forest, window = Forest(), Window()
    rows, pushed = together(labels, seed)
    for number, (row, label) in enumerate(zip(rows, pushed.tolist(), strict=True), 1):
        window.add(row, label, 1.0)
        forest.learn(number, window)
    return forest


def said(forest: Forest, row: Rows) -> float:
    return forest.log_odds(forest.leaves(row))


def test_before_there_are_labels_of_both_kinds_it_says_nothing() -> None:
    """Log-odds of 0: neither for a push nor against one."""
    forest, window = Forest(), Window()
    for number in range(1, 301):
        window.add(np.array([float(number)]), False, 1.0)
        forest.learn(number, window)

    assert forest.trees == 0
    assert said(forest, np.array([1.0])) == 0.0


def test_it_sees_what_no_feature_says_by_itself() -> None:
    """Where two signs differ and a third feature is large, and only there, pushes are likely."""
    forest = taught(4000)
    here = [said(forest, np.array([1.0, -1.0, 2.0, 0.0, 0.0, 0.0, math.nan]))]
    elsewhere = [
        said(forest, np.array([1.0, 1.0, 2.0, 0.0, 0.0, 0.0, math.nan])),
        said(forest, np.array([1.0, -1.0, -1.0, 0.0, 0.0, 0.0, math.nan])),
    ]

    assert min(here) > max(elsewhere) + 1.5


@pytest.mark.slow
def test_old_trees_make_room_for_new_ones() -> None:
    """There are never more than so many; those of the last labels follow a change."""
    forest, window = Forest(), Window()
    rows, pushed = together(12_000)
    for number, (row, label) in enumerate(zip(rows, pushed.tolist(), strict=True), 1):
        # Half way everything turns around.
        window.add(row, label == (number <= 6000), 1.0)
        forest.learn(number, window)
    point = np.array([1.0, -1.0, 2.0, 0.0, 0.0, 0.0, math.nan])

    assert forest.trees == TREES
    assert said(forest, point) < 0.0 < said(taught(4000), point)


def test_equal_labels_grow_equal_trees() -> None:
    """And a forest that was pickled goes on as if it had not been."""
    forest = taught(700)
    again: Forest = pickle.loads(pickle.dumps(forest))
    window = Window()
    for row, label in zip(*together(700, 5), strict=True):
        window.add(row, bool(label), 1.0)
    for each in (forest, again):
        each.learn(5000, window)

    assert pickle.dumps(forest) == pickle.dumps(again)
    assert pickle.dumps(forest) != pickle.dumps(taught(700))


def test_a_missing_value_goes_its_own_way() -> None:
    """Where absence alone tells, it is found."""
    random = np.random.RandomState(3)
    rows = random.normal(size=(2000, 3))
    absent = random.uniform(size=2000) < 0.2
    rows[absent, 1] = math.nan
    forest, window = Forest(), Window()
    for number, (row, label) in enumerate(zip(rows, absent.tolist(), strict=True), 1):
        window.add(row, label, 1.0)
        forest.learn(number, window)

    assert said(forest, np.array([0.0, math.nan, 0.0])) > 2.0
    assert said(forest, np.array([0.0, 0.0, 0.0])) < -2.0


def test_without_says_what_moving_a_feature_would_give() -> None:
    """The same as asking with the feature moved."""
    forest = taught(2000)
    for row in together(40, 9)[0]:
        values = np.array([0.5, math.nan, -2.0])
        features = np.array([0, 2, 6])
        leaves = forest.leaves(row)
        found = forest.without(row, leaves, forest.tested(leaves), features, values)
        for feature, value, log_odds in zip(features, values, found, strict=True):
            moved = row.copy()
            moved[feature] = value

            assert log_odds == pytest.approx(said(forest, moved), abs=1e-5)


def test_shares_add_up_to_what_the_leaves_say_beyond_the_roots() -> None:
    """And features that no split looked at have none."""
    forest = taught(2000)
    row = together(1, 9)[0][0]
    leaves = forest.leaves(row)
    mean = 1.0 / (1.0 + math.exp(-forest.log_odds(leaves)))
    root = 1.0 / (1.0 + math.exp(-forest.log_odds(np.zeros_like(leaves))))
    shares = forest.shares(leaves, forest.tested(leaves), 7)

    assert math.fsum(shares) == pytest.approx(mean - root, abs=1e-5)
    assert shares[6] == 0.0


def test_a_vector_ends_where_the_splits_lead_it() -> None:
    """Split by split as they grew: right from the threshold on, left below it and where the value is missing."""
    window, forest = Window(), Forest()
    rows, pushed = together(3000)
    for row, label in zip(rows, pushed.tolist(), strict=True):
        window.add(row, label, 1.0)
    forest.learn(3000, window)
    feature, threshold, _ = grow(*window.arrays(), forest.trees, 3000)
    for row in together(50, 9)[0].astype(np.float32):
        leaves = forest.leaves(row.astype(np.float64)).tolist()
        tested = forest.tested(np.array(leaves))
        for tree, leaf in enumerate(leaves):
            place, way = 0, []
            while place < INNER:
                way.append(feature[tree, place])
                place = 2 * place + 1 + bool(row[feature[tree, place]] >= threshold[tree, place])

            assert place == leaf
            assert tested[:, tree].tolist() == way


def test_few_pushes_weigh_as_much_as_many_others() -> None:
    """A feature that says nothing gives even log-odds, however rare pushes are."""
    random = np.random.RandomState(1)
    rows = random.normal(size=(3000, 2)).astype(np.float32)
    pushed = random.uniform(size=3000) < 0.02
    _, _, value = grow(rows, pushed, np.ones(3000, dtype=np.float32), 20, 7)

    assert value[:, 0].mean() == pytest.approx(0.5, abs=0.01)


def test_trees_of_labels_that_are_alike_do_not_split() -> None:
    """Nothing to split on: the root is the leaf, and every way down leads to it."""
    rows = np.zeros((100, 2), dtype=np.float32)
    pushed = np.arange(100) % 2 == 0
    feature, threshold, value = grow(rows, pushed, np.ones(100, dtype=np.float32), 3, 7)

    assert feature.shape == (3, INNER)
    assert value.shape == (3, NODES)
    assert np.isinf(threshold).all()
    assert (value[:, NODES - INNER - 1] == value[:, 0]).all()
