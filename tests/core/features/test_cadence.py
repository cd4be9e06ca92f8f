"""A pipeline's own rhythm, and how much better its model measures, on scales that all pipelines share."""

from __future__ import annotations

import math

import pytest

from stream_app.core.features.cadence import cadence_features, hazard, share_over, weekday
from stream_app.core.features.improvement import direction, improvement_features
from stream_app.core.state.history import History, Snapshot, Spread
from stream_app.core.units import DAY_MS, HOUR_MS

#: 2026-01-05 00:00 UTC.
MONDAY_MS = 1_767_571_200_000


def rhythm(history: History, now_ms: int) -> dict[str, float]:
    found: dict[str, float] = {}
    cadence_features(found, history, "now", now_ms)
    return found


def every_third_day(pushes: int = 8) -> History:
    """A pipeline that pushed every third day at midnight, at each fifth run."""
    push_ms = [MONDAY_MS + 3 * n * DAY_MS for n in range(pushes)]
    return History(
        labelled=5 * pushes,
        pushes=pushes,
        push_ms=push_ms,
        starts_between=[5] * pushes,
        start_gap=Spread(40, 14.4 * HOUR_MS),
    )


def test_monday_is_the_first_day_of_the_week() -> None:
    """And Saturday is the first of the weekend."""
    assert [weekday(MONDAY_MS + n * DAY_MS) for n in range(8)] == [0, 1, 2, 3, 4, 5, 6, 0]
    assert rhythm(History(), MONDAY_MS + 5 * DAY_MS)["weekend"] == 1.0
    assert rhythm(History(), MONDAY_MS - 1)["weekend"] == 1.0
    assert rhythm(History(), MONDAY_MS + 5 * DAY_MS - 1)["weekend"] == 0.0


def test_a_push_is_likely_when_it_always_came_after_as_many_runs() -> None:
    """The run that follows four since the push, where the fifth was always pushed."""
    history = every_third_day()
    now_ms = history.push_ms[-1] + 3 * DAY_MS
    history.starts_since = 4
    due = rhythm(history, now_ms)
    history.starts_since = 1
    early = rhythm(history, now_ms)

    assert due["hazard_runs"] > 2.0 > -1.0 > early["hazard_runs"]
    assert due["due_runs"] > 0.9 > 0.1 > early["due_runs"]
    assert due["runs_to_least"] == 0.0
    assert due["irregular_runs"] == due["irregular_time"] == 0.0


def test_a_push_is_likely_when_it_always_came_after_as_much_time() -> None:
    """Three days after the last push, and not one."""
    history = every_third_day()
    due, early = (rhythm(history, history.push_ms[-1] + days * DAY_MS) for days in (3, 1))

    assert due["hazard_time"] > 2.0 > -1.0 > early["hazard_time"]
    assert due["due_time"] > 0.9 > 0.1 > early["due_time"]


def test_a_run_is_counted_once_whether_or_not_it_was_seen_to_begin() -> None:
    """A run asked about for the first time is the next; asked about again, it is counted already."""
    history = every_third_day()
    history.starts_since = 2
    first = rhythm(history, MONDAY_MS + 30 * DAY_MS)
    history.starts_since = 3
    history.started.append(Snapshot("now"))

    assert rhythm(history, MONDAY_MS + 30 * DAY_MS) == first


def test_pushes_on_workdays_alone_say_so_at_a_weekend() -> None:
    """Twenty pushes, none on a Saturday or Sunday."""
    history = History(labelled=40, pushes=20, push_ms=[MONDAY_MS + (n % 5 + n // 5 * 7) * DAY_MS for n in range(20)])
    monday, saturday = (rhythm(history, MONDAY_MS + days * DAY_MS)["push_days"] for days in (28, 33))

    assert saturday < -1.5 < 0.0 < monday


def test_the_hazard_is_the_share_that_ended_among_those_that_lasted_as_long() -> None:
    """Drawn to the past rate, which alone decides where no interval lasted as long."""
    assert hazard([2, 5, 5, 9], 5, 0, 0.5) == pytest.approx(math.log(2.5 / 1.5))
    assert hazard([2, 5, 5, 9], 20, 0, 0.2) == pytest.approx(math.log(0.2 / 0.8))
    assert share_over([2, 5, 5, 9], 5) == 3.5 / 5


def test_a_gain_is_a_gain_whichever_way_the_metric_turns() -> None:
    """A loss that fell by two spreads is worth an accuracy that rose by two."""
    found: list[dict[str, float]] = []
    for metric, pushed, mine in (("accuracy", 0.5, 0.7), ("log_loss", 0.7, 0.5)):
        key = f"validate.{metric}"
        numbers = {key: mine, f"validate.baseline_{metric}": pushed}
        spread = Spread(count=10, mean=0.6, variance=0.01)
        history = History(last_pushed=Snapshot(numbers={key: pushed}), numbers={key: spread})
        found.append({})
        improvement_features(found[-1], history, numbers)

    assert found[0] == pytest.approx(found[1])
    assert found[0]["gain.validate.pushed"] == pytest.approx(2.0, abs=1e-3)
    assert found[0]["gain.validate.baseline"] == pytest.approx(2.0, abs=1e-3)


def test_a_number_whose_name_does_not_say_which_way_is_better_is_no_gain() -> None:
    """Nor is what is no metric at all."""
    assert [direction(name) for name in ("steps", "examples", "span", "baseline_auc")] == [0] * 4
