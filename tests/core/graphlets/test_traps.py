"""What real provenance does to naive detectors, one test each, with events written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED
from stream_app.core.learning.learner import Learner
from tests.support.builders import DAY, HOUR, MINUTE, artifact, at, ended, happened, ran, run_ended, run_pruned, started
from tests.support.watched import Watched

Watch = Callable[..., Watched]


@pytest.mark.parametrize("said", [0, False, "0", "false", ""])
def test_a_pusher_complete_with_pushed_0_is_not_a_push(watch: Watch, said: str | int | bool) -> None:
    """TFX completes a refused push; only its PushedModel says that nothing reached serving."""
    detector = watch().feed(
        ran(0, "train", "Trainer", writes=["model"]),
        ran(1, "push", "Pusher", reads=["model"], writes=[artifact("pushed", pushed=said)]),
        run_ended(3),
    )
    assert detector.outcome("train") == ("not_pushed", "refused", at(3))
    assert detector.ledger() == {"useful": 0, "wasted": 2 * MINUTE, "pending": 0, "unattributed": 0}


def test_a_pusher_that_says_nothing_or_yes_pushed(watch: Watch) -> None:
    """Only a no is a no: most senders never tell the property."""
    detector = watch().feed(
        ran(0, "silent", "Trainer", writes=["m1"]),
        ran(1, "push1", "Pusher", reads=["m1"], writes=["out1"]),
        ran(0, "clear", "Trainer", run="r2", writes=["m2"]),
        ran(2, "push2", "Pusher", run="r2", reads=["m2"], writes=[artifact("out2", pushed=1)]),
    )
    assert detector.outcome("silent")[::2] == ("pushed", at(2))
    assert detector.outcome("clear")[::2] == ("pushed", at(3))


def test_a_warm_start_cuts(watch: Watch) -> None:
    """A trainer that starts from the last model does not inherit the work behind it, nor share its push."""
    detector = watch().feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"]),
        ran(1, "first", "Trainer", reads=["span"], writes=["m1"]),
        run_ended(3),
        ran(5, "second", "Trainer", run="r2", reads=["m1"], writes=["m2"]),
        ran(6, "push", "Pusher", run="r2", reads=["m2"]),
    )
    assert detector.members("first") == (["gen"], [], [])
    assert detector.members("second") == ([], ["push"], [])
    assert detector.outcome("first")[:2] == ("not_pushed", "run_ended")
    assert detector.outcome("second")[0] == "pushed"


def test_a_validator_that_also_reads_the_last_pushed_model_keeps_the_next_push_out(watch: Watch) -> None:
    """It judges its own run's model against the baseline; what follows is not the baseline's doing."""
    detector = watch().feed(
        ran(0, "old", "Trainer", writes=["m1"]),
        run_ended(2),
        ran(5, "new", "Trainer", run="r2", writes=["m2"]),
        ran(6, "eval", "Evaluator", run="r2", reads=["m2", "m1"], writes=["blessing"]),
        ran(7, "push", "Pusher", run="r2", reads=["m2", "blessing"]),
    )
    assert detector.members("old") == ([], [], [])
    assert detector.members("new") == ([], ["eval", "push"], [])
    assert detector.outcome("old")[:2] == ("not_pushed", "run_ended")


def test_a_baseline_known_before_the_validators_own_model_is_let_go_again(watch: Watch) -> None:
    """Seen first with the baseline alone, the validator leaves that graphlet when its own model shows up."""
    detector = watch().feed(
        ran(0, "old", "Trainer", writes=["m1"]),
        ran(6, "eval", "Evaluator", run="r2", reads=["m1"], writes=["blessing"]),
        ran(7, "push", "Pusher", run="r2", reads=["blessing"]),
    )
    assert detector.outcome("old")[0] == "pushed"
    detector.feed(
        started(6, "eval", "Evaluator", run="r2", reads=["m2"]),
        ran(5, "new", "Trainer", run="r2", writes=["m2"]),
    )
    assert detector.members("old") == ([], [], [])
    assert detector.outcome("old")[0] != "pushed"
    assert detector.outcome("new")[0] == "pushed"


def test_one_schema_read_by_every_run_does_not_join_their_validations(watch: Watch) -> None:
    """Nor does it matter that each trainer reads the schema too."""
    detector = watch().feed(ran(0, "schema", "SchemaGen", run="r0", writes=["schema"]))
    for n in (1, 2, 3):
        run, minute = f"r{n}", 10 * n
        detector.feed(
            ran(minute, f"gen{n}", "CsvExampleGen", run=run, writes=[f"span{n}"]),
            ran(minute + 1, f"stats{n}", "StatisticsGen", run=run, reads=[f"span{n}"], writes=[f"stats{n}"]),
            ran(minute + 2, f"check{n}", "ExampleValidator", run=run, reads=[f"stats{n}", "schema"]),
            ran(minute + 3, f"train{n}", "Trainer", run=run, reads=[f"span{n}", "schema"]),
        )
    for n in (1, 2, 3):
        assert detector.members(f"train{n}") == ([f"gen{n}", "schema"], [], [f"check{n}", f"stats{n}"])


def test_a_tuner_does_not_cut_its_trainer_off(watch: Watch) -> None:
    """It trains, but not the model: the data it read is work behind its trainer."""
    detector = watch().feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"]),
        ran(1, "tune", "Tuner", reads=["span"], writes=["params"]),
        ran(2, "train", "Trainer", reads=["params"], writes=["model"]),
    )
    assert detector.members("train") == (["gen", "tune"], [], [])


def test_a_shared_span_is_charged_once(watch: Watch) -> None:
    """In the graphlets of a rolling window it counts for each; in the ledger to the best of them."""
    detector = watch().feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"], node_ms=1),
        ran(1, "first", "Trainer", reads=["span"], node_ms=10),
        ran(2, "second", "Trainer", run="r2", reads=["span"], writes=["m2"], node_ms=100),
    )
    assert detector.graphlet("first")["cost"] == {"ingest": 1, "train": 10}
    assert detector.graphlet("second")["cost"] == {"ingest": 1, "train": 100}
    assert detector.ledger() == {"useful": 0, "wasted": 0, "pending": 111, "unattributed": 0}
    detector.feed(run_ended(4, "r1"))
    assert detector.ledger() == {"useful": 0, "wasted": 10, "pending": 101, "unattributed": 0}
    detector.feed(run_ended(5, "r2"))
    assert detector.ledger() == {"useful": 0, "wasted": 111, "pending": 0, "unattributed": 0}
    detector.feed(ran(6, "push", "Pusher", run="r2", reads=["m2"], node_ms=1000))
    assert detector.ledger() == {"useful": 1101, "wasted": 10, "pending": 0, "unattributed": 0}


def test_cached_costs_nothing(watch: Watch) -> None:
    """What was not run again is not paid again, whatever the sender tells; it is a member all the same."""
    detector = watch().feed(
        ended(0, "gen", "CsvExampleGen", state=CACHED, writes=["span"], node_ms=1000),
        ran(1, "train", "Trainer", reads=["span"], node_ms=10),
    )
    assert detector.graphlet("train")["cost"] == {"ingest": 0, "train": 10}
    assert detector.ledger()["pending"] == 10


def test_a_cached_trainer_has_no_graphlet_and_still_cuts(watch: Watch) -> None:
    """Its model is another trainer's: what the run does with it belongs to that trainer."""
    detector = watch().feed(
        ran(0, "train", "Trainer", reads=["data"], writes=["model"]),
        ended(5, "again", "Trainer", run="r2", state=CACHED, reads=["model", "data"], writes=["model", "logs"]),
        ran(6, "push", "Pusher", run="r2", reads=["model"]),
        ran(7, "read", "Evaluator", run="r2", reads=["logs"]),
    )
    assert [graphlet["trainer"] for graphlet in detector.detector.graphlets()] == ["train"]
    assert detector.members("train") == ([], ["push"], [])
    assert detector.outcome("train")[0] == "pushed"


