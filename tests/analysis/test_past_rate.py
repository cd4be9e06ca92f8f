"""The rule by past push rate: what it saves and costs is what a recompute from the examples gives."""

from __future__ import annotations

import dataclasses
import functools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from random import Random

import numpy as np
import pytest

from stream_app.analysis.past_rate import RATE_BINS, rate_bin, rate_columns, threshold_of
from stream_app.analysis.sums import PipelineSums, ReplayStatistics
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example, StageRecord
from stream_app.core.state.ledger import HINDSIGHT
from stream_app.replay.replay import Replay
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.sources.native import decode
from tests.support.builders import HOUR, T0
from tests.support.recorded import SETTINGS, fleet_lines


class Recorder(Replay):
    """A replay that keeps its examples."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Learner(settings.policy.budgets), SinkWriter(Sinks()))
        self.examples: list[Example] = []

    def _example(self, example: Example) -> None:
        self.examples.append(example)
        super()._example(example)


@functools.cache
def recorded() -> Recorder:
    """The recorded fleet."""
    replay = Recorder(SETTINGS)
    for line in fleet_lines():
        event = decode(line, None)
        assert event is not None
        replay.step(event)
    replay.settle_last()
    return replay


def label(
    pushed: bool | None, rate: float, left: float = 10.0, *, name: str = "p/t", revision: int = 1,
    trainer: str | None = "t", of_run: bool = False,
) -> Example:  # fmt: skip
    """A labelled graphlet whose first stage knew a rate; `of_run`: that stage was its run's."""
    stage = StageRecord(
        stage="input", validator=None, time_ms=T0, features={}, p=0.1, baseline=rate, score=1.0, guard=None, cost=5.0,
        cost_left=9.0, actual_left=left, decision="continue", flagged=[], propensity=1.0,
    )  # fmt: skip
    stages, inherited = ([], [stage]) if of_run else ([stage], [])
    return Example(
        graphlet=name, pipeline="p", run="r", trainer=trainer, owner="", pushed=pushed, cause="", time_ms=T0 + HOUR,
        announced_ms=T0 + HOUR, label_revision=revision, stages=stages, inherited=inherited,
    )  # fmt: skip


def sums_of(examples: Iterable[Example]) -> PipelineSums:
    """The sums of one pipeline after some labels."""
    statistics = ReplayStatistics(Policy(), Learner())
    for each in examples:
        statistics.example(each)
    return statistics.pipelines["p"]


def by_hand(threshold: float) -> tuple[float, float]:
    """The shares of pushes flagged and of waste avoided below a threshold, from the last label of each graphlet."""
    replay = recorded()
    pushed, flagged, avoided, wasted = 0, 0, 0.0, 0
    last = {each.graphlet: each for each in replay.examples}
    for name in replay.detector.pipelines:
        ledger = replay.detector.ledger(name)
        wasted += ledger.wasted
        every, below = 0.0, 0.0
        for each in last.values():
            if each.pipeline != name or not (each.inherited or each.stages):
                continue
            first = (each.inherited or each.stages)[0]
            if each.pushed and each.trainer is not None:
                pushed += 1
                flagged += first.baseline < threshold
            if each.pushed is False and not (each.trainer is not None and each.inherited):
                every += first.actual_left
                below += first.actual_left * (first.baseline < threshold)
        avoided += ledger.saved.get(HINDSIGHT, 0) * below / every if every else 0.0
    return flagged / pushed, avoided / wasted


def test_the_curve_is_that_of_a_recompute_from_the_examples() -> None:
    """At every threshold: flagged pushes and avoided waste, summed over the labels themselves."""
    found = recorded().finish().tradeoff.past_rate

    assert len(found) > 10
    for point in found:
        missed, avoided = by_hand(point.threshold)
        assert point.missed == pytest.approx(missed, abs=1e-12)
        assert point.avoided == pytest.approx(avoided, abs=1e-6)


