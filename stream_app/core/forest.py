"""A forest that renews itself: with every few hundred labels its oldest trees make room for new ones.

The newest trees know the last labels, the older ones steady the answer, and a label costs the same however long the
log is. Trees see how features work together, which the regression beside them does not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stream_app.core.encoding import Floats, Ints
from stream_app.core.growing import DEPTH, INNER, NODES, grow
from stream_app.core.packing import Packed
from stream_app.core.window import Window

#: Trees in all; and how many grow at a time, by labels learned: while there are few, old trees know little.
TREES = 80
_GROWN = ((0, 40), (4000, 20))
#: Labels, and pushes and others among them, before the first trees.
_LABELS, _EACH = 100, 10
#: New trees after so many labels, and sooner while there are few: after this share of those seen.
_EVERY, _SHARE = 800, 0.12


class Forest(Packed):
    """Trees over the vectors of a stage's feature space."""

    def __init__(self) -> None:
        #: Of all trees, one after another.
        self._feature: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._threshold: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._value: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._next = _LABELS
        #: Where each tree begins, among inner nodes and among all.
        self._inner: Ints = np.zeros(0, dtype=np.int64)
        self._nodes: Ints = np.zeros(0, dtype=np.int64)

    @property
    def trees(self) -> int:
        """How many there are now."""
        return len(self._nodes)

    def learn(self, labels: int, window: Window) -> None:
        """Grow new trees from the last labels when it is time; `labels` have been learned in all."""
        if labels < self._next:
            return
        self._next = labels + min(_EVERY, max(1, int(labels * _SHARE)))
        rows, pushed, weights = window.arrays()
        pushes = np.count_nonzero(pushed)
        if min(pushes, len(pushed) - pushes) < _EACH:
            return
        trees = next(trees for least, trees in reversed(_GROWN) if labels >= least)
        feature, threshold, value = grow(rows, pushed, weights, trees, labels)
        self._feature = np.concatenate([self._feature, feature.ravel()])[-TREES * INNER :]
        self._threshold = np.concatenate([self._threshold, threshold.ravel()])[-TREES * INNER :]
        self._value = np.concatenate([self._value, value.ravel()])[-TREES * NODES :]
        numbers = np.arange(len(self._value) // NODES)
        self._inner, self._nodes = numbers * INNER, numbers * NODES

    def paths(self, vector: Floats) -> Ints:
        """The nodes that a vector passes, from the root to the leaf: a row for each level, a column for each tree."""
        passed = np.zeros((DEPTH + 1, self.trees), dtype=np.int64)
        if self.trees:
            x = vector.astype(np.float32)
            for level in range(DEPTH):
                at = self._inner + passed[level]
                right = x.take(self._feature.take(at)) >= self._threshold.take(at)
                passed[level + 1] = 2 * passed[level] + 1 + right
        return passed

    def log_odds(self, paths: Ints) -> float:
        """The log-odds that the leaves give, as if pushes were as frequent as not; 0 while there are no trees."""
        return _log_odds(float(self._value.take(self._nodes + paths[-1]).sum()) / self.trees) if self.trees else 0.0

    def shares(self, paths: Ints, features: int) -> Floats:
        """About how much of the leaves' mean each of so many features is answerable for, by what its splits did."""
        if not self.trees:
            return np.zeros(features)
        values = self._value.take(self._nodes + paths)
        tested = self._feature.take(self._inner + paths[:-1])
        return np.bincount(tested.ravel(), (values[1:] - values[:-1]).ravel(), features) / float(self.trees)

    def without(self, vector: Floats, paths: Ints, features: Ints, values: Floats) -> list[float]:
        """The log-odds if one feature had another value, of each of some: the trees that tested it are asked anew."""
        leaves = self._value.take(self._nodes + paths[-1])
        tested = self._feature.take(self._inner + paths[:-1])
        which, tree = (tested[None, :, :] == features[:, None, None]).any(axis=1).nonzero()
        x = np.repeat(vector[None, :].astype(np.float32), len(features), axis=0)
        x[np.arange(len(features)), features] = values
        x, row = x.ravel(), which * len(vector)
        inner, place = self._inner.take(tree), np.zeros(len(tree), dtype=np.int64)
        for _ in range(DEPTH):
            at = inner + place
            place = 2 * place + 1 + (x.take(row + self._feature.take(at)) >= self._threshold.take(at))
        change = self._value.take(self._nodes.take(tree) + place) - leaves.take(tree)
        sums = float(leaves.sum()) + np.bincount(which, change, len(features))
        return [_log_odds(each / self.trees) for each in sums.tolist()]


def _log_odds(share: float) -> float:
    return math.log(share / (1.0 - share))