def test_a_trainer_found_to_be_cached_loses_its_graphlet(watch: Watch) -> None:
    """It looked like training until its end said that nothing ran."""
    detector = watch().feed(started(0, "train", "Trainer", reads=["data"]))
    assert detector.outcome("train")[0] == "open"
    detector.feed(ended(1, "train", "Trainer", state=CACHED))
    assert [graphlet["trainer"] for graphlet in detector.detector.graphlets()] == []


def test_a_trainer_found_to_be_cached_does_not_spoil_the_saved_state() -> None:
    """What was said about it is let go with its graphlet: a restart reads the state without it."""
    first = Detector.load(Settings(), {}, Learner())
    first.step(started(0, "train", "Trainer", reads=["data"]))
    first.step(ended(1, "train", "Trainer", state=CACHED))
    saved = {key: value for key, value in first.take_rows() if value is not None}
    assert list(Detector.load(Settings(), saved).graphlets()) == []


def test_an_event_may_come_before_its_inputs_producers(watch: Watch) -> None:
    """Backwards, from the push to the data, ends like forwards."""
    events = [
        *ran(0, "gen", "CsvExampleGen", writes=["span"]),
        *ran(1, "stats", "StatisticsGen", reads=["span"]),
        *ran(2, "transform", "Transform", reads=["span"], writes=["data"]),
        *ran(3, "train", "Trainer", reads=["data"], writes=["model"]),
        *ran(4, "push", "Pusher", reads=["model"]),
    ]
    detector = watch().feed(reversed(events))
    assert detector.members("train") == (["gen", "transform"], ["push"], ["stats"])
    assert detector.outcome("train") == ("pushed", None, at(5))