def test_a_budget_is_compared_at_its_own_share_of_pushes_flagged() -> None:
    """Between the two thresholds around that share the rule draws, so what it avoids is on the line between them."""
    found = recorded().finish().tradeoff
    shares = [0.0, *(point.missed for point in found.past_rate)]
    avoided = [0.0, *(point.avoided for point in found.past_rate)]

    compared = 0
    for budget in found.budgets:
        assert budget.missed.value is not None
        # Of points at one share of pushes the last avoids most.
        after = bisect_left(shares, budget.missed.value + 1e-12)
        low, high = shares[after - 1], shares[min(after, len(shares) - 1)]
        part = (budget.missed.value - low) / (high - low) if high > low else 0.0
        line = avoided[after - 1] + part * (avoided[min(after, len(avoided) - 1)] - avoided[after - 1])
        assert budget.by_past_rate.value == pytest.approx(line)
        compared += 0 < budget.missed.value < 1
    assert compared


def test_the_rule_saves_no_more_than_hindsight_and_at_last_as_much() -> None:
    """A rule that flags everything at its first stage is the one that knows every outcome, but for the pushes."""
    found = recorded().finish().tradeoff

    assert found.hindsight.value is not None
    assert found.past_rate[-1].avoided == pytest.approx(found.hindsight.value, abs=1e-6)
    assert found.past_rate[-1].missed == pytest.approx(1.0)
    assert [point.avoided for point in found.past_rate] == sorted(point.avoided for point in found.past_rate)


def test_histograms_of_two_parts_of_a_log_add_up() -> None:
    """Sums of parts are the sums of the whole, in whatever order."""
    rng = Random(3)
    labels = [label(rng.random() < 0.3, rng.random(), rng.randrange(99), name=f"p/{n}") for n in range(400)]

    one, other, whole = sums_of(labels[:150]), sums_of(labels[150:]), sums_of(reversed(labels))

    for name in ("rate_waste", "rate_pushes"):
        parts = Counter(getattr(one, name))
        parts.update(getattr(other, name))
        assert {key: value for key, value in parts.items() if value} == getattr(whole, name)
    assert sum(rate_columns(whole.rate_waste, whole.rate_pushes, 1000)[:RATE_BINS]) == pytest.approx(
        1000, abs=RATE_BINS
    )


def test_a_pipeline_keeps_no_more_than_its_bins() -> None:
    """However many labels, and rates from 0 to 1."""
    sums = sums_of(label(place % 2 == 0, place / 4999, name=f"p/{place}") for place in range(5000))

    assert max(len(sums.rate_waste), len(sums.rate_pushes)) <= RATE_BINS


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.004, 0.1, 0.35, 0.999, 1.0])
def test_a_rate_is_below_the_threshold_of_its_bin_alone(rate: float) -> None:
    """The threshold of a bin is above its rates, that of the bin before is not; the outer bins have the rest."""
    place = rate_bin(rate)

    assert rate < threshold_of(place) or place == RATE_BINS - 1
    assert place == 0 or rate >= threshold_of(place - 1)


def test_the_work_of_a_run_counts_once() -> None:
    """By the label of the run: those of its trainers, which inherit its stage, add pushes but no waste."""
    sums = sums_of([
        label(False, 0.1, 70.0, name="p/run:r", trainer=None),
        label(False, 0.1, 70.0, name="p/a", of_run=True),
        label(False, 0.1, 70.0, name="p/b", of_run=True),
        label(True, 0.1, name="p/c", of_run=True),
        label(False, 0.1, 5.0, name="p/alone"),
    ])  # fmt: skip

    assert sums.rate_waste == {rate_bin(0.1): 75_000}
    assert sums.rate_pushes == {rate_bin(0.1): 1}


def test_a_correction_takes_back_what_was_counted() -> None:
    """Not what it knows now: a late push has added compute since the first label."""
    sums = sums_of([label(False, 0.2, 40.0), label(True, 0.2, 41.5, revision=2)])

    assert (sums.rate_waste, sums.rate_pushes) == ({}, {rate_bin(0.2): 1})


def test_a_push_without_a_stage_cannot_be_flagged() -> None:
    """It counts among all pushes and in no bin; a pruned graphlet has no outcome."""
    bare = dataclasses.replace(label(True, 0.2, name="p/bare"), stages=[])

    sums = sums_of([bare, label(None, 0.2, name="p/pruned")])

    assert (sums.rate_waste, sums.rate_pushes, len(sums.push_ms)) == ({}, {}, 1)
    assert not np.any(rate_columns(sums.rate_waste, sums.rate_pushes, 500))
