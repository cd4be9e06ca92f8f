"""How trees grow: many at once, level by level, from counts alone.

Each tree sees one draw of pushes and twice as many other labels, with replacement, so that few pushes among many
runs weigh what they should (Chen, Liaw and Breiman 2004, "Using random forest to learn imbalanced data"). A node looks
at a few features drawn at random and takes the split with the purest sides. All sums are of whole numbers and the
generator's stream is frozen, so equal labels grow equal trees on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.core.encoding import Ints

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Levels of splits; values that a feature is cut into; features that a node looks at; labels left on a side at least.
DEPTH, _BINS, _LOOKS, _LEAF = 8, 16, 10, 3
#: Inner nodes, and all nodes, of a tree that is full; node n has the children 2n + 1 and 2n + 2.
INNER, NODES = 2**DEPTH - 1, 2 ** (DEPTH + 1) - 1
#: Pushes drawn for a tree at most, and other labels for each.
_DRAWN, _OTHERS = 700, 2
#: Labels, of either kind, that a leaf is given beforehand, so that it is never sure.
_PRIOR = 0.5


def grow(
    rows: Floats, pushed: Bools, weights: Floats, trees: int, seed: int
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Trees over rows of features (NaN where missing) with their labels, of which there are some of both kinds.

    Returns
    -------
    tuple
        Of each tree and inner node the feature and the value from which on it goes right (missing goes left; infinite
        where there is no split); of each tree and node the share of pushes, as if both kinds were equally frequent.
    """
    random = np.random.RandomState(seed % 2**32)
    codes, edges = _binned(rows)
    drawn = _drawn(pushed, weights, trees, random)
    per_tree = drawn.shape[1]
    row, label = drawn.ravel(), pushed[drawn.ravel()]
    node: Ints = np.repeat(np.arange(trees), per_tree)
    feature = np.zeros((trees, INNER), dtype=np.int32)
    threshold = np.full((trees, INNER), np.inf, dtype=np.float32)
    value = np.zeros((trees, NODES), dtype=np.float32)
    tree, place = np.arange(trees), np.zeros(trees, dtype=np.int64)
    for level in range(DEPTH + 1):
        count = np.bincount(node, minlength=len(tree))
        pushes = np.bincount(node[label], minlength=len(tree))
        weighed = _OTHERS * (pushes + _PRIOR)
        value[tree, place] = weighed / (weighed + count - pushes + _PRIOR * _OTHERS)
        if level == DEPTH or not len(tree):
            break
        looks = random.randint(0, rows.shape[1], (len(tree), _LOOKS))
        split, cut = _best_splits(codes, row, node, label, looks, count, pushes)
        stays = split < 0
        # What is not split goes left all the way down.
        for down in range(level + 1, DEPTH + 1):
            left = (place[stays] + 1) * 2 ** (down - level) - 1
            value[tree[stays], left] = value[tree[stays], place[stays]]
        grows = ~stays
        feature[tree[grows], place[grows]] = split[grows]
        threshold[tree[grows], place[grows]] = edges[split[grows], cut[grows]]
        kept = grows[node]
        right = codes[row, split[node]] > cut[node]
        number = np.cumsum(grows) - 1
        row, label, node = row[kept], label[kept], (2 * number[node] + right)[kept]
        tree = np.repeat(tree[grows], 2)
        place = (2 * place[grows][:, None] + np.array([1, 2])).ravel()
    return feature, threshold, value


def _binned(rows: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Each value as the number of its feature's quantiles up to it, 0 where missing; and the quantiles."""
    width = rows.shape[1]
    codes = np.zeros(rows.shape, dtype=np.uint8)
    edges = np.full((width, _BINS), np.inf, dtype=np.float32)
    # Some 1,500 labels give quantiles enough. Sorted, NaN comes last.
    ordered = np.sort(rows[:: -max(1, len(rows) // 1500)], axis=0)
    known = len(ordered) - np.isnan(ordered).sum(axis=0)
    missing = np.isnan(rows)
    for i in range(width):
        if known[i]:
            quantiles = np.unique(ordered[np.arange(_BINS - 1) * known[i] // (_BINS - 1), i])
            edges[i, : len(quantiles)] = quantiles
            codes[:, i] = np.searchsorted(quantiles, rows[:, i], side="right")
    codes[missing] = 0
    return codes, edges


def _drawn(pushed: Bools, weights: Floats, trees: int, random: np.random.RandomState) -> Ints:
    """For each tree the labels that it sees; one of weight 2 is drawn twice as often."""
    repeated = np.repeat(np.arange(len(pushed)), np.maximum(1, np.rint(weights)).astype(np.int64))
    pushes, others = repeated[pushed[repeated]], repeated[~pushed[repeated]]
    draws = min(len(pushes), len(others), _DRAWN)
    return np.concatenate(
        [
            pushes[random.randint(0, len(pushes), (trees, draws))],
            others[random.randint(0, len(others), (trees, draws * _OTHERS))],
        ],
        axis=1,
    )


def _best_splits(
    codes: NDArray[np.uint8], row: Ints, node: Ints, label: Bools, looks: Ints, count: Ints, pushes: Ints
) -> tuple[Ints, Ints]:
    """Of each node the feature to split on, -1 for none, and the code up to which it goes left (Gini's purity)."""
    nodes, looked = looks.shape
    cell = ((node * looked)[:, None] + np.arange(looked)) * _BINS + codes[row[:, None], looks[node]]
    shape, cells = (nodes, looked, _BINS), nodes * looked * _BINS
    left = np.bincount(cell.ravel(), minlength=cells).reshape(shape).cumsum(axis=2)
    left_pushes = np.bincount(cell[label].ravel(), minlength=cells).reshape(shape).cumsum(axis=2)
    right, right_pushes = count[:, None, None] - left, pushes[:, None, None] - left_pushes
    purity = _purity(left, left_pushes) + _purity(right, right_pushes)
    purity[(left < _LEAF) | (right < _LEAF)] = 0.0
    flat = purity.reshape(nodes, -1)
    best = flat.argmax(axis=1)
    here = np.arange(nodes)
    pays = flat[here, best] > _purity(count, pushes) + 1e-9
    return np.where(pays, looks[here, best // _BINS], -1), best % _BINS


def _purity(count: Ints, pushes: Ints) -> NDArray[np.float64]:
    """The sum of squares of both kinds over their number."""
    others = count - pushes
    return (pushes * pushes + others * others) / np.maximum(count, 1)