def test_an_end_without_a_start_starts_when_it_is_first_heard_of(watch: Watch) -> None:
    """Nothing says how long it took, so it costs what it tells, if anything; a late start is believed."""
    detector = watch().feed(
        ended(5, "train", "Trainer", state=COMPLETE, writes=["model"]),
        ended(9, "push", "Pusher", reads=["model"], node_ms=7),
    )
    assert detector.outcome("train") == ("pushed", None, at(9))
    assert detector.graphlet("train")["cost"] == {"train": 0, "deploy": 7}
    detector.feed(started(3, "train", "Trainer"))
    assert detector.graphlet("train")["cost"] == {"train": 2 * MINUTE, "deploy": 7}


def test_a_run_that_never_ends_is_superseded_by_a_later_push(watch: Watch) -> None:
    """A push of an earlier model says nothing about it."""
    detector = watch().feed(
        ran(0, "before", "Trainer", run="r0", writes=["m0"]),
        ran(5, "hung", "Trainer", writes=["m1"]),
        ran(10, "push0", "Pusher", run="r0", reads=["m0"]),
    )
    assert detector.outcome("hung") == ("open", None, None)
    detector.feed(
        ran(20, "next", "Trainer", run="r2", writes=["m2"]),
        ran(30, "push2", "Pusher", run="r2", reads=["m2"]),
    )
    assert detector.outcome("hung") == ("not_pushed", "superseded", at(31))


def test_a_run_that_never_ends_expires(watch: Watch) -> None:
    """The pipeline's clock moves with any of its events, and with its own alone."""
    detector = watch(horizon_ms=DAY).feed(
        started(0, "hung", "Trainer"),
        started(24 * 60 + 5, "other", "Custom", pipeline="q"),
        started(24 * 60 - 1, "step", "Custom"),
    )
    assert detector.outcome("hung") == ("open", None, None)
    detector.feed(started(24 * 60, "step2", "Custom"))
    assert detector.outcome("hung") == ("not_pushed", "expired", at(0) + DAY)


def test_a_late_push_after_a_negative_corrects_it(watch: Watch) -> None:
    """The first label is not taken back, a second one follows; the ledger moves the cost over."""
    detector = watch(learner=Learner()).feed(ran(0, "train", "Trainer", writes=["model"]), run_ended(2))
    assert detector.outcome("train") == ("not_pushed", "run_ended", at(2))
    assert detector.ledger()["wasted"] == MINUTE
    days = 24 * 60
    detector.feed(ran(3 * days, "other", "CsvExampleGen", run="r2"))
    assert detector.labels("train") == [(1, False)]
    detector.feed(ran(4 * days, "push", "Pusher", reads=["model"]))
    assert detector.outcome("train") == ("pushed", None, at(4 * days + 1))
    assert detector.labels("train") == [(1, False), (2, True)]
    assert detector.ledger() == {"useful": 2 * MINUTE, "wasted": 0, "pending": 0, "unattributed": MINUTE}


@pytest.mark.parametrize("whose", ["run", "trainer"])
def test_a_pruned_run_has_no_label(watch: Watch, whose: str) -> None:
    """Learning from one's own prunes would prove every one of them right."""
    pruned = (
        run_pruned(2)
        if whose == "run"
        else ended(2, "train", "Trainer", state=CANCELED, properties={"pruned_by": "p/train#1"})
    )
    detector = watch(learner=Learner()).feed(
        started(0, "train", "Trainer"), pruned, ran(30 * 24 * 60, "other", "CsvExampleGen", run="r2")
    )
    assert detector.outcome("train") == ("pruned", None, at(2))
    assert detector.labels("train") == [(1, None)]
    assert detector.ledger()["wasted"] == detector.graphlet("train")["cost"]["train"]


