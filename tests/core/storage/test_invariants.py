"""The checks themselves: they pass on what is right, and each of them fails on what it is there to find."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.operators import ANALYSIS, Operators
from stream_app.core.outputs import OPEN, PUSHED
from stream_app.core.state.entities import DOWN, SIDE, UP
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.storage.invariants import check, check_touched
from tests.support.builders import ran, run_ended, started
from tests.support.simulated import usual_events


def settled() -> Detector:
    """A pipeline with every kind of member, one graphlet pushed and one open."""
    detector = Detector()
    for event in (
        *ran(0, "gen", "CsvExampleGen", writes=["a"]),
        *ran(1, "stats", "StatisticsGen", reads=["a"]),
        *ran(2, "train", "Trainer", reads=["a"], writes=["m"]),
        *ran(4, "eval", "Evaluator", reads=["m"], writes=["b"]),
        *ran(6, "push", "Pusher", reads=["m", "b"]),
        run_ended(9),
        *ran(20, "prep2", "Transform", run="r2", reads=["a"], writes=["d2"]),
        started(22, "train2", "Trainer", run="r2", reads=["d2"]),
    ):
        detector.step(event)
    detector.validate()
    return detector


def member(pipeline: Pipeline, trainer: str, name: str, bits: int) -> None:
    """Makes an execution a member on both sides."""
    graphlet, execution = pipeline.graphlets[trainer], pipeline.executions[name]
    graphlet.members[execution] = bits
    execution.members_of = {**(execution.members_of or {}), graphlet: bits}


def spoil_group(pipeline: Pipeline) -> None:
    pipeline.executions["gen"].group = ANALYSIS


def spoil_graphlet(pipeline: Pipeline) -> None:
    pipeline.executions["train"].graphlet = None


def spoil_own_trainer(pipeline: Pipeline) -> None:
    pipeline.executions["eval"].own_trainer = False


def spoil_trainer_as_member(pipeline: Pipeline) -> None:
    member(pipeline, "train2", "train", UP)


def spoil_one_side(pipeline: Pipeline) -> None:
    pipeline.executions["gen"].members_of = {pipeline.graphlets["train"]: DOWN}


def spoil_other_side(pipeline: Pipeline) -> None:
    pipeline.graphlets["train"].members[pipeline.executions["gen"]] = DOWN


def spoil_entry(pipeline: Pipeline) -> None:
    member(pipeline, "train2", "eval", DOWN)


def spoil_side_group(pipeline: Pipeline) -> None:
    member(pipeline, "train2", "push", SIDE)


def spoil_side_run(pipeline: Pipeline) -> None:
    pipeline.graphlets["train"].runs = ("r2",)


def spoil_up(pipeline: Pipeline) -> None:
    member(pipeline, "train2", "eval", UP)


def spoil_open(pipeline: Pipeline) -> None:
    pipeline.graphlets["train"].kind = OPEN


def spoil_pushed(pipeline: Pipeline) -> None:
    pipeline.open.clear()
    pipeline.graphlets["train2"].kind = PUSHED


def spoil_oversized(pipeline: Pipeline) -> None:
    pipeline.graphlets["train"].oversized = True


def spoil_order_of_pushes(pipeline: Pipeline) -> None:
    pipeline.pushes.pushes.insert(0, (1 << 60, "z", 0))


def spoil_waiting(pipeline: Pipeline) -> None:
    pipeline.pushes.track(
        pipeline.graphlets["train"], supersedable=not pipeline.pushes.is_supersedable(pipeline.graphlets["train"])
    )


def spoil_order_of_waiting(pipeline: Pipeline) -> None:
    pipeline.pushes.supersedable.insert(0, (1 << 60, "z"))


def spoil_ledger(pipeline: Pipeline) -> None:
    pipeline.ledger.useful += 1


def spoil_charge(pipeline: Pipeline) -> None:
    pipeline.executions["gen"].charged = None


def spoil_unsettled(pipeline: Pipeline) -> None:
    pipeline.work.settle_one(pipeline.graphlets["train"])


SPOILS = [value for name, value in sorted(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_every_check_finds_what_it_is_there_for(spoil: Callable[[Pipeline], None]) -> None:
    """A state that is wrong in one way is refused."""
    detector = settled()
    spoil(detector.pipelines["p"])

    with pytest.raises(AssertionError):
        check(detector.pipelines["p"], Operators())


def test_a_step_checks_what_it_touched() -> None:
    """An execution and the graphlets it is in; what is elsewhere is found when the whole is checked."""
    detector = settled()
    pipeline = detector.pipelines["p"]
    spoil_side_run(pipeline)

    check_touched(pipeline, pipeline.executions["prep2"], Operators())
    with pytest.raises(AssertionError):
        check_touched(pipeline, pipeline.executions["stats"], Operators())


def test_a_detector_may_check_itself_after_every_step() -> None:
    """With the setting a wrong state is found at the next event that touches it; without it nobody looks."""
    for checks in (False, True):
        detector = Detector(Settings(invariants=checks))
        for event in ran(0, "t", "Trainer", reads=["a"]):
            detector.step(event)
        detector.pipelines["p"].executions["t"].own_trainer = True
        if checks:
            with pytest.raises(AssertionError):
                detector.step(started(5, "t", "Trainer"))
        else:
            detector.step(started(5, "t", "Trainer"))


def test_a_fleet_passes_every_check_at_every_step() -> None:
    """With late, lost and doubled events."""
    detector = Detector(Settings(invariants=True))
    for number, event in enumerate(usual_events()):
        detector.step(event)
        if number % 500 == 0:
            detector.validate()
    detector.validate()
