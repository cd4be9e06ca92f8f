"""An execution that others name as their run is a run, and a deployment is of what it reads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from stream_app.core.events import COMPLETE, FAILED, Event
from tests.support.builders import MINUTE, at, ended, ran, started
from tests.support.watched import Watched

Watch = Callable[..., Watched]


def dag(state: str = COMPLETE, type_: str = "fraud") -> list[Event]:
    """The run itself, as a job of its own without a type that says so."""
    return [started(0, "r1", type_, run=None), ended(120, "r1", type_, run=None, state=state)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("type_", ["fraud", "Trainer"])
def test_a_job_that_others_name_as_their_run_is_the_run_whenever_that_is_learned(
    watch: Watch, order: tuple[int, ...], type_: str
) -> None:
    """It costs nothing itself and ends its training, also where its name is that of a training."""
    parts = [dag(type_=type_)[:1], dag(type_=type_)[1:], ran(1, "t", "Trainer", writes=["m"])]
    watched = watch().feed(*(parts[index] for index in order))

    assert [graphlet["trainer"] for graphlet in watched.detector.graphlets()] == ["t"]
    assert watched.outcome("t") == ("not_pushed", "run_ended", at(120))
    assert watched.ledger() == {"useful": 0, "wasted": MINUTE, "pending": 0, "unattributed": 0}


def test_it_is_the_run_after_a_restart(watch: Watch) -> None:
    """What the others name is among the facts that are kept."""
    watched = watch().feed(dag()[:1], ran(1, "t", "Trainer")).restarted().feed(dag()[1:])

    assert watched.outcome("t")[1] == "run_ended"


def test_a_training_whose_trials_name_it_as_their_run_remains_one(watch: Watch) -> None:
    """It has a model: it is not only the bracket around its trials."""
    watched = watch().feed(
        started(0, "parent", "Trainer", run=None), ran(1, "trial", "Tuner", run="parent"),
        ended(9, "parent", "Trainer", run=None, writes=["m"]), ran(10, "push", "Pusher", run=None, reads=["m"]),
    )  # fmt: skip

    assert watched.outcome("parent")[0] == "pushed"


def test_an_execution_is_not_a_run_because_it_names_itself(watch: Watch) -> None:
    """Some senders give each execution a run of its own."""
    watched = watch().feed(ran(0, "t", "Trainer", run="t"))

    assert watched.outcome("t")[0] == "open"


def test_a_run_within_a_run_does_not_end_the_outer_one(watch: Watch) -> None:
    """A task that started an application: its failure ends what names it, not the DAG."""
    watched = watch().feed(
        dag()[:1], started(1, "task", "submit", run="r1"), ran(2, "inner", "Trainer", run="task"),
        ran(3, "outer", "Trainer", run="r1"), ended(9, "task", "submit", run="r1", state=FAILED),
    )  # fmt: skip

    assert watched.outcome("inner")[1] == "run_ended"
    assert watched.outcome("outer")[0] == "open"


def interactive(model: str, minute: float, reads: list[str]) -> list[Event]:
    """Training, validation and deployment of a model, each in a run of its own."""
    return [
        *ran(minute, f"train-{model}", "Trainer", run=f"t-{model}", writes=[model]),
        *ran(minute + 2, f"eval-{model}", "Evaluator", run=f"e-{model}", reads=reads, writes=[f"blessing-{model}"]),
        *ran(minute + 4, f"push-{model}", "Pusher", run=f"p-{model}", reads=[model, f"blessing-{model}"]),
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_push_does_not_reach_the_baseline_against_which_its_model_was_judged(watch: Watch, reverse: bool) -> None:
    """Also where no run holds the three together, and whatever the order of events."""
    log = [*ran(0, "train-a", "Trainer", run="t-a", writes=["a"]), *interactive("b", 10, ["b", "a"])]
    watched = watch().feed(log[::-1] if reverse else log)

    assert watched.outcome("train-b")[0] == "pushed"
    assert watched.outcome("train-a")[1] == "superseded"
    assert watched.members("train-a")[1] == ["eval-b"]
