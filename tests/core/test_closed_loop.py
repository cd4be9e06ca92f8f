"""The loop closed: a fleet whose runs stop when the detector says so, and live on with that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
import pytest

from stream_app.core.decisions.policy import ENFORCE, FREE_WEEKS, OBSERVE, Policy, draw
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, PRUNED, Example, Verdict
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from tests.support.builders import DAY
from tests.support.simulated import wire
from tests.support.steered import Steered

SMALL = FleetOptions(pipelines=5, days=8.0, seed=2)


@dataclass
class Loop:
    """A fleet, and a detector whose prunes it obeys."""

    policy: Policy
    learner: Any
    options: FleetOptions = SMALL
    verdicts: list[Verdict] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    #: (pipeline, run) -> id of the verdict that prunes it, while one does.
    prunes: dict[tuple[str, str | None], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.detector = Detector(Settings(policy=self.policy), self.learner)
        fleet = Fleet(self.options)
        for event in fleet.events(lambda pipeline, run: self.prunes.get((pipeline, run))):
            for output in self.detector.step(decode(orjson.dumps(event))):
                if isinstance(output, Verdict):
                    self.take(output)
                elif isinstance(output, Example):
                    self.examples.append(output)
                    if isinstance(self.learner, Learner):
                        self.learner.learn(output)
        self.truth = list(fleet.truth())

    def take(self, verdict: Verdict) -> None:
        """Obey the newest verdict on a run."""
        self.verdicts.append(verdict)
        if verdict.run is not None and verdict.mode == ENFORCE:
            obeyed = verdict.decision == PRUNE
            self.prunes[verdict.pipeline, verdict.run] = verdict.id if obeyed else None

    def pushes(self) -> int:
        return sum(row["pushed"] for row in self.truth)


@cache
def enforced() -> Loop:
    """A loop in `enforce` whose learner thinks little of every run, some more than others."""
    return Loop(Policy(mode=ENFORCE, budget=0.05, budgets=(0.05,)), Steered(p=0.3, limit=3.0))


def test_a_pruned_run_is_stopped_by_the_verdict_it_names() -> None:
    """The fleet cancels it, and the detector hears of it."""
    loop = enforced()
    prunes = {v.id: v for v in loop.verdicts if v.decision == PRUNE}
    pruned = [row for row in loop.truth if row["pruned_by"]]

    assert len(pruned) > 10
    for row in pruned:
        assert prunes[row["pruned_by"]].run == row["run"]


def test_what_was_pruned_has_no_label() -> None:
    """Its examples say so; it is in no pipeline's history, and no push of it comes."""
    loop = enforced()
    runs = {(row["pipeline"], row["run"]) for row in loop.truth if row["pruned_by"]}
    about = [e for e in loop.examples if (e.pipeline, e.run) in runs]

    assert len(about) > 20
    assert not [e for e in about if e.pushed]
    assert {e.pushed for e in about if e.cause == PRUNED} == {None}
    for name, pipeline in loop.detector.pipelines.items():
        once = [e for e in loop.examples if e.pipeline == name and e.label_revision == 1]
        labelled = sum(e.pushed is not None for e in once if e.trainer is not None)
        # Beside these, graphlets without a verdict and runs without a trainer are history too.
        assert pipeline.history.labelled >= labelled
        assert "pruned" not in pipeline.history.causes


def test_held_out_runs_go_on_and_are_labelled_with_their_propensity() -> None:
    """They stand for those that were stopped."""
    loop = enforced()
    held = {v.graphlet: v for v in loop.verdicts if v.holdout}
    labelled = [e for e in loop.examples if e.graphlet in held and e.pushed is not None]

    assert len(labelled) > 10
    for example in labelled:
        propensities = [record.propensity for record in example.stages]
        assert min(propensities) == min(v.propensity for v in loop.verdicts if v.graphlet == example.graphlet)
        assert 0.0 < min(propensities) < 1.0
    assert {v.holdout for v in loop.verdicts if v.propensity < 1.0} == {True, False}


def test_about_as_many_are_held_out_as_their_propensities_say() -> None:
    """By run: the first verdict on a run that put it at stake. Weeks in which nothing is pruned are left out."""
    first: dict[tuple[str, str | None], Verdict] = {}
    for verdict in enforced().verdicts:
        week = str(verdict.time_ms // (7 * DAY))
        free = draw(enforced().policy.salt, "week", verdict.pipeline, week) < FREE_WEEKS
        if verdict.propensity < 1.0 and verdict.run is not None and not free:
            first.setdefault((verdict.pipeline, verdict.run), verdict)
    chances = [(v.propensity - FREE_WEEKS) / (1 - FREE_WEEKS) for v in first.values()]
    held = sum(v.holdout for v in first.values())

    assert len(first) > 100
    assert abs(held - sum(chances)) < 4 * sum(chance * (1 - chance) for chance in chances) ** 0.5


def test_what_was_avoided_is_in_the_ledgers() -> None:
    """Only where something was pruned."""
    loop = enforced()
    pruned = {example.pipeline for example in loop.examples if example.pushed is None}
    avoided = {name for name in loop.detector.pipelines if loop.detector.ledger(name).avoided > 0}

    assert avoided
    assert avoided <= pruned
    loop.detector.validate()


def test_the_same_seed_gives_the_same_loop() -> None:
    """What was pruned, said and learned, byte for byte."""
    again = Loop(enforced().policy, Steered(p=0.3, limit=3.0))

    assert again.truth == enforced().truth
    assert [wire(v) for v in again.verdicts] == [wire(v) for v in enforced().verdicts]
    assert [wire(e) for e in again.examples] == [wire(e) for e in enforced().examples]


def test_in_observe_nothing_is_stopped() -> None:
    """The same flags on the same learner are words."""
    loop = Loop(Policy(mode=OBSERVE, budget=0.05, budgets=(0.05,)), Steered(p=0.3, limit=3.0))

    assert Counter(v.decision for v in loop.verdicts)[PRUNE] > 20
    assert not [row for row in loop.truth if row["pruned_by"]]
    assert not [e for e in loop.examples if e.pushed is None]


@pytest.mark.slow
def test_a_loop_with_a_learner_keeps_the_pushes() -> None:
    """At a budget of 5 %, learned from nothing, guards on: nine in ten of the pushes of the fleet left alone."""
    options = FleetOptions(pipelines=6, days=7.0, seed=4)
    alone = Fleet(options)
    for _ in alone.events():
        pass
    policy = Policy(mode=ENFORCE, budget=0.05)
    loop = Loop(policy, Learner(policy.budgets), options)

    assert [row for row in loop.truth if row["pruned_by"]]
    assert loop.pushes() >= 0.9 * sum(row["pushed"] for row in alone.truth())


def test_at_1_percent_a_small_fleet_is_left_alone() -> None:
    """Its pushes are too few to keep such a promise by: warnings at most, and every push is kept."""
    options = FleetOptions(pipelines=3, days=4.0, seed=2)
    alone = Fleet(options)
    for _ in alone.events():
        pass
    policy = Policy(mode=ENFORCE, budget=0.01)
    loop = Loop(policy, Learner(policy.budgets), options)

    assert loop.learner.pushes_missing(0.01) > 0
    assert PRUNE not in {v.decision for v in loop.verdicts}
    assert loop.truth == list(alone.truth())
