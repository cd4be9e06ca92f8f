"""A forest that renews itself: after every few hundred labels new trees replace the oldest ones.

The newest trees know the last labels, the older ones steady the answer, and the cost of a label does not depend on the
length of the log. Trees capture interactions of features, which the regression does not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stream_app.core.learning.array_pickling import Packed
from stream_app.core.learning.feature_space import Floats, Ints
from stream_app.core.learning.tree_growing import DEPTH, INNER, NODES, Bools, grow
from stream_app.core.learning.window import Window

#: Trees in all; and how many grow at a time, by labels learned: more at first, when old trees have seen few labels.
TREES = 80
_GROWN = ((0, 40), (4000, 20))
#: Labels, and pushes and others among them, before the first trees.
_LABELS, _EACH = 100, 10
#: New trees after so many labels, and sooner while there are few: after this share of those seen.
_EVERY, _SHARE = 800, 0.12

#: A tree is stored as blocks of half its levels: one from the root, and one for each way out of it. A block has 15
#: splits and one unused position.
_HALF = DEPTH // 2
_WAYS = 2**_HALF
_BLOCKS = 1 + _WAYS
_FIRST_LEAF = INNER


def _blocks() -> tuple[Ints, Ints]:
    """The block of each inner node of a tree, and its number within the block."""
    level = np.log2(np.arange(1, INNER + 1)).astype(np.int64)
    position = np.arange(1, INNER + 1) - 2**level
    lower = level >= _HALF
    below = level - _HALF * lower
    return np.where(lower, 1 + (position >> below), 0), 2**below - 1 + position % 2**below


def _ways() -> Ints:
    """The way out of a block for each set of its splits that send right, the set given as bits."""
    splits = np.arange(2 ** (_WAYS - 1))
    position = np.zeros(len(splits), dtype=np.int64)
    for _ in range(_HALF):
        position = 2 * position + 1 + (splits >> position & 1)
    ways: Ints = position - (_WAYS - 1)
    return ways


_BLOCK, _WITHIN = _blocks()
_WAY = _ways()
#: How often a leaf's number is halved to reach each node above it, the root first.
_HALVED = np.arange(DEPTH, -1, -1)[:, None]


class Forest(Packed):
    """Trees over the vectors of a stage's feature space.

    All splits of a block are evaluated at once, and a table gives the way through it: a few operations on large arrays
    are faster than many on small ones.
    """

    def __init__(self) -> None:
        #: Splits: a row for each block, the blocks at the roots of all trees first.
        self._feature: Ints = np.zeros((0, _WAYS), dtype=np.int64)
        self._threshold: NDArray[np.float32] = np.zeros((0, _WAYS), dtype=np.float32)
        #: Of all nodes of all trees, one tree after another.
        self._value: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._next = _LABELS
        #: How many trees there are now.
        self.trees = 0
        self._index()

    def _index(self) -> None:
        #: The trees' numbers; the first node of each; the position of each split of the first tree.
        self._trees: Ints = np.arange(self.trees)
        self._nodes: Ints = self._trees * NODES
        self._splits: Ints = _BLOCK * (self.trees * _WAYS) + _WITHIN

    def learn(self, labels: int, window: Window) -> None:
        """Grows new trees from the last labels when that is due; `labels` is the number learned in all."""
        if labels < self._next:
            return
        self._next = labels + min(_EVERY, max(1, int(labels * _SHARE)))
        rows, pushed, weights = window.arrays()
        pushes = np.count_nonzero(pushed)
        if min(pushes, len(pushed) - pushes) < _EACH:
            return
        trees = next(trees for least, trees in reversed(_GROWN) if labels >= least)
        feature, threshold, value = grow(rows, pushed, weights, trees, labels)
        self._add(feature.astype(np.int64), threshold)
        self._value = np.concatenate([self._value, value.ravel()])[-TREES * NODES :]
        self.trees = len(self._value) // NODES
        self._index()

    def _add(self, feature: Ints, threshold: NDArray[np.float32]) -> None:
        features = np.zeros((_BLOCKS, len(feature), _WAYS), dtype=np.int64)
        # Nothing reaches the threshold of the unused position.
        thresholds = np.full((_BLOCKS, len(feature), _WAYS), math.nan, dtype=np.float32)
        features[_BLOCK, :, _WITHIN], thresholds[_BLOCK, :, _WITHIN] = feature.T, threshold.T
        old = (_BLOCKS, self.trees, _WAYS)
        features = np.concatenate([self._feature.reshape(old), features], axis=1)[:, -TREES:]
        thresholds = np.concatenate([self._threshold.reshape(old), thresholds], axis=1)[:, -TREES:]
        self._feature, self._threshold = features.reshape(-1, _WAYS), thresholds.reshape(-1, _WAYS)

    def leaves(self, vector: Floats) -> Ints:
        """The number of the leaf of each tree at which a vector ends."""
        trees = self.trees
        if not trees:
            return np.zeros(0, dtype=np.int64)
        x = vector.astype(np.float32)
        upper = _way(x.take(self._feature[:trees]) >= self._threshold[:trees])
        block = (upper + 1) * trees + self._trees
        lower = _way(x.take(self._feature.take(block, axis=0)) >= self._threshold.take(block, axis=0))
        leaves: Ints = upper * _WAYS + lower + _FIRST_LEAF
        return leaves

    def log_odds(self, leaves: Ints) -> float:
        """The log-odds by the leaves, as if both classes were equally frequent; 0 while there are no trees."""
        return _log_odds(float(self._value.take(self._nodes + leaves).sum()) / self.trees) if self.trees else 0.0

    def tested(self, leaves: Ints) -> Ints:
        """The features tested on the way to leaves: a row for each level, a column for each tree."""
        passed = (leaves + 1 >> _HALVED[:-1]) - 1
        tested: Ints = self._feature.take(self._splits.take(passed) + self._trees * _WAYS)
        return tested

    def shares(self, leaves: Ints, tested: Ints, features: int) -> Floats:
        """An estimate of each feature's part in the leaves' mean, from what its splits change."""
        if not self.trees:
            return np.zeros(features)
        values = self._value.take(self._nodes + ((leaves + 1 >> _HALVED) - 1))
        return np.bincount(tested.ravel(), (values[1:] - values[:-1]).ravel(), features) / float(self.trees)

    def without(self, vector: Floats, leaves: Ints, tested: Ints, features: Ints, values: Floats) -> list[float]:
        """The log-odds if one feature had another value, for each of some features.

        Only trees that tested the feature are evaluated.
        """
        which, tree = (tested == features[:, None, None]).any(axis=1).nonzero()
        x = np.empty((len(features), len(vector)), dtype=np.float32)
        x[:] = vector
        x[np.arange(len(features)), features] = values
        row = (which * len(vector))[:, None]
        upper = _way(x.take(row + self._feature.take(tree, axis=0)) >= self._threshold.take(tree, axis=0))
        block = (upper + 1) * self.trees + tree
        lower = _way(x.take(row + self._feature.take(block, axis=0)) >= self._threshold.take(block, axis=0))
        leaf_values = self._value.take(self._nodes + leaves)
        difference = self._value.take(
            self._nodes.take(tree) + (upper * _WAYS + lower + _FIRST_LEAF)
        ) - leaf_values.take(tree)
        sums = float(leaf_values.sum()) + np.bincount(which, difference, len(features))
        return [_log_odds(each / self.trees) for each in sums.tolist()]


def _way(right: Bools) -> Ints:
    """The way out of blocks of splits, given whether each split sends right."""
    return _WAY.take(np.packbits(right, bitorder="little").view("<u2"))


def _log_odds(share: float) -> float:
    return math.log(share / (1.0 - share))
