"""Verified savings: what the runs left to run on say about the pruned."""

from __future__ import annotations

import math
import pickle
import random
from dataclasses import replace

import pytest

from stream_app.core.learning.savings import Savings, t_quantile
from stream_app.core.outputs import CONTINUE, PRUNE, Example
from tests.support.labelled import example, record


def test_without_prunes_nothing_was_saved() -> None:
    """Runs that were never flagged say nothing about savings."""
    savings = Savings()
    savings.add(example(1, True))
    savings.add(example(2, False))

    assert savings.saved().estimated == 0.0
    assert savings.saved().verified is None


def test_the_estimate_is_what_was_expected_of_the_pruned() -> None:
    """Each pruned run counts with the cost expected left where it was pruned."""
    savings = Savings()
    stages = [record(propensity=0.3, cost_left=80.0), record("preprocess", decision=PRUNE, cost_left=50.0)]
    savings.add(example(1, None, stages))
    savings.add(example(2, None, [record(decision=PRUNE, cost_left=20.0)]))

    assert (savings.saved().estimated, savings.saved().pruned) == (70.0, 2)


def pruned_run(*own: float, late: int = 0) -> list[Example]:
    """A run flagged with 90 left, and trainers flagged with so much left each (0: not); `late` come after the run."""
    flag = record(decision=PRUNE, cost_left=90.0)
    trainers = [
        replace(
            example(
                number, None, [record("preprocess", decision=PRUNE, cost_left=left)] if left else [record("train")]
            ),
            run="r",
            inherited=[flag],
        )
        for number, left in enumerate(own)
    ]
    run = replace(example(9, None, [flag]), run="r", trainer=None)
    return [*trainers[late:], run, *trainers[:late]]


@pytest.mark.parametrize(
    ("examples", "estimated", "pruned"),
    [
        (pruned_run(), 90.0, 1),
        (pruned_run(50.0), 50.0, 1),
        (pruned_run(0.0), 90.0, 1),
        (pruned_run(0.0, 0.0), 90.0, 1),
        (pruned_run(50.0, 40.0), 90.0, 2),
        (pruned_run(50.0, late=1), 90.0, 1),
        (pruned_run(0.0, late=1), 90.0, 1),
    ],
    ids=["no trainer", "its flag", "the run's flag", "of two", "their flags", "late", "late by the run's"],
)
def test_a_pruned_run_counts_by_its_trainers_flags_or_by_its_own(
    examples: list[Example], estimated: float, pruned: int
) -> None:
    """Never by both: the trainers' examples and the run's own are about one prune, whichever comes first."""
    savings = Savings()
    for each in examples:
        savings.add(each)

    assert (savings.saved().estimated, savings.saved().pruned) == (estimated, pruned)


def test_a_trainer_of_a_run_of_which_nothing_was_said_counts_by_itself() -> None:
    """There is no example of the run beside it."""
    savings = Savings()
    for number, left in enumerate((50.0, 40.0)):
        savings.add(replace(example(number, None, [record(decision=PRUNE, cost_left=left)]), run="r"))

    assert (savings.saved().estimated, savings.saved().pruned) == (90.0, 2)


def test_of_pruned_runs_the_last_hundred_are_remembered() -> None:
    """So that what is kept of a pipeline has a size."""
    savings = Savings()
    for number in range(1000):
        savings.add(replace(example(number, None, [record(decision=PRUNE, cost_left=1.0)]), trainer=None))

    assert savings.saved().pruned == 1000
    assert len(pickle.dumps(savings)) < 10_000


def test_the_verified_saving_corrects_expectations_that_are_too_high() -> None:
    """When runs held out used half of what was expected, so would have the pruned."""
    savings = Savings()
    for number in range(40):
        savings.add(example(number, None, [record(decision=PRUNE, cost_left=10.0)], pipeline=f"p{number % 8}"))
    for number in range(40, 50):
        held = record(propensity=0.2, cost_left=10.0, actual_left=5.0)
        savings.add(example(number, False, [held], pipeline=f"p{number % 8}"))
    saved = savings.saved()

    assert saved.verified == pytest.approx(200.0)
    assert saved.low is not None
    assert saved.high is not None
    assert saved.low <= 200.0 <= saved.high


def test_a_run_told_to_stop_that_ran_on_regardless_stands_for_nobody() -> None:
    """It was not drawn to run on, so it is no part of the holdout."""
    savings = Savings()
    savings.add(example(1, False, [record(propensity=0.2, decision=PRUNE)]))

    assert savings.saved().held_out == 0


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [
        (1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (6, 2.4469), (7, 2.3646), (8, 2.3060),
        (9, 2.2622), (10, 2.2281), (15, 2.1314), (20, 2.0860), (30, 2.0423), (60, 2.0003), (120, 1.9799),
        (1e9, 1.95996), (math.inf, 1.95996),
    ],
)  # fmt: skip
def test_the_quantile_is_that_of_the_tables(freedom: float, expected: float) -> None:
    """Student's t at 97.5 %, as printed in any textbook."""
    assert t_quantile(freedom) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize("freedom", [1.0, 1.01, 1.25, 1.5, 1.9, 2.5, 3.7, 7.3, 12.5, 48.2])
