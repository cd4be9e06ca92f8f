"""What a user may choose of a fleet, and what that does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError
from stream_app.simulator import Fleet, FleetOptions, summarise
from stream_app.simulator.hidden import Rules
from stream_app.simulator.traits import draw_traits
from tests.simulator.recorded_fleet import Json, time_ms


def truth(**options: Any) -> list[Json]:
    fleet = Fleet(FleetOptions(**options))
    for _ in fleet.events():
        pass
    return list(fleet.truth())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pipelines": 0},
        {"days": 0.0},
        {"days": float("nan")},
        {"runs_per_day": -1.0},
        {"push_scale": float("inf")},
        {"regime_change_day": -1.0},
        {"start": datetime(2026, 1, 1)},
    ],
)
def test_values_that_make_no_fleet_are_the_users_error(wrong: dict[str, Any]) -> None:
    """The error names what to change."""
    with pytest.raises(OptionsError, match=next(iter(wrong)).replace("pipelines", "pipeline")):
        FleetOptions(**wrong)


def test_a_fleet_starts_when_it_is_told_to() -> None:
    """No event is older than the start."""
    start = datetime(2030, 5, 5, 12, tzinfo=UTC)
    times = [time_ms(e) for e in Fleet(FleetOptions(pipelines=5, days=2.0, start=start)).events()]

    assert min(times) >= start.timestamp() * 1000


@pytest.mark.slow
def test_the_push_scale_reaches_one_percent() -> None:
    """At 0.1 about 1 % of the models are pushed."""
    assert 0.004 <= summarise(truth(days=2.5, push_scale=0.1)).pushed_share <= 0.02


def test_a_fleet_of_many_tiny_pipelines() -> None:
    """Few runs a day make many pipelines of a handful of runs each."""
    rows = truth(pipelines=300, days=20.0, runs_per_day=0.1)
    runs = {row["run"] for row in rows}

    assert len({row["pipeline"] for row in rows}) > 150
    assert len(runs) < 4 * 300


@pytest.mark.slow
def test_a_regime_change_leaves_the_past_alone_and_makes_pushes_rarer() -> None:
    """Up to its day the fleet is the same; after it fewer models are pushed."""
    changed = Fleet(FleetOptions(pipelines=40, days=8.0, seed=6, regime_change_day=3.0))
    usual = Fleet(FleetOptions(pipelines=40, days=8.0, seed=6))
    day_ms = changed.options.start_ms + 3 * DAY_MS
    before = [[e for e in fleet.events() if time_ms(e) < day_ms] for fleet in (changed, usual)]

    assert before[0] == before[1]
    assert summarise(changed.truth()).pushed < 0.8 * summarise(usual.truth()).pushed


def test_policies_change_and_pushes_freeze_without_a_fleet_wide_change() -> None:
    """In a year most pipelines change their release policy on their own, and all freeze pushes for some days."""
    options = FleetOptions(days=365.0)
    changed = frozen_days = 0
    for index in range(30):
        rules = Rules(options, draw_traits(options, index))
        first = rules.policy
        for day in range(365):
            rules.advance(options.start_ms + day * DAY_MS)
            frozen_days += rules.frozen
        changed += rules.policy != first

    assert changed >= 20
    assert 0.02 <= frozen_days / (30 * 365) <= 0.15
