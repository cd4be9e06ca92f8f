"""What features are cached in takes little memory, however long a worker runs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.core.features.cadence import irregularity
from stream_app.core.features.extraction import in_order

MIB = 1 << 20
NAMES = [f"feature.{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("cached", "argument"),
    [
        (in_order, lambda number: (*NAMES[:150], NAMES[150 + number % 50], f"seldom.{number}")),
        (irregularity, lambda number: tuple(range(number, number + 64))),
    ],
)
def test_a_cache_is_small_after_many_different_arguments(cached: Any, argument: Callable[[int], Any]) -> None:
    """Graphlets have ever new sets of features, and pipelines ever new intervals."""
    cached.cache_clear()
    tracemalloc.start()
    try:
        for number in range(12_000):
            cached(argument(number))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        cached.cache_clear()

    assert held < 3 * MIB
