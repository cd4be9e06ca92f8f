"""What is evicted stays in the sums, and what is kept for it is bounded."""

from __future__ import annotations

import orjson
import pytest

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.core.detector import Detector, Settings
from stream_app.core.units import DAY_MS
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

EVENTS = [decode(orjson.dumps(event)) for event in Fleet(FleetOptions(pipelines=3, days=45, seed=3)).events()]


def followed(retention_days: int) -> FleetAnalysis:
    options = Settings(horizon_ms=5 * DAY_MS, lateness_ms=2 * DAY_MS, retention_ms=retention_days * DAY_MS)
    detector, analysis = Detector(options), FleetAnalysis()
    detector.follow(analysis)
    for event in EVENTS:
        detector.step(event)
    detector.settle_last()
    return analysis


@pytest.mark.slow
def test_sums_are_as_if_nothing_had_been_evicted() -> None:
    """But for the price of a push: a span read again after a graphlet was closed is shared by more than was known."""
    short, whole = followed(8).pipelines(), followed(400).pipelines()

    for name, each in whole.items():
        own = short[name]
        assert own.cells.keys() == each.cells.keys()
        for key, cell in each.cells.items():
            assert _without_prices(own.cells[key]) == _without_prices(cell), (name, key)
            price, expected = own.cells[key].counters.get("push_ms", 0), cell.counters.get("push_ms", 0)
            assert expected <= price <= 1.01 * expected
        assert own.since.tries == each.since.tries
        assert len(own.order.graphlets) < 0.7 * len(each.order.graphlets)


def _without_prices(cell: Cell) -> tuple[dict[str, int], dict[str, dict[int, int]]]:
    counters = {name: amount for name, amount in cell.counters.items() if name != "push_ms"}
    return counters, {name: buckets for name, buckets in cell.measures.items() if name != "push_node_ms"}
