"""Whatever the order, number and interruptions of events, the sums are those of a batch recompute."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.sketch import bucket_of
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from tests.analysis.fleet.oracle import sums
from tests.support.arrivals import any_arrival
from tests.support.builders import MINUTE, ran
from tests.support.worlds import HORIZONS, LOST, OPERATORS, logs

#: The profile `deep` takes many more.
MORE = settings().max_examples // 100
HORIZON_MS = st.sampled_from(HORIZONS).map(lambda minutes: minutes * MINUTE)
LOST_MS = st.sampled_from(LOST).map(lambda minutes: minutes * MINUTE)
Cells = dict[str, dict[tuple[int, str], Cell]]


def _settings(horizon_ms: int, lost_ms: int) -> Settings:
    return Settings(operators=OPERATORS, horizon_ms=horizon_ms, lost_ms=lost_ms)


def followed(options: Settings, arrived: Iterable[Event], asked: set[int]) -> tuple[Detector, FleetAnalysis]:
    """A detector and its analysis, asked for figures after some of the events."""
    detector, analysis = Detector(options), FleetAnalysis(OPERATORS.nodes)
    detector.follow(analysis)
    for number, event in enumerate(arrived):
        detector.step(event)
        if number in asked:
            analysis.pipelines()
    return detector, analysis


def cells_of(analysis: FleetAnalysis) -> Cells:
    return {name: each.cells for name, each in analysis.pipelines().items()}


@pytest.mark.slow
@settings(max_examples=150 * MORE)
@given(data=st.data(), horizon_ms=HORIZON_MS, lost_ms=LOST_MS)
def test_the_sums_are_those_of_a_batch_recompute(data: st.DataObject, horizon_ms: int, lost_ms: int) -> None:
    """In any order, however often figures are asked for in between."""
    events = data.draw(logs(), label="log")
    arrived = data.draw(any_arrival(events), label="arrived")
    asked = data.draw(st.sets(st.integers(0, len(arrived) - 1)), label="asked after")
    detector, analysis = followed(_settings(horizon_ms, lost_ms), arrived, asked)

    for name, cells in cells_of(analysis).items():
        own = [event for event in events if event.pipeline == name]
        now = detector.pipelines[name].clock.now_ms
        counters, measures = sums(own, operators=OPERATORS, now=now, horizon_ms=horizon_ms, lost_ms=lost_ms)
        assert {key: cell.counters for key, cell in cells.items() if cell.counters} == counters
        found = {key: cell.measures for key, cell in cells.items() if cell.measures}
        assert found == {key: {name: _buckets(values) for name, values in own.items()} for key, own in measures.items()}


def _buckets(values: list[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for value in values:
        found[bucket_of(value)] = found.get(bucket_of(value), 0) + 1
    return found


@pytest.mark.slow
@settings(max_examples=60 * MORE)
@given(data=st.data(), horizon_ms=HORIZON_MS, lost_ms=LOST_MS)
def test_one_that_begins_late_has_the_same_sums(data: st.DataObject, horizon_ms: int, lost_ms: int) -> None:
    """As after a restart: it takes in at once what the detector has."""
    events = data.draw(logs(), label="log")
    arrived = data.draw(any_arrival(events), label="arrived")
    options = _settings(horizon_ms, lost_ms)
    detector, analysis = followed(options, arrived, set(range(0, len(arrived), 3)))
    rows = Detector(options, keep_rows=True)
    for event in arrived:
        rows.step(event)
    loaded = Detector.load(options, {key: row for key, row in rows.take_rows() if row is not None})
    late = FleetAnalysis(OPERATORS.nodes)
    loaded.follow(late)

    assert cells_of(late) == cells_of(analysis)
    assert {name: each.since for name, each in late.pipelines().items()} == {
        name: each.since for name, each in analysis.pipelines().items()
    }
    assert detector.pipelines.keys() == loaded.pipelines.keys()


def test_a_training_whose_model_is_known_late_makes_others_warm_starts() -> None:
    """Its event comes after figures were asked for, and it is no member of the graphlet that starts from its model."""
    reader = ran(10, "t1", "Trainer", run="r1", reads=["m0"], writes=["m1"])
    writer = ran(0, "t0", "Trainer", run="r0", writes=["m0"])
    _, analysis = followed(Settings(), [*reader, *writer], {0, 1, 2, 3})
    (found,) = (graphlet for graphlet in analysis.pipelines()["p"].order if graphlet.trainer == "t1")

    assert found.warm
    assert found.inputs == ()
