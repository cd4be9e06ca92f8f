"""Thresholds spend a budget of pushes flagged, family-wise over stages, and watch that it is kept."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.learning.calibration import WINDOW, PushCalibration

BUDGETS = (0.01, 0.02, 0.05, 0.10)
STAGES = ("input", "preprocess", "train")


def filled(scores: list[dict[str, float]], budgets: tuple[float, ...] = BUDGETS) -> PushCalibration:
    """A calibration that has seen pushes with these scores, all stages spending."""
    calibration = PushCalibration(budgets)
    for number, each in enumerate(scores):
        calibration.add(str(number), each, (), 1.0, STAGES)
    return calibration


def draw_scores(draw: random.Random) -> dict[str, float]:
    """Scores of a push at three stages: related, and at some stages the guards forbid a flag."""
    common = draw.gauss(0.0, 1.0)
    return {stage: math.exp(common + draw.gauss(0.0, 0.7)) for stage in STAGES if draw.random() < 0.8}


def is_flagged(calibration: PushCalibration, scores: dict[str, float], budget: float) -> bool:
    """Whether any stage flags a push with these scores."""
    limit = calibration.threshold(budget)
    return limit is not None and any(score < limit for score in scores.values())


@pytest.mark.parametrize(("budget", "pushes"), [(0.005, 199), (0.01, 99), (0.05, 19), (0.2, 4), (0.03, 33)])
def test_no_thresholds_before_there_are_enough_pushes(budget: float, pushes: int) -> None:
    """One over the budget, less one: with fewer pushes not even the smallest score is safe to flag below."""
    calibration = PushCalibration((budget,))
    for number in range(pushes):
        assert calibration.pushes_missing(budget) == pushes - number
        assert calibration.threshold(budget) is None

        calibration.add(str(number), {"input": float(number + 1)}, (), 1.0, STAGES)

    assert calibration.pushes_missing(budget) == 0
    assert calibration.threshold(budget) is not None


def test_the_first_threshold_is_the_smallest_score() -> None:
    """With the fewest pushes that allow a budget, a flag is due only below every push seen."""
    calibration = filled([{"input": float(score)} for score in range(19, 0, -1)], (0.05,))

    assert calibration.threshold(0.05) == 1.0
    assert calibration.lowest_push_score() == 1.0


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_share_of_exchangeable_pushes_flagged_keeps_to_the_budget(budget: float) -> None:
    """Over many pushes flagged by the thresholds of their time, at any stage, the share is the budget at most."""
    draw = random.Random(7)
    calibration, flagged, asked = PushCalibration((budget,)), 0, 0
    for number in range(4000):
        scores = draw_scores(draw)
        if not calibration.pushes_missing(budget):
            asked += 1
            flagged += is_flagged(calibration, scores, budget)
        calibration.add(str(number), scores, (), 1.0, STAGES)
    error = math.sqrt(budget * (1 - budget) / asked)

    assert flagged / asked <= budget + 2 * error
    assert flagged / asked >= 0.5 * budget


def test_weights_keep_the_bound_where_flagged_pushes_rarely_run() -> None:
    """When four of five flagged runs are pruned, those left to run count fivefold and the bound still holds."""
    draw = random.Random(11)
    calibration, flagged, asked, budget = PushCalibration((0.05,)), 0, 0, 0.05
    for number in range(8000):
        scores = draw_scores(draw)
        hit = is_flagged(calibration, scores, budget)
        asked += not calibration.pushes_missing(budget)
        flagged += hit
        if not hit or draw.random() < 0.2:
            calibration.add(str(number), scores, (), 5.0 if hit else 1.0, STAGES)

    assert flagged / asked <= budget + 3 * math.sqrt(budget / asked)


@settings(max_examples=60)
@given(
    st.lists(st.dictionaries(st.sampled_from(STAGES), st.integers(0, 30), max_size=3), min_size=19, max_size=60),
    st.sampled_from((0.05, 0.1, 0.2)),
)
def test_the_threshold_is_the_largest_score_that_fits(scores: list[dict[str, int]], budget: float) -> None:
    """It equals a search over all scores, ties and absent stages included."""
    rows = [{stage: float(score) for stage, score in each.items()} for each in scores]
    room = math.floor(budget * (len(rows) + 1) + 1e-9) - 1
    fitting = [
        limit
        for limit in {score for each in rows for score in each.values()}
        if sum(any(score < limit for score in each.values()) for each in rows) <= room
        and any(min(each.values()) == limit for each in rows if each)
    ]

    assert filled(rows, (budget,)).threshold(budget) == max(fitting, default=None)


@pytest.mark.parametrize(
    ("weights", "limit"), [([1, 1, 1], 2.0), ([2, 1, 1], 1.0), ([1, 2, 1], 1.0), ([3, 1, 1], None)]
)
def test_a_push_counts_with_its_weight_below_the_threshold_and_at_it(weights: list[float], limit: float | None) -> None:
    """Of 24 pushes a tenth is 2: two light ones fit, or one of double weight; none of threefold."""
    calibration = PushCalibration((0.1,))
    for number, weight in enumerate(weights):
        calibration.add(f"low {number}", {"input": float(number + 1)}, (), weight, STAGES)
    for number in range(24 - int(sum(weights))):
        calibration.add(f"high {number}", {}, (), 1.0, STAGES)

    assert calibration.threshold(0.1) == limit


def test_a_stage_that_does_not_spend_leaves_the_budget_to_the_others() -> None:
    """Scores at such a stage hold no threshold down."""
    draw = random.Random(3)
    alone, both = PushCalibration((0.1,)), PushCalibration((0.1,))
    for number in range(200):
        scores = {"input": draw.random(), "train": draw.random()}
        alone.add(str(number), scores, (), 1.0, ("input",))
        both.add(str(number), scores, (), 1.0, ("input", "train"))
    mine, shared = alone.threshold(0.1), both.threshold(0.1)

    assert mine is not None
    assert shared is not None
    assert mine > shared


def test_only_the_last_pushes_count() -> None:
    """Scores of long ago are forgotten once the window has passed over them."""
    old = [{"input": 0.001} for _ in range(WINDOW)]
    new = [{"input": 1.0 + number} for number in range(WINDOW)]

    assert filled(old + new).threshold(0.05) == filled(new).threshold(0.05)


def test_a_graphlet_counts_once() -> None:
    """A second record of one graphlet replaces the first."""
    calibration = PushCalibration((0.05,))
    for _ in range(30):
        calibration.add("same", {"input": 1.0}, (), 1.0, STAGES)

    assert calibration.pushes_missing(0.05) == 18


def test_flags_stop_on_excess_and_resume_when_it_has_passed() -> None:
    """When far more pushes were flagged than the budget allows, its flags stop until the window recovers."""
    calibration = PushCalibration((0.01, 0.2))
    for number in range(WINDOW):
        calibration.add(str(number), {"input": 1.0}, (0.01,) if number % 10 == 0 else (), 1.0, STAGES)

    assert calibration.flags_stopped(0.01)
    assert not calibration.flags_stopped(0.2)

    for number in range(WINDOW, 2 * WINDOW):
        calibration.add(str(number), {"input": 1.0}, (), 1.0, STAGES)

    assert not calibration.flags_stopped(0.01)


@pytest.mark.parametrize(("flags", "stopped"), [(0, False), (3, False), (6, False), (7, True)])
def test_flags_stop_at_the_exact_binomial_bound(flags: int, stopped: bool) -> None:
    """Of 300 pushes at 1 %, six flagged happen by chance in 8 % of cases and seven in 3 %."""
    calibration = PushCalibration((0.01,))
    for number in range(WINDOW):
        calibration.add(str(number), {}, (0.01,) if number < flags else (), 1.0, STAGES)

    assert stopped is calibration.flags_stopped(0.01)


def test_one_heavy_push_does_not_stop_flags() -> None:
    """A flagged push left to run with a propensity of 2 % stands for fifty, but is evidence of one draw only."""
    calibration = PushCalibration((0.01,))
    for number in range(WINDOW):
        calibration.add(str(number), {}, (0.01,) if number == 0 else (), 50.0 if number == 0 else 1.0, STAGES)

    assert not calibration.flags_stopped(0.01)
