"""A canary in a simulated fleet: what stopping runs of one pipeline saved is known, and found again."""

from __future__ import annotations

import functools
from collections.abc import Callable

import orjson
import pytest

from stream_app.analysis.canary import control_of, measure
from stream_app.analysis.fleet.figures import pipeline_figures
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.snapshot import snapshot_of
from stream_app.analysis.fleet.values import PipelineFigures
from stream_app.core.detector import Detector, Settings
from stream_app.core.units import DAY_MS
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

DAYS, SINCE_DAYS, SINCE = 35, 18, "2026-01-19"


@functools.cache
def figures_of_a_fleet(canary: str | None = None) -> list[PipelineFigures]:
    """The figures of six pipelines, in one of which every run is stopped from a day on when it begins to train."""
    detector, analysis = Detector(Settings()), FleetAnalysis()
    detector.follow(analysis)
    fleet = Fleet(FleetOptions(pipelines=6, days=DAYS, seed=2, runs_per_day=2.0))
    begun: set[str] = set()
    first_ms: list[int] = []

    def prune(pipeline: str, run: str) -> str | None:
        late = detector.pipelines[pipeline].clock.now_ms - first_ms[0] > SINCE_DAYS * DAY_MS
        return f"{pipeline}/{run}#1" if pipeline == canary and late and run in begun else None

    hook: Callable[[str, str], str | None] | None = prune if canary is not None else None
    for document in fleet.events(hook) if hook is not None else fleet.events():
        event = decode(orjson.dumps(document))
        first_ms[:] = first_ms or [event.time_ms]
        detector.step(event)
        if event.execution_type == "Trainer" and event.run is not None:
            begun.add(event.run)
    return [pipeline_figures(snapshot_of(each), "", priced=False) for each in analysis.pipelines().values()]


@pytest.mark.slow
def test_what_it_saved_is_found_again() -> None:
    """Against the same fleet without the canary, which nobody has in real life."""
    before = figures_of_a_fleet()
    canary = max(before, key=lambda each: each.totals.node_seconds or 0.0).pipeline
    after = figures_of_a_fleet(canary)
    control = control_of(before, canary)
    found = measure(after, canary, SINCE, control)
    without = measure(before, canary, SINCE, control)
    truth = 1 - found.canary.node_seconds_after / without.canary.node_seconds_after

    assert truth > 0.4
    assert found.saved_share is not None
    assert abs(found.saved_share - truth) < 0.3
    assert found.control == without.control  # other pipelines live on as they would have
