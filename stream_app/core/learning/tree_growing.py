"""Grows trees: many at once, level by level, from counts alone.

Each tree sees one draw of pushes and twice as many other labels, with replacement, so that rare pushes have the weight
that they should [1]_. A node tests a few features drawn at random and takes the split with the purest sides. All sums
are of whole numbers and the generator's stream is frozen, so equal labels grow equal trees on every machine.

References
----------
.. [1] C. Chen, A. Liaw and L. Breiman, "Using Random Forest to Learn Imbalanced Data", 2004.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.core.learning.feature_space import Ints

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Levels of splits; bins of a feature; features that a node tests; the fewest labels on each side of a split.
DEPTH, _BINS, _TESTED, _LEAF = 8, 16, 20, 3
#: Inner nodes, and all nodes, of a tree that is full; node n has the children 2n + 1 and 2n + 2.
INNER, NODES = 2**DEPTH - 1, 2 ** (DEPTH + 1) - 1
#: Pushes drawn for a tree at most, and other labels for each.
_DRAWN, _OTHERS = 700, 2
#: Labels of either class that a leaf has beforehand, so that it is never certain.
_PRIOR = 0.5


def grow(
    rows: Floats, pushed: Bools, weights: Floats, trees: int, seed: int
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Grows trees from labelled vectors, of which there are some of both classes.

    Parameters
    ----------
    rows
        Array of shape (labels, features), NaN where a feature is missing.
    pushed
        Array of shape (labels,).
    weights
        Array of shape (labels,); a label of weight 2 is drawn twice as often.
    trees
        Number of trees.
    seed
        Seed of the draws.

    Returns
    -------
    feature, threshold : arrays of shape (trees, INNER)
        The feature that each inner node tests, and the value from which on a vector goes right. A missing value goes
        left; the threshold is infinite where there is no split.
    value : array of shape (trees, NODES)
        The share of pushes at each node, as if both classes were equally frequent.
    """
    random = np.random.RandomState(seed % 2**32)
    codes, edges = _binned(rows)
    row = _drawn(pushed, weights, trees, random)
    drawn = len(row) // trees // (1 + _OTHERS)
    node: Ints = np.concatenate([np.repeat(np.arange(trees), drawn), np.repeat(np.arange(trees), drawn * _OTHERS)])
    ahead = trees * drawn
    feature = np.zeros((trees, INNER), dtype=np.int32)
    threshold = np.full((trees, INNER), np.inf, dtype=np.float32)
    value = np.zeros((trees, NODES), dtype=np.float32)
    tree, position = np.arange(trees), np.zeros(trees, dtype=np.int64)
    for level in range(DEPTH + 1):
        pushes = np.bincount(node[:ahead], minlength=len(tree))
        count = pushes + np.bincount(node[ahead:], minlength=len(tree))
        weighed = _OTHERS * (pushes + _PRIOR)
        value[tree, position] = weighed / (weighed + count - pushes + _PRIOR * _OTHERS)
        if level == DEPTH or not len(tree):
            break
        tested = random.randint(0, rows.shape[1], (len(tree), _TESTED))
        # A node of so few labels, or of labels of one class, is not split.
        mixed = (count >= 2 * _LEAF) & (pushes > 0) & (pushes < count)
        row, node, ahead = _kept(row, node, ahead, mixed)
        split, cut = np.full(len(tree), -1), np.zeros(len(tree), dtype=np.int64)
        split[mixed], cut[mixed] = _best_splits(codes, row, node, ahead, tested[mixed], count[mixed], pushes[mixed])
        stays = split < 0
        # From a node that is not split, all vectors go left down to the last level.
        for down in range(level + 1, DEPTH + 1):
            left = (position[stays] + 1) * 2 ** (down - level) - 1
            value[tree[stays], left] = value[tree[stays], position[stays]]
        grows = ~stays
        tree, position, split, cut = tree[grows], position[grows], split[grows], cut[grows]
        feature[tree, position] = split
        threshold[tree, position] = edges[split, cut]
        row, node, ahead = _kept(row, node, ahead, grows[mixed])
        right = codes.take(split.take(node) * len(rows) + row) > cut.take(node)
        node = 2 * node + right
        tree = np.repeat(tree, 2)
        position = (2 * position[:, None] + np.array([1, 2])).ravel()
    return feature, threshold, value


