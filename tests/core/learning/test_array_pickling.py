"""Arrays are pickled as plain bytes, and only arrays of plain numbers come back."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from stream_app.core.learning.array_pickling import Packed


class Holder(Packed):
    """Something with an array."""

    def __init__(self, array: Any) -> None:
        self.array = array


@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "i4", "i2", "u1", "u4", "?"])
def test_arrays_come_back(kind: str) -> None:
    """With their types and shapes."""
    array = np.arange(6).reshape(2, 3).astype(kind)

    found = pickle.loads(pickle.dumps(Holder(array)))

    assert (found.array.dtype, found.array.tolist()) == (array.dtype, array.tolist())


@pytest.mark.parametrize("kind", ["48", "2,3", "O", "|O8", "<U9", "V8", "", "f8,f8", "(2,)f8", "<f16"])
def test_other_types_are_refused(kind: str) -> None:
    """Before numpy parses them: of some it makes objects of the bytes, others it compiles."""
    holder = Holder(None)

    with pytest.raises(ValueError, match="no type of numbers"):
        holder.__setstate__({"array": ("array", kind, (1,), bytes(16))})
