"""A canary against its control: known effects are found, and none where there is none."""

from __future__ import annotations

import dataclasses
import functools

import pytest

from stream_app.analysis.canary import control_of, measure
from stream_app.analysis.fleet.figures import pipeline_figures
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.snapshot import snapshot_of
from stream_app.analysis.fleet.values import PipelineFigures, WeekFigures
from stream_app.core.detector import Detector, Settings
from stream_app.errors import OptionsError
from stream_app.figures.rollout_wording import canary_lines
from tests.support.builders import ran

MONDAYS = ("2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02", "2026-02-09")


def pipeline(
    name: str, hours: tuple[float, ...] = (), pushed: tuple[int, ...] = (), **changes: object
) -> PipelineFigures:
    """A pipeline with node-hours and pushes by week."""
    some = example()
    weeks = [
        WeekFigures(start, True, 1, 1, pushes, None, 3600 * each, None, None, 7, {})
        for start, each, pushes in zip(MONDAYS, hours, pushed or (1,) * len(hours), strict=False)
    ]
    return dataclasses.replace(some, pipeline=name, weeks=weeks, **changes)  # type: ignore[arg-type]


@functools.cache
def example() -> PipelineFigures:
    """A pipeline that trained once."""
    detector, analysis = Detector(Settings()), FleetAnalysis()
    detector.follow(analysis)
    for event in ran(0, "t", "Trainer"):
        detector.step(event)
    (known,) = analysis.pipelines().values()
    return pipeline_figures(snapshot_of(known), "", priced=False)


def test_the_effect_is_the_change_against_that_of_the_control() -> None:
    """By hand: the canary fell from 10 to 4, the control rose by a half (median), so 4/10 / 1.5 is left."""
    fleet = [
        pipeline("canary", (10, 10, 9, 4, 4), (2, 2, 1, 1, 1)),
        pipeline("a", (10, 10, 9, 15, 15), (2, 2, 2, 2, 2)),
        pipeline("b", (20, 20, 9, 30, 30), (4, 4, 4, 4, 4)),
        pipeline("c", (5, 5, 9, 50, 50), (1, 1, 1, 1, 1)),
    ]
    found = measure(fleet, "canary", "2026-01-21", ["a", "b", "c"])

    assert found.saved_share == pytest.approx(1 - 0.4 / 1.5)
    assert found.pushes_share == pytest.approx(0.5)
    assert (found.weeks_before, found.weeks_after) == (2, 2)
    first = next(iter(canary_lines(found)))
    assert first == "canary since 2026-01-21: 73.3 % of its compute saved, 50.0 % of its pushes kept"


def test_a_monday_counts_as_after() -> None:
    fleet = [pipeline(name, (1, 1, 2, 2)) for name in ("canary", "a")]

    assert measure(fleet, "canary", "2026-01-19", ["a"]).canary.cost_ratio == 2


def test_weeks_that_are_not_whole_do_not_count() -> None:
    partial = pipeline("canary", (1, 1, 2, 2))
    partial.weeks[-1] = dataclasses.replace(partial.weeks[-1], whole=False)
    control = pipeline("a", (1, 1, 2))

    with pytest.raises(OptionsError, match="whole weeks after 2026-01-19: 1; at least 2 are needed"):
        measure([partial, control], "canary", "2026-01-19", ["a"])


@pytest.mark.parametrize(
    ("name", "control", "says"),
    [
        ("nobody", ["a"], "there is no pipeline 'nobody'"),
        ("canary", ["nobody"], "'nobody'"),
        ("canary", [], "like 'canary'"),
    ],
)
def test_what_cannot_be_compared_is_told(name: str, control: list[str], says: str) -> None:
    fleet = [pipeline(each, (1, 1, 1, 1)) for each in ("canary", "a")]

    with pytest.raises(OptionsError, match=says):
        measure(fleet, name, "2026-01-19", control)


def test_without_a_push_before_nothing_is_said_of_pushes() -> None:
    fleet = [pipeline("canary", (1, 1, 1, 1), (0, 0, 0, 0)), pipeline("a", (1, 1, 1, 1))]

    assert measure(fleet, "canary", "2026-01-19", ["a"]).pushes_share is None


def test_the_control_is_alike() -> None:
    """By compute and trainings; the canary itself and what is acted on are no control."""
    rates = {"canary": 4.0, "far": 400.0, "near": 5.0, "nearer": 4.0, "other": 4.0}
    fleet = [pipeline(name, trainings_a_day=rate) for name, rate in rates.items()]

    assert control_of(fleet, "canary", ["other"])[:3] == ["nearer", "near", "far"]
    with pytest.raises(OptionsError, match="there is no pipeline 'nobody'"):
        control_of(fleet, "nobody")