def test_a_run_canceled_by_hand_is_a_negative(watch: Watch) -> None:
    """Only a prune names the verdict that asked for it."""
    detector = watch().feed(started(0, "train", "Trainer"), run_ended(2, state=CANCELED))
    assert detector.outcome("train") == ("not_pushed", "run_ended", at(2))


def test_a_failed_trainer_is_a_negative_before_its_run_ends(watch: Watch) -> None:
    """Its run may go on for hours; the cause stays the first that holds."""
    detector = watch().feed(started(0, "train", "Trainer"), ended(2, "train", "Trainer", state=FAILED))
    assert detector.outcome("train") == ("not_pushed", "failed", at(2))
    detector.feed(run_ended(5))
    assert detector.outcome("train") == ("not_pushed", "failed", at(2))


def test_a_resolver_that_reads_and_writes_a_model_joins_no_runs(watch: Watch) -> None:
    """It hands a model on in a cycle of one; what reads the model later is entered once, by the rules."""
    detector = watch().feed(
        ran(0, "first", "Trainer", writes=["m1"]),
        ran(5, "resolve", "Resolver", run="r2", reads=["m1"], writes=["m1"]),
        ran(6, "second", "Trainer", run="r2", writes=["m2"]),
        ran(7, "eval", "Evaluator", run="r2", reads=["m2", "m1"], writes=["blessing"]),
        ran(8, "push", "Pusher", run="r2", reads=["blessing"]),
    )
    assert detector.members("first") == ([], ["resolve"], [])
    assert detector.members("second") == ([], ["eval", "push"], [])


def test_a_dataset_without_versions_does_not_join_all_runs_ever(watch: Watch) -> None:
    """Each reader reads what was finished when it started, even when the writer is heard of later."""
    table = artifact("table", versioned=False)
    detector = watch().feed(
        ran(5, "train1", "Trainer", reads=[table]),
        ran(25, "train2", "Trainer", run="r2", reads=[table]),
        ran(20, "load2", "CsvExampleGen", run="r2", writes=[table]),
        ran(0, "load1", "CsvExampleGen", writes=[table]),
        ran(40, "load3", "CsvExampleGen", run="r3", writes=[table]),
    )
    assert detector.members("train1")[0] == ["load1"]
    assert detector.members("train2")[0] == ["load2"]


def test_a_run_that_lists_its_datasets_joins_nothing(watch: Watch) -> None:
    """The run itself is no step: it has no edges and costs nothing."""
    detector = watch().feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"]),
        happened(0, "r1", "PipelineRun", "RUNNING", reads=["span"], writes=["model"], node_ms=HOUR),
        ran(1, "train", "Trainer", reads=["model"]),
    )
    assert detector.members("train") == ([], [], [])
    assert detector.ledger() == {"useful": 0, "wasted": 0, "pending": MINUTE, "unattributed": MINUTE}


def test_executions_without_a_run_are_no_run_of_their_own(watch: Watch) -> None:
    """Two trainers without a run share nothing; the end of some run ends neither."""
    detector = watch().feed(
        ran(0, "one", "Trainer", run=None, writes=["m1"]),
        ran(0, "two", "Trainer", run=None, writes=["m2"]),
        happened(5, "stray", "PipelineRun", COMPLETE, run=None),
        ran(6, "eval", "Evaluator", run=None, reads=["m1", "m2"]),
    )
    assert detector.outcome("one")[0] == detector.outcome("two")[0] == "open"
    assert detector.members("one")[1] == detector.members("two")[1] == ["eval"]


def test_the_work_of_a_run_that_ends_without_a_trainer_is_wasted(watch: Watch) -> None:
    """Until then nobody can say what it was for; a span that a later run trains on was not wasted."""
    detector = watch().feed(ran(0, "gen", "CsvExampleGen", writes=["span"], node_ms=5))
    assert detector.ledger()["unattributed"] == 5
    detector.feed(run_ended(2))
    assert detector.ledger() == {"useful": 0, "wasted": 5, "pending": 0, "unattributed": 0}
    detector.feed(started(9, "train", "Trainer", run="r2", reads=["span"]))
    assert detector.ledger() == {"useful": 0, "wasted": 0, "pending": 5, "unattributed": 0}
