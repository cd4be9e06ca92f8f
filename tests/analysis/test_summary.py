"""The summary: what is recommended follows from the figures, and the weeks add up to the ledger."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

import orjson
import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.budgets import BudgetFigures, Tradeoff
from stream_app.analysis.figures import Figures
from stream_app.analysis.intervals import Estimate
from stream_app.analysis.rates import Rates
from stream_app.analysis.summary import FINDINGS_MAX, WEEKS_MAX, Act, Because, FindingLine, recommend, top
from stream_app.core.detector import Settings
from stream_app.core.events import Event
from stream_app.core.learning.learner import Learner
from stream_app.core.units import DAY_MS
from stream_app.replay.replay import Replay
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from tests.support.builders import happened
from tests.support.recorded import SETTINGS, fleet_lines

#: Minutes of a week. The builders' time 0 is a Tuesday, so a week later is the next week.
WEEK = 7 * 24 * 60


def found_in(events: Iterable[Event], rates: Rates | None = None, settings: Settings | None = None) -> Figures:
    """The figures of some events, without predictions."""
    replay = Replay(settings or Settings(), None, SinkWriter(Sinks()), Attribution(rates))
    for each in events:
        replay.step(each)
    return replay.finish()


@functools.cache
def predicted() -> Figures:
    """The figures of the recorded fleet."""
    replay = Replay(SETTINGS, Learner(SETTINGS.policy.budgets), SinkWriter(Sinks()))
    for line in fleet_lines():
        replay.step(decode(line))
    replay.settle_last()
    return replay.finish()


def failed(minute: float, name: str, hours: int = 1, pipeline: str = "p") -> list[Event]:
    """A training that failed after some hours."""
    return [
        happened(minute, name, "Trainer", "RUNNING", run=name, pipeline=pipeline),
        happened(minute + 60 * hours, name, "Trainer", "FAILED", run=name, pipeline=pipeline),
    ]


# Findings


def test_the_findings_with_the_most_money_come_first() -> None:
    """Three of them; without a rate card those with the most node-hours."""
    lines = [FindingLine(f"f{n}", "p", 10.0 - n, float(n), "act") for n in range(5)]
    without = [dataclasses.replace(each, money=None) for each in lines]

    assert [each.name for each in top(lines)] == ["f4", "f3", "f2"]
    assert [each.name for each in top(without)] == ["f0", "f1", "f2"]
    assert (top([]), FINDINGS_MAX) == ([], 3)


# Recommendation


def evidence(**changes: object) -> Tradeoff:
    """Figures in which the budget in force speaks for stopping runs, but for the changes."""
    tradeoff = predicted().tradeoff
    figures: BudgetFigures = next(each for each in tradeoff.budgets if each.in_force)
    good: dict[str, object] = {
        "missing_pushes": 0, "stopped": False, "saved": 3600.0, "avoided": Estimate(0.3, 0.2, 0.4),
        "missed": Estimate(0.1, 0.05, 0.15), "by_past_rate": Estimate(0.1, 0.05, 0.2),
    }  # fmt: skip
    return dataclasses.replace(tradeoff, budgets=[dataclasses.replace(figures, **{**good, **changes})])  # type: ignore[arg-type]


def test_runs_should_be_stopped_where_everything_speaks_for_it() -> None:
    """It saves for sure, keeps the budget and beats the plain rule; where it is done already, it goes on."""
    assert recommend(evidence(), predicted=True, enforced=False).act == Act.ENFORCE
    assert recommend(evidence(), predicted=True, enforced=True).act == Act.GO_ON


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"stopped": True}, Because.STOPPED),
        ({"saved": 0.0}, Because.SAVES_NOTHING),
        ({"avoided": Estimate(None)}, Because.SAVES_NOTHING),
        ({"avoided": Estimate(0.3, 0.0, 0.4)}, Because.SAVES_NOTHING),
        ({"avoided": Estimate(0.3)}, Because.FEW_PIPELINES),
        ({"missed": Estimate(0.3, 0.25, 0.4)}, Because.OVER_BUDGET),
        ({"by_past_rate": Estimate(0.31, 0.1, 0.4)}, Because.PAST_RATE),
    ],
)
def test_one_objection_is_enough_to_stop_nothing(changes: dict[str, object], because: Because) -> None:
    """The first that holds is named."""
    found = recommend(evidence(**changes), predicted=True, enforced=False)

    assert (found.act, found.because) == (Act.OBSERVE, because)


def test_what_is_missing_is_recommended_first() -> None:
    """Predictions, then pushes."""
    assert recommend(evidence(missing_pushes=3), predicted=True, enforced=False).act == Act.WAIT
    assert recommend(evidence(missing_pushes=3), predicted=False, enforced=False).act == Act.PREDICT


def test_missing_pushes_take_as_long_as_those_before_took() -> None:
    """Labelled pushes over the days of the events; without a push there is no rate."""
    found = predicted()
    scarce = next(each for each in found.tradeoff.budgets if each.missing_pushes)

    assert scarce.missing_days == pytest.approx(scarce.missing_pushes * found.days / scarce.pushes)
    assert all(each.missing_days is None for each in found.tradeoff.budgets if not each.missing_pushes)
    assert all(each.missing_days is None for each in found_in(failed(0, "a")).tradeoff.budgets)


# Weeks


def test_a_graphlet_is_in_the_week_in_which_its_training_began() -> None:
    """Also what it did before and after; the last week is not covered, nor is the first."""
    events = [
        happened(WEEK - 2 * 1440 + 1000, "gen", "ExampleGen", "RUNNING", run="r"),
        happened(WEEK - 2 * 1440 + 1060, "gen", "ExampleGen", "COMPLETE", run="r", writes=["x"]),
        happened(WEEK, "t", "Trainer", "RUNNING", run="r", reads=["x"]),
        happened(WEEK + 120, "t", "Trainer", "FAILED", run="r"),
        *failed(0, "before", 5),
        *failed(2 * WEEK, "after", 7),
    ]

    weeks = found_in(events).summary.weeks

    assert [(each.start, each.wasted / 3600) for each in weeks] == [
        ("2023-11-13", 5.0),
        ("2023-11-20", 3.0),
        ("2023-11-27", 7.0),
    ]
    assert [each.whole for each in weeks] == [False, True, False]


@pytest.mark.parametrize("retention", [2, 60])
def test_the_weeks_add_up_to_the_ledger(retention: int) -> None:
    """Every execution once, in compute and in money, also when most of them were evicted."""
    events = [decode(orjson.dumps(each)) for each in Fleet(FleetOptions(pipelines=3, days=20, seed=6)).events()]
    settings = Settings(horizon_ms=2 * DAY_MS, retention_ms=retention * DAY_MS, lateness_ms=DAY_MS)

    found = found_in(events, Rates(1.0, "EUR", {"group": {"train": 7.0}}), settings)

    weeks, money = found.summary.weeks, found.money
    assert money is not None
    assert len(weeks) == 4
    assert sum(each.spent for each in weeks) == pytest.approx(found.compute.total)
    assert sum(each.wasted for each in weeks) == pytest.approx(found.compute.wasted)
    assert sum(each.pending for each in weeks) == pytest.approx(found.compute.pending)
    assert sum(each.spent_money or 0 for each in weeks) == pytest.approx(money.total)
    assert sum(each.wasted_money or 0 for each in weeks) == pytest.approx(money.wasted)
    assert found.summary.other_weeks is None


def test_weeks_without_compute_are_listed_and_old_ones_are_summed_up() -> None:
    """No gaps, and never more weeks than a person reads."""
    gap = found_in([*failed(0, "a"), *failed(3 * WEEK, "b")]).summary.weeks
    long = found_in([each for week in range(40) for each in failed(week * WEEK, f"t{week}")]).summary

    assert [each.spent / 3600 for each in gap] == [1.0, 0.0, 0.0, 1.0]
    assert (len(long.weeks), long.weeks[-1].spent) == (WEEKS_MAX, 3600.0)
    assert long.other_weeks is not None
    assert long.other_weeks.spent == (40 - WEEKS_MAX) * 3600.0


def test_no_events_have_no_weeks() -> None:
    """Nor does what cost nothing break a share."""
    found = found_in([])

    assert (found.summary.weeks, found.summary.other_weeks, found.summary.spent) == ([], None, 0)
