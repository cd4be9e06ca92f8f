"""Hundreds of histories of owners that begin, go on without knowing, and die, drawn from their seeds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kafka.state.simulation import INPUT, run


@pytest.mark.parametrize("hundred", range(4))
def test_every_record_counts_once_and_every_output_is_sent(hundred: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is delivered when, and whoever dies where; an output that is sent again is the same."""
    seen: Counter[str] = Counter()
    for seed in range(100 * hundred, 100 * hundred + 100):
        world = run(seed, monkeypatch)
        seen["repeated"] += len(world.outputs) == INPUT
        seen["longer logs"] += len(world.changelog) > INPUT

    assert seen["longer logs"] > 50
