"""What a stage learns beside its model: whether to listen to that model, and what cost is ahead."""

from __future__ import annotations

import math
import random

import pytest

from stream_app.core.learning.drift import LABELS
from stream_app.core.learning.stage import StageLearning
from tests.support.labelled import record


def test_a_failed_model_is_refolded_from_the_last_labels() -> None:
    """The fresh one has learned as many labels as were remembered, and is on trial."""
    stage, draw = StageLearning(), random.Random(1)
    failures = [stage.learn(record(p=0.9), draw.random() < 0.2, 1.0) for _ in range(LABELS)]

    assert failures == [False] * (LABELS - 1) + [True]
    assert stage.model.labels == LABELS
    assert stage.trial is not None


def test_the_share_ahead_is_the_mean_over_records() -> None:
    """Half with a tenth ahead and half with nothing make a twentieth, just enough to spend."""
    stage = StageLearning()
    for number in range(100):
        stage.note_cost(record(cost=90.0, cost_left=10.0) if number % 2 else record(cost=100.0, cost_left=0.0))

    assert stage.ahead == pytest.approx(0.05)


def test_a_stage_without_records_or_with_little_ahead_spends_nothing() -> None:
    """Where almost everything is spent already a flag saves nothing."""
    stage = StageLearning()
    assert not stage.has_budget

    stage.note_cost(record(cost=99.0, cost_left=1.0))
    assert not stage.has_budget

    stage.note_cost(record(cost=50.0, cost_left=50.0))
    assert stage.has_budget


@pytest.mark.parametrize(("cost", "left"), [(0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_costs_that_say_nothing_are_passed_over(cost: float, left: float) -> None:
    """No cost at all, or none that is a number, is no evidence about the share ahead."""
    stage = StageLearning()
    stage.note_cost(record(cost=cost, cost_left=left))

    assert stage.ahead_records == 0
