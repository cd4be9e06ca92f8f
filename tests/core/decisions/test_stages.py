"""When a prediction is made: each stage at its moment, once, and never after the fact."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, Event
from stream_app.core.outputs import Verdict
from tests.support.builders import HOUR, at, ended, happened, ran, run_ended, run_pruned, started
from tests.support.steered import Steered, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]


def stages(watched: Watched) -> list[tuple[str, str, str | None]]:
    """(graphlet, stage, validator) of every verdict."""
    return [(v.graphlet, v.stage, v.validator) for v in watched.outputs if isinstance(v, Verdict)]


def test_a_run_reaches_its_stages_one_after_the_other(watch: Watch) -> None:
    """Before its trainer is known the verdict is on the run; from then on on the trainer's graphlet."""
    watched = watch(Steered()).feed(whole_run(0, "r1", pushed=True))

    assert stages(watched) == [
        ("p/run:r1", "input", None),
        ("p/train-r1", "preprocess", None),
        ("p/train-r1", "train", None),
        ("p/train-r1", "validate", "eval-r1"),
    ]


def test_a_stage_is_said_when_its_event_happened(watch: Watch) -> None:
    """The verdict bears the event's own time."""
    watched = watch(Steered()).feed(whole_run(5, "r1"))

    assert [v.time_ms for v in watched.outputs if isinstance(v, Verdict)] == [at(5), at(7), at(8), at(10)]


def test_a_run_may_ingest_nothing_itself(watch: Watch) -> None:
    """Its data is there when preprocessing begins; ingestion and analysis alone are no stage."""
    watched = watch(Steered()).feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"]), ran(1, "stats", "StatisticsGen", reads=["span"])
    )
    assert stages(watched) == []
    watched.feed(started(2, "prep", "Transform", reads=["span"]))
    assert stages(watched) == [("p/run:r1", "input", None)]


def test_without_preprocessing_the_first_two_stages_coincide(watch: Watch) -> None:
    """A trainer that runs at once is at its last moment already."""
    watched = watch(Steered()).feed(started(0, "train", "Trainer"))

    assert stages(watched) == [("p/train", "preprocess", None)]


def test_a_trainer_that_waits_reaches_the_input_stage(watch: Watch) -> None:
    """Queued but not running: its run's data is there, and all can still be saved."""
    watched = watch(Steered()).feed(happened(0, "train", "Trainer", NEW))
    assert stages(watched) == [("p/run:r1", "input", None)]
    watched.feed(started(1, "train", "Trainer"))
    assert stages(watched)[1:] == [("p/train", "preprocess", None)]


def test_a_graphlet_that_stands_alone_has_no_run_to_speak_of(watch: Watch) -> None:
    """Its first verdict is on itself, under the same revision count."""
    watched = watch(Steered()).feed(
        happened(0, "train", "Trainer", NEW, run=None), ran(1, "train", "Trainer", run=None, writes=["m"])
    )
    verdicts = [v for v in watched.outputs if isinstance(v, Verdict)]

    assert stages(watched) == [("p/train", "input", None), ("p/train", "preprocess", None), ("p/train", "train", None)]
    assert [(v.run, v.trainer, v.id) for v in verdicts] == [(None, "train", f"p/train#{n}") for n in (1, 2, 3)]


def test_preprocessing_outside_of_any_run_is_no_stage(watch: Watch) -> None:
    """Nobody knows which model it is for."""
    assert stages(watch(Steered()).feed(started(0, "prep", "Transform", run=None))) == []


def test_each_trainer_of_a_run_has_stages_of_its_own(watch: Watch) -> None:
    """What they share was said once, of the run."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        started(1, "one", "Trainer"),
        started(2, "two", "Trainer"),
    )

    assert stages(watched) == [
        ("p/run:r1", "input", None),
        ("p/one", "preprocess", None),
        ("p/two", "preprocess", None),
    ]


def test_each_validator_is_a_stage_of_every_model_it_judges(watch: Watch) -> None:
    """Keyed by its execution, in the order in which the trainers started."""
    watched = watch(Steered()).feed(
        ran(0, "two", "Trainer", writes=["m2"]),
        ran(1, "one", "Trainer", writes=["m1"]),
        ran(2, "eval", "Evaluator", reads=["m1", "m2"]),
        ran(3, "infra", "InfraValidator", reads=["m1"]),
    )

    assert stages(watched)[4:] == [
        ("p/two", "validate", "eval"),
        ("p/one", "validate", "eval"),
        ("p/one", "validate", "infra"),
    ]


def test_a_validator_of_another_run_is_no_stage(watch: Watch) -> None:
    """It uses the model as its baseline or looks back at it; nothing of this run is left to be saved."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", writes=["m"]), ran(9, "eval", "Evaluator", run="r2", reads=["m"])
    )

    assert watched.members("train")[1] == ["eval"]
    assert [stage for _, stage, _ in stages(watched)] == ["preprocess", "train"]


@pytest.mark.parametrize("end", [FAILED, CANCELED, CACHED])
def test_a_trainer_that_made_no_model_is_not_trained(watch: Watch, end: str) -> None:
    """Stage `train` is for a model that is there."""
    watched = watch(Steered()).feed(started(0, "train", "Trainer"), ended(1, "train", "Trainer", state=end))

    assert [stage for _, stage, _ in stages(watched)] == ["preprocess"]


