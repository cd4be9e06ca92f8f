"""Drawings: what is in them, and that nothing is drawn of nothing."""

from __future__ import annotations

import functools
import re

import pytest

from stream_app.analysis.budgets import BudgetFigures, Tradeoff
from stream_app.analysis.cadence import Cadence
from stream_app.analysis.intervals import Estimate
from stream_app.analysis.past_rate import RatePoint
from stream_app.analysis.summary import Week
from stream_app.analysis.waste import Compute
from stream_app.figures.charts import (
    NOTHING,
    cadence_chart,
    calibration_chart,
    compute_bar,
    flag_chart,
    rate_curve,
    stage_chart,
    tradeoff_chart,
    trend_chart,
)
from stream_app.figures.svg import Scale

CADENCE = Cadence(5, 1, 0, 1.0, 1.1, 1.2, 1.0, 1.5, 2.0)


def budget(missed: float, avoided: float, cadence: Cadence = CADENCE, missing: int = 0) -> BudgetFigures:
    """A budget that has flags."""
    return BudgetFigures(
        budget=0.05, in_force=True, missing_pushes=missing, missing_days=None, ready=None, stopped=False, saved=1.0,
        harmed=0.0, undecided=0.0, avoided=Estimate(avoided), of_hindsight=Estimate(avoided), pushes=100,
        pushes_flagged=round(100 * missed), missed=Estimate(missed), by_past_rate=Estimate(0.123), cadence=cadence,
    )  # fmt: skip


def tradeoff(each: BudgetFigures) -> Tradeoff:
    """One budget beside a rule with two thresholds."""
    points = [RatePoint(0.1, 0.02, 0.1), RatePoint(0.2, 0.5, 0.6)]
    return Tradeoff(Estimate(0.8), 1.0, Estimate(0.9), [each], points, [])


week = functools.partial(Week, start="2026-03-02", whole=True, pending=0.0)


@pytest.mark.parametrize(
    "drawn",
    [
        compute_bar(Compute(0, 0, 0, 0, 0, 0, 0)),
        trend_chart([]),
        trend_chart([week(spent=9.0, wasted=1.0)]),
        trend_chart([week(spent=9.0, wasted=1.0), week(spent=0.0, wasted=0.0)]),
        tradeoff_chart(tradeoff(budget(0.1, 0.2, missing=3))),
        tradeoff_chart(tradeoff(budget(0.0, 0.0))),
        cadence_chart(tradeoff(budget(0.1, 0.2, missing=3))),
        cadence_chart(tradeoff(budget(0.1, 0.2, Cadence(0, 0, 0)))),
        cadence_chart(tradeoff(budget(0.1, 0.2, Cadence(5, 0, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)))),
        stage_chart([]),
        calibration_chart([]),
        flag_chart([]),
    ],
)
def test_nothing_is_drawn_of_nothing(drawn: str) -> None:
    """An empty chart tells a reader that something is broken."""
    assert drawn == NOTHING
    assert not drawn


def test_the_rule_by_past_push_rate_stands_beside_the_budgets() -> None:
    """As a line with a name, and in the description for those who do not see it."""
    drawn = tradeoff_chart(tradeoff(budget(0.1, 0.2)))

    assert 'class="rate"' in drawn
    assert all(name in drawn for name in (">flags, by budget<", ">past push rate<", ">at random<"))
    assert "by past push rate 12.3 % at as many pushes flagged" in drawn


def test_the_rules_line_ends_at_the_edge_of_the_drawing() -> None:
    """Between two thresholds it is straight, and what is beyond the axis is cut off there."""
    x, y = Scale(0, 0.1, 0, 100), Scale(0, 1, 100, 0)

    drawn = rate_curve([RatePoint(0.1, 0.02, 0.1), RatePoint(0.2, 0.18, 0.5), RatePoint(0.3, 0.9, 0.9)], x, y)

    (points,) = re.findall(r'points="([^"]+)"', drawn)
    assert points == "0.0,100.0 20.0,90.0 100.0,70.0"


def test_a_wait_without_an_end_is_drawn_to_the_end() -> None:
    """And named, instead of a mark at the longest wait that ends."""
    ends = cadence_chart(tradeoff(budget(0.1, 0.2)))
    never = cadence_chart(tradeoff(budget(0.1, 0.2, Cadence(5, 1, 1, 1.0, 1.1, 1.2, 1.0, 1.5, 2.0))))

    assert ("never" in ends, "never" in never) == (False, True)
    assert "the worst pipeline: 2.00x" in ends
    assert "the worst pipeline" not in never


def test_weeks_are_columns_of_what_was_wasted_and_spent() -> None:
    """As high as what was spent; those that the events do not cover are paler."""
    weeks = [week(spent=36_000.0, wasted=18_000.0, pending=9000.0), week(spent=72_000.0, wasted=0.0, whole=False)]

    drawn = trend_chart(weeks)

    heights = {look: float(height) for height, look in re.findall(r'height="([\d.]+)" class="(\w+(?: part)?)">', drawn)}
    assert heights["bad"] == 2 * heights["quiet"] == 2 * heights["good"] > 0
    assert heights["good part"] == pytest.approx(8 * heights["good"])
    assert "week of 2 Mar: 5 node-hours wasted" in drawn
