"""The last labels of a stage, as arrays, from which trees grow and fresh models are refolded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream_app.core.learning.array_pickling import Packed

#: Labels kept.
SIZE = 6000
_FIRST = 128


class Window(Packed):
    """Vectors, labels and weights; the oldest is overwritten. Vectors from before a name was known lack it."""

    def __init__(self) -> None:
        self._rows: NDArray[np.float32] = np.full((0, 0), np.nan, dtype=np.float32)
        self._pushed: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._weights: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._seen = 0

    def add(self, vector: NDArray[np.float64], pushed: bool, weight: float) -> None:
        """Adds a label; its vector must not be shorter than those before it."""
        position = self._seen % SIZE
        if len(vector) > self._rows.shape[1] or position >= len(self._rows):
            self._grow(max(position + 1, len(self._rows)), len(vector))
        self._rows[position] = vector
        self._pushed[position] = pushed
        self._weights[position] = weight
        self._seen += 1

    def _grow(self, labels: int, width: int) -> None:
        height, old_width = self._rows.shape
        room = height if labels <= height else min(SIZE, max(_FIRST, 2 * height))
        rows = np.full((room, width), np.nan, dtype=np.float32)
        rows[:height, :old_width] = self._rows
        self._rows = rows
        self._pushed = np.append(self._pushed, np.zeros(room - height, dtype=np.bool_))
        self._weights = np.append(self._weights, np.zeros(room - height, dtype=np.float32))

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
        """All labels kept, in no particular order; the arrays must not be changed."""
        size = min(self._seen, SIZE)
        return self._rows[:size], self._pushed[:size], self._weights[:size]

    def last(self, labels: int) -> Iterator[tuple[NDArray[np.float64], bool, float]]:
        """The last labels, at most so many, the oldest first."""
        for number in range(max(0, self._seen - min(labels, SIZE)), self._seen):
            position = number % SIZE
            yield self._rows[position].astype(np.float64), bool(self._pushed[position]), float(self._weights[position])