def test_the_quantile_leaves_a_fortieth_above_it(freedom: float) -> None:
    """Degrees of freedom need not be whole: the density, integrated up to the quantile, gives 47.5 %."""
    steps = 20_000
    width = t_quantile(freedom) / steps

    def density(x: float) -> float:
        return math.exp(-(freedom + 1) / 2 * math.log1p(x * x / freedom))

    inner = sum((4 if step % 2 else 2) * density(step * width) for step in range(1, steps))
    area = (density(0.0) + inner + density(steps * width)) * width / 3
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    assert scale * area == pytest.approx(0.475, abs=1e-9)


def test_two_equal_pipelines_have_one_degree_of_freedom() -> None:
    """One used 4 and one 6 of 10 expected: the interval is 12.7062 standard errors wide."""
    savings = Savings()
    for number, actual in enumerate((4.0, 6.0)):
        held = record(propensity=0.5, cost_left=10.0, actual_left=actual)
        savings.add(example(number, False, [held], pipeline=f"p{number}"))
        savings.add(example(number + 2, None, [record(decision=PRUNE, cost_left=10.0)], pipeline=f"p{number}"))
    saved = savings.saved()

    assert saved.verified == pytest.approx(10.0)
    # Of the ratio, by pipeline: 1 off each, doubled as each is half of the sum. Of the draw: 1 squared, twice.
    error = math.sqrt(2 * 2.0**2 + 2 * 1.0**2)
    assert saved.low == pytest.approx(10.0 / math.exp(12.7062 * error / 10.0), rel=1e-4)
    assert saved.high == pytest.approx(10.0 * math.exp(12.7062 * error / 10.0), rel=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_interval_covers_the_truth(seed: int) -> None:
    """Over 100 draws of one fleet, flagged at up to two stages, the true saving lies inside in all but a few."""
    world = random.Random(seed)
    runs = []
    for pipeline in range(40):
        bias, size = world.lognormvariate(0.0, 0.4), world.lognormvariate(0.0, 0.7)
        for _ in range(25):
            expected = size * world.lognormvariate(0.0, 0.3)
            actual = expected * bias * world.lognormvariate(0.0, 0.5) * (world.random() < 0.9)
            first = min(0.5, max(0.02, world.betavariate(1.2, 5.0)))
            runs.append((f"p{pipeline}", first, first * world.uniform(0.4, 1.5), expected, actual))
    covered = 0
    for salt in range(100):
        draw, savings, truth = random.Random(f"{seed} {salt}"), Savings(), 0.0
        for number, (pipeline, first, second, expected, actual) in enumerate(runs):
            u = draw.random()
            decisions = [PRUNE if u >= first else CONTINUE, PRUNE if u >= second else CONTINUE]
            stages = [
                record("input", propensity=first, cost_left=expected, actual_left=actual, decision=decisions[0]),
                record(
                    "preprocess",
                    propensity=second,
                    cost_left=expected / 2,
                    actual_left=actual / 2,
                    decision=decisions[1],
                ),
            ]
            if u >= first:
                truth += actual
                savings.add(example(number, None, stages[:1], pipeline=pipeline))
            elif u >= second:
                truth += actual / 2
                savings.add(example(number, None, stages, pipeline=pipeline))
            else:
                savings.add(example(number, False, stages, pipeline=pipeline))
        saved = savings.saved()
        assert saved.low is not None
        assert saved.high is not None
        covered += saved.low <= truth <= saved.high

    # 95 of 100 expected; fewer than 88 would happen by chance once in 300 times.
    assert covered >= 88


@pytest.mark.parametrize("word", ["keep", "wrong"])
def test_a_run_that_went_on_by_a_word_verifies_nothing(word: str) -> None:
    """Whoever keeps runs does not draw them: it represents no pruned run, whatever it used."""
    savings = Savings()
    savings.add(example(1, None, [record(decision=PRUNE, cost_left=100.0)]))
    drawn = example(2, False, [record(decision=CONTINUE, propensity=0.5, cost_left=100.0)])
    savings.add(drawn)
    before = savings.saved()
    savings.add(replace(example(3, True, [record(decision=CONTINUE, propensity=0.5, cost_left=1.0)]), word=word))
    savings.add(replace(example(4, True, [record(decision=PRUNE, cost_left=1.0)]), word=word))

    assert savings.saved() == before
    assert before.held_out == 1