def _kept(row: Ints, node: Ints, ahead: int, nodes: Bools) -> tuple[Ints, Ints, int]:
    """The labels in some of the nodes, which are numbered anew; the first `ahead` of them are pushes."""
    if nodes.all():
        return row, node, ahead
    kept = nodes.take(node)
    number = np.cumsum(nodes) - 1
    return row[kept], number.take(node[kept]), int(np.count_nonzero(kept[:ahead]))


def _binned(rows: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """The quantiles of each feature, and how many of them each row's value reaches (0 if missing)."""
    width = rows.shape[1]
    codes = np.zeros((width, len(rows)), dtype=np.uint8)
    edges = np.full((width, _BINS), np.inf, dtype=np.float32)
    columns = np.ascontiguousarray(rows.T)
    # Some 1,500 labels give quantiles precise enough. Sorted, NaN comes last.
    ordered = np.sort(columns[:, :: -max(1, len(rows) // 1500)], axis=1)
    known = ordered.shape[1] - np.isnan(ordered).sum(axis=1)
    for i, values in enumerate(known.tolist()):
        if values:
            quantiles = np.unique(ordered[i, np.arange(_BINS - 1) * values // (_BINS - 1)])
            edges[i, : len(quantiles)] = quantiles
            np.sum(columns[i] >= quantiles[:, None], axis=0, dtype=np.uint8, out=codes[i])
    return codes, edges


def _drawn(pushed: Bools, weights: Floats, trees: int, random: np.random.RandomState) -> Ints:
    """The labels that the trees see, pushes before others, tree by tree; weight 2 is drawn twice as often."""
    repeated = np.repeat(np.arange(len(pushed)), np.maximum(1, np.rint(weights)).astype(np.int64))
    pushes, others = repeated[pushed[repeated]], repeated[~pushed[repeated]]
    draws = min(len(pushes), len(others), _DRAWN)
    return np.concatenate(
        [
            pushes[random.randint(0, len(pushes), trees * draws)],
            others[random.randint(0, len(others), trees * draws * _OTHERS)],
        ]
    )


def _best_splits(
    codes: NDArray[np.uint8], row: Ints, node: Ints, ahead: int, tested: Ints, count: Ints, pushes: Ints
) -> tuple[Ints, Ints]:
    """For each node the feature to split on, -1 for none, and the code up to which it goes left (Gini's purity)."""
    left_pushes, left = _histograms(codes, row, node, ahead, tested)
    all_pushes, all_labels = pushes.astype(np.float64), count.astype(np.float64)
    best, cut = np.zeros(left.shape[1:]), np.zeros(left.shape[1:], dtype=np.int64)
    for code in range(_BINS - 1):
        if code:
            left_pushes[code] += left_pushes[code - 1]
            left[code] += left[code - 1]
        right = all_labels - left[code]
        purity = _purity(left[code], left_pushes[code]) + _purity(right, all_pushes - left_pushes[code])
        purity[np.minimum(left[code], right) < _LEAF] = 0.0
        better = purity > best
        np.copyto(best, purity, where=better)
        np.copyto(cut, code, where=better)
    best_feature, here = best.argmax(axis=0), np.arange(len(tested))
    pays = best[best_feature, here] > _purity(all_labels, all_pushes) + 1e-9
    return np.where(pays, tested[here, best_feature], -1), cut[best_feature, here]


def _histograms(
    codes: NDArray[np.uint8], row: Ints, node: Ints, ahead: int, tested: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many pushes, and how many labels, have each code (first axis) of each feature that a node tests."""
    nodes, features = tested.shape
    cells = nodes * _BINS
    pushes, count = np.empty((2, _BINS, features, nodes))
    first = node * _BINS
    for i in range(features):
        begins = tested[:, i] * codes.shape[1]
        cell = codes.take(begins.take(node) + row) + first
        pushes[:, i] = np.bincount(cell[:ahead], minlength=cells).reshape(nodes, _BINS).T
        count[:, i] = np.bincount(cell[ahead:], minlength=cells).reshape(nodes, _BINS).T
    return pushes, np.add(count, pushes, out=count)


def _purity(count: NDArray[np.float64], pushes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of squares of both kinds over their number: whole numbers far below 2**53, hence exact."""
    others = count - pushes
    return (pushes * pushes + others * others) / np.maximum(count, 1.0)
