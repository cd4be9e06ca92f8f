"""How trees grow: many at once, level by level, from counts alone.

Each tree sees one draw of pushes and twice as many other labels, with replacement, so that few pushes among many
runs weigh what they should (Chen, Liaw and Breiman 2004, "Using random forest to learn imbalanced data"). A node looks
at a few features drawn at random and takes the split with the purest sides. All sums are of whole numbers and the
generator's stream is frozen, so equal labels grow equal trees on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.core.learning.feature_space import Ints

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Levels of splits; values that a feature is cut into; features that a node looks at; labels left on a side at least.
DEPTH, _BINS, _LOOKS, _LEAF = 8, 16, 20, 3
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
    row = _drawn(pushed, weights, trees, random)
    drawn = len(row) // trees // (1 + _OTHERS)
    node: Ints = np.concatenate([np.repeat(np.arange(trees), drawn), np.repeat(np.arange(trees), drawn * _OTHERS)])
    ahead = trees * drawn
    feature = np.zeros((trees, INNER), dtype=np.int32)
    threshold = np.full((trees, INNER), np.inf, dtype=np.float32)
    value = np.zeros((trees, NODES), dtype=np.float32)
    tree, place = np.arange(trees), np.zeros(trees, dtype=np.int64)
    for level in range(DEPTH + 1):
        pushes = np.bincount(node[:ahead], minlength=len(tree))
        count = pushes + np.bincount(node[ahead:], minlength=len(tree))
        weighed = _OTHERS * (pushes + _PRIOR)
        value[tree, place] = weighed / (weighed + count - pushes + _PRIOR * _OTHERS)
        if level == DEPTH or not len(tree):
            break
        looks = random.randint(0, rows.shape[1], (len(tree), _LOOKS))
        # No split of so few labels, or of labels of one kind, would pay.
        mixed = (count >= 2 * _LEAF) & (pushes > 0) & (pushes < count)
        row, node, ahead = _kept(row, node, ahead, mixed)
        split, cut = np.full(len(tree), -1), np.zeros(len(tree), dtype=np.int64)
        split[mixed], cut[mixed] = _best_splits(codes, row, node, ahead, looks[mixed], count[mixed], pushes[mixed])
        stays = split < 0
        # What is not split goes left all the way down.
        for down in range(level + 1, DEPTH + 1):
            left = (place[stays] + 1) * 2 ** (down - level) - 1
            value[tree[stays], left] = value[tree[stays], place[stays]]
        grows = ~stays
        tree, place, split, cut = tree[grows], place[grows], split[grows], cut[grows]
        feature[tree, place] = split
        threshold[tree, place] = edges[split, cut]
        row, node, ahead = _kept(row, node, ahead, grows[mixed])
        right = codes.take(split.take(node) * len(rows) + row) > cut.take(node)
        node = 2 * node + right
        tree = np.repeat(tree, 2)
        place = (2 * place[:, None] + np.array([1, 2])).ravel()
    return feature, threshold, value


def _kept(row: Ints, node: Ints, ahead: int, nodes: Bools) -> tuple[Ints, Ints, int]:
    """The labels in some of the nodes, which are numbered anew; of them, the first `ahead` are pushes."""
    if nodes.all():
        return row, node, ahead
    kept = nodes.take(node)
    number = np.cumsum(nodes) - 1
    return row[kept], number.take(node[kept]), int(np.count_nonzero(kept[:ahead]))


def _binned(rows: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Of each feature and row, how many of the feature's quantiles the value reaches, 0 if missing; the quantiles."""
    width = rows.shape[1]
    codes = np.zeros((width, len(rows)), dtype=np.uint8)
    edges = np.full((width, _BINS), np.inf, dtype=np.float32)
    columns = np.ascontiguousarray(rows.T)
    # Some 1,500 labels give quantiles enough. Sorted, NaN comes last.
    ordered = np.sort(columns[:, :: -max(1, len(rows) // 1500)], axis=1)
    known = ordered.shape[1] - np.isnan(ordered).sum(axis=1)
    for i, values in enumerate(known.tolist()):
        if values:
            quantiles = np.unique(ordered[i, np.arange(_BINS - 1) * values // (_BINS - 1)])
            edges[i, : len(quantiles)] = quantiles
            np.sum(columns[i] >= quantiles[:, None], axis=0, dtype=np.uint8, out=codes[i])
    return codes, edges


def _drawn(pushed: Bools, weights: Floats, trees: int, random: np.random.RandomState) -> Ints:
    """The labels that the trees see, pushes before others, tree by tree; one of weight 2 is drawn twice as often."""
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
    codes: NDArray[np.uint8], row: Ints, node: Ints, ahead: int, looks: Ints, count: Ints, pushes: Ints
) -> tuple[Ints, Ints]:
    """Of each node the feature to split on, -1 for none, and the code up to which it goes left (Gini's purity)."""
    left_pushes, left = _histograms(codes, row, node, ahead, looks)
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
    look, here = best.argmax(axis=0), np.arange(len(looks))
    pays = best[look, here] > _purity(all_labels, all_pushes) + 1e-9
    return np.where(pays, looks[here, look], -1), cut[look, here]


def _histograms(
    codes: NDArray[np.uint8], row: Ints, node: Ints, ahead: int, looks: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many pushes, and how many labels, have each code (first axis) of each feature that a node looks at."""
    nodes, looked = looks.shape
    cells = nodes * _BINS
    pushes, count = np.empty((2, _BINS, looked, nodes))
    first = node * _BINS
    for i in range(looked):
        begins = looks[:, i] * codes.shape[1]
        cell = codes.take(begins.take(node) + row) + first
        pushes[:, i] = np.bincount(cell[:ahead], minlength=cells).reshape(nodes, _BINS).T
        count[:, i] = np.bincount(cell[ahead:], minlength=cells).reshape(nodes, _BINS).T
    return pushes, np.add(count, pushes, out=count)


def _purity(count: NDArray[np.float64], pushes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of squares of both kinds over their number: whole numbers far below 2**53, hence exact."""
    others = count - pushes
    return (pushes * pushes + others * others) / np.maximum(count, 1.0)
