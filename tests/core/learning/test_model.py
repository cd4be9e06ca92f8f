"""A stage's model: calibrated, bounded, explainable, and closed to numbers that are none."""

from __future__ import annotations

import math
import random

import pytest

from stream_app.core.learning.feature_space import BASELINE, NAMES_MAX, SLOTS
from stream_app.core.learning.model import READY_LABELS, StageModel
from tests.support.labelled import Truth

#: Features of a run with nothing special about it.
PLAIN = {"drift": 0.0, "broken_code": 0.0, "cost": 1.0, "overlap": 0.5} | {f"noise_{i}": 0.0 for i in range(5)}


def trained(count: int, seed: int = 1) -> StageModel:
    """A model that has learned `count` synthetic labels."""
    model, truth = StageModel(), Truth(seed)
    for _ in range(count):
        _, features, baseline, _, pushed = truth.draw()
        teach(model, features, baseline, pushed)
    return model


def teach(model: StageModel, features: dict[str, float], baseline: float, pushed: bool) -> None:
    """One label, as a stage learns it."""
    model.admit(features)
    model.learn(model.space.vector(features, baseline), pushed, 1.0)


def test_the_baseline_answers_until_there_are_labels_of_both_kinds() -> None:
    """Enough labels of one kind only are not enough."""
    model = StageModel()
    for number in range(READY_LABELS + 10):
        teach(model, {"a": float(number)}, 0.3, False)

    assert model.predict({"a": 1.0}, 0.3).p == pytest.approx(0.3)
    assert model.predict({"a": 1.0}, 0.3).reasons(5) == []

    for _ in range(5):
        teach(model, {"a": 1.0}, 0.3, True)

    assert model.predict({"a": 1.0}, 0.3).p != pytest.approx(0.3)


@pytest.mark.slow
def test_probabilities_approach_the_truth() -> None:
    """After some thousands of labels they are nearer to the law that made them than the past push rate by far."""
    model, truth = trained(6000), Truth(1)
    model_error = baseline_error = 0.0
    for _ in range(1000):
        _, features, baseline, p, _ = truth.draw()
        model_error += abs(model.predict(features, baseline).p - p)
        baseline_error += abs(baseline - p)

    assert model_error < 0.6 * baseline_error


def test_reasons_are_what_moving_a_feature_would_change() -> None:
    """Each effect named is the change in log-odds when the feature is put to its typical value."""
    model, truth = trained(2000), Truth(9)
    for _ in range(30):
        _, features, baseline, _, _ = truth.draw()
        vector = model.space.vector(features, baseline)
        here = math.log(model.p(vector) / (1 - model.p(vector)))
        for name, effect in model.predict(features, baseline).reasons(20):
            index = model.space.names.index(name)
            moved = vector.copy()
            moved[index] = model.space.typical[index]
            there = math.log(model.p(moved) / (1 - model.p(moved)))

            assert here - there == pytest.approx(effect, abs=1e-6)


@pytest.mark.slow
def test_reasons_name_what_matters_first() -> None:
    """Broken code, the strongest sign in this world, leads the reasons against a push."""
    model = trained(4000)
    reasons = model.predict(PLAIN | {"broken_code": 1.0}, 0.25).reasons(3)

    assert reasons[0][0] == "broken_code"
    assert reasons[0][1] < -0.5
    assert [abs(effect) for _, effect in reasons] == sorted((abs(effect) for _, effect in reasons), reverse=True)


def test_the_past_push_rate_is_a_reason_like_any_other() -> None:
    """A run with nothing special but its pipeline's record is explained by that."""
    name, effect = trained(3000).predict(PLAIN, 0.8).reasons(1)[0]

    assert (name, effect > 0) == (BASELINE, True)


def test_a_weight_that_is_lost_is_discarded_and_heals() -> None:
    """Were a weight ever NaN, the update is refused and counted, answers fall back, and learning goes on."""
    model = trained(500)
    vector = model.space.vector(PLAIN, 0.3)
    model.regression.heights[model.space.encode(vector).slots] = math.nan

    assert 0.0 < model.p(vector) < 1.0

    model.learn(vector, True, 1.0)

    assert model.discarded >= 1
    assert math.isfinite(model.regression.log_odds(model.space.encode(vector)))
    for _ in range(5):
        model.learn(vector, True, 1.0)
    assert model.discarded <= 2


@pytest.mark.slow
def test_drawing_knots_anew_keeps_the_curves() -> None:
    """The answers just before and just after new knots differ by little."""
    model, truth = StageModel(), Truth(2)
    draws = [truth.draw() for _ in range(3000)]
    jumps = []
    for _, features, baseline, _, pushed in draws:
        redrawn = model.space._redraw_at
        before = [model.predict(each[1], each[2]).p for each in draws[:20]] if model.ready else []
        teach(model, features, baseline, pushed)
        if before and redrawn != model.space._redraw_at and model.labels > 200:
            after = [model.predict(each[1], each[2]).p for each in draws[:20]]
            jumps.append(sum(abs(a - b) for a, b in zip(before, after, strict=True)) / 20)

    assert jumps
    assert max(jumps) < 0.04


def test_the_model_is_bounded_whatever_it_is_sent() -> None:
    """Thousands of names and wild values leave a model of bounded size, and a finite one."""
    model, draw = StageModel(), random.Random(1)
    for number in range(400):
        features = {f"name {draw.randrange(5000)}": draw.choice([1e308, -1e308, math.nan, 0.0, 5.0]) for _ in range(30)}
        teach(model, features, 0.1, number % 7 == 0)

    assert len(model.space.names) == NAMES_MAX
    assert len(model.regression.heights) == NAMES_MAX * SLOTS
    assert 0.0 < model.predict({"name 1": 1e308}, 0.1).p < 1.0
    assert model.discarded == 0