def test_a_trainer_that_was_cached_from_the_start_is_no_stage(watch: Watch) -> None:
    """It has no graphlet."""
    assert stages(watch(Steered()).feed(ended(0, "train", "Trainer", state=CACHED))) == []


def test_a_stage_is_said_once(watch: Watch) -> None:
    """Events that are seen again, and further events of the same step, say nothing new."""
    log = list(whole_run(0, "r1"))[:-1]
    watched = watch(Steered()).feed(log)
    before = list(watched.outputs)

    watched.feed(log, log)
    watched.feed(
        started(1, "prep-r1", "Transform", run="r1", properties={"more": 1}),
        ended(9, "train-r1", "Trainer", run="r1", node_ms=HOUR, writes=["another"]),
        ended(9, "eval-r1", "Evaluator", run="r1", properties={"auc": 0.5}),
    )

    assert before == watched.outputs


def test_an_event_seen_again_reaches_no_stage_that_it_did_not_reach_before(watch: Watch) -> None:
    """The validator was done before anybody knew of which model; told twice it is no newer."""
    validated = ended(3, "eval", "Evaluator", reads=["m"])
    watched = watch(Steered()).feed(
        started(0, "train", "Trainer"), validated, ended(2, "train", "Trainer", writes=["m"])
    )
    before = stages(watched)

    watched.feed(validated)

    assert watched.members("train")[1] == ["eval"]
    assert stages(watched) == before


@pytest.mark.parametrize(
    "late",
    [
        started(0, "prep", "Transform"),
        happened(0, "train", "Trainer", NEW),
        started(1, "train", "Trainer"),
    ],
    ids=["preprocessing", "queued", "running"],
)
def test_a_stage_whose_moment_has_passed_is_not_made_up_for(watch: Watch, late: Event) -> None:
    """The trainer is known to be done when the event of an earlier moment arrives."""
    watched = watch(Steered()).feed(ended(5, "train", "Trainer", writes=["model"]))
    watched.feed(late)

    assert [stage for _, stage, _ in stages(watched)] == ["train"]


def test_after_its_outcome_nothing_is_said_of_a_graphlet(watch: Watch) -> None:
    """A validator that comes after the push has nothing to predict."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", writes=["model"]),
        ran(2, "push", "Pusher", reads=["model"]),
        ran(4, "eval", "Evaluator", reads=["model"]),
    )

    assert [stage for _, stage, _ in stages(watched)] == ["preprocess", "train"]


@pytest.mark.parametrize("end", [run_ended(3), run_pruned(3)], ids=["ended", "pruned"])
def test_after_the_end_of_its_run_nothing_is_said_of_it(watch: Watch, end: Event) -> None:
    """Neither of the run nor of a trainer that shows up late."""
    watched = watch(Steered()).feed(end, started(1, "prep", "Transform"), started(2, "train", "Trainer"))

    assert stages(watched) == []


def test_an_oversized_graphlet_gets_no_verdict(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can act on what is not one model's work."""
    monkeypatch.setattr("stream_app.core.graphlets.membership.MEMBERS_MAX", 3)
    watched = watch(Steered()).feed(*(ran(n, f"gen{n}", "CsvExampleGen", writes=["span"]) for n in range(4)))
    watched.feed(ran(9, "train", "Trainer", reads=["span"]))

    assert watched.members("train") == ([], [], [])
    assert stages(watched) == []


def test_without_a_learner_nothing_is_predicted(watch: Watch) -> None:
    """Graphlets, outcomes and ledger alone."""
    assert watch().feed(whole_run(0, "r1", pushed=True)).outputs == []


def test_an_end_without_a_start_reaches_what_an_end_reaches(watch: Watch) -> None:
    """Of a source that tells only of finished steps: data, then a model; training was never to be saved."""
    watched = watch(Steered()).feed(
        ended(0, "prep", "Transform", state=COMPLETE, writes=["data"]),
        ended(1, "train", "Trainer", reads=["data"], writes=["model"]),
        ended(2, "eval", "Evaluator", reads=["model"]),
    )

    assert stages(watched) == [
        ("p/run:r1", "input", None),
        ("p/train", "train", None),
        ("p/train", "validate", "eval"),
    ]


def test_input_is_reached_by_a_cached_preprocessing_too(watch: Watch) -> None:
    """Its output is there at once, and nothing else will say so."""
    watched = watch(Steered()).feed(ended(0, "prep", "Transform", state=CACHED, writes=["data"]))

    assert stages(watched) == [("p/run:r1", "input", None)]


def test_a_run_that_is_overtaken_goes_on_to_its_stages(watch: Watch) -> None:
    """A later trainer's model is pushed first; the slower one is still under way."""
    watched = watch(Steered()).feed(
        started(0, "slow", "Trainer"),
        ran(1, "fast", "Trainer", run="r2", writes=["m2"]),
        ran(3, "push", "Pusher", run="r2", reads=["m2"]),
        ended(5, "slow", "Trainer", writes=["m1"]),
    )

    assert stages(watched)[-1] == ("p/slow", "train", None)
