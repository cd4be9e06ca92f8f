"""Trainings that report, go silent, are tried again or refused: what becomes of them, and what they cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING, Event
from stream_app.core.outputs import Example
from tests.support.builders import DAY, HOUR, MINUTE, artifact, at, ended, happened, ran, run_ended, started
from tests.support.steered import Steered, past
from tests.support.watched import Watched

Watch = Callable[..., Watched]
HOURS = HOUR // MINUTE
DAYS = DAY // MINUTE


def heartbeats(every: float, until: float, execution: str = "t") -> list[Event]:
    """A trainer says now and then that it runs."""
    count = int(until / every)
    return [started(number * every, execution, "Trainer") for number in range(count + 1)]


def clock(minute: float) -> list[Event]:
    """Events that only move the clock."""
    return [started(minute, f"clock {number}", "Custom", run=None) for number in (1, 2)]


def cost(watched: Watched, trainer: str = "t") -> int:
    """The cost of a trainer alone, in node-ms."""
    return int(watched.graphlet(trainer)["cost"]["train"])


# Lost


def test_a_training_that_ceases_to_report_is_lost_and_costs_what_it_ran(watch: Watch) -> None:
    """Killed after ten hours: known six hours later."""
    watched = watch().feed(heartbeats(HOURS, 10 * HOURS), clock(16 * HOURS - 1))
    assert watched.outcome("t") == ("open", None, None)

    watched.feed(clock(16 * HOURS))

    assert watched.outcome("t") == ("not_pushed", "lost", at(10 * HOURS))
    assert watched.ledger()["wasted"] == cost(watched) == 10 * HOUR


def test_how_long_the_silence_may_be_is_a_setting(watch: Watch) -> None:
    """Some trainings report once a day."""
    watched = watch(lost_ms=2 * DAY).feed(heartbeats(HOURS, 10 * HOURS), clock(40 * HOURS))

    assert watched.outcome("t") == ("open", None, None)


def test_a_later_report_finds_a_lost_training_again(watch: Watch) -> None:
    """Its network was away; in the end it is pushed."""
    watched = watch().feed(heartbeats(HOURS, 2 * HOURS), clock(9 * HOURS))
    assert watched.outcome("t")[1] == "lost"

    watched.feed(started(10 * HOURS, "t", "Trainer"))
    assert watched.outcome("t")[0] == "open"
    watched.feed(ended(11 * HOURS, "t", "Trainer", writes=["m"]), ran(12 * HOURS, "push", "Pusher", reads=["m"]))

    assert watched.outcome("t")[0] == "pushed"
    assert cost(watched) == 11 * HOUR


@pytest.mark.parametrize("refuses", [False, True])
def test_a_training_that_falls_silent_after_the_end_of_its_run_is_lost_too(watch: Watch, refuses: bool) -> None:
    """Killed with its run: the clock alone tells, whatever its outcome was before."""
    before = refused() if refuses else []
    watched = watch().feed(started(0, "t", "Trainer"), ended(1, "t", "Trainer", state=RUNNING, writes=["m"]), before)
    watched.feed(run_ended(5), clock(6 * HOURS))
    assert watched.outcome("t")[1] == ("refused" if refuses else "run_ended")

    assert watched.feed(clock(6 * HOURS + 1)).outcome("t") == ("not_pushed", "lost", at(1))


def test_a_refusal_at_the_horizon_needs_no_event_of_a_training_that_reports(watch: Watch) -> None:
    """The clock alone tells, also after a restart."""
    watched = watch(lost_ms=30 * DAY).feed(heartbeats(HOURS, HOURS))
    watched.feed(ended(62, "t", "Trainer", state=RUNNING, writes=["m"]), refused(63))
    watched = watched.restarted().feed(clock(14 * DAYS))

    assert watched.outcome("t") == ("not_pushed", "refused", at(14 * DAYS))


def test_a_sender_without_heartbeats_loses_no_training(watch: Watch) -> None:
    """Only its start was reported: it may run for days."""
    watched = watch().feed(started(0, "t", "Trainer"), happened(5, "t", "Trainer", NEW), clock(3 * DAYS))

    assert watched.outcome("t") == ("open", None, None)


def test_a_training_that_reports_stays_open_however_long_it_runs(watch: Watch) -> None:
    """Beyond the horizon, and although a later training was pushed."""
    later = [
        *ran(DAYS, "next", "Trainer", run="r2", writes=["m2"]),
        *ran(2 * DAYS, "p", "Pusher", run="r2", reads=["m2"]),
    ]
    watched = watch().feed(heartbeats(5 * HOURS, 20 * DAYS), later)

    assert watched.outcome("t") == ("open", None, None)


def test_after_a_training_beyond_the_horizon_its_push_has_a_horizon_of_its_own(watch: Watch) -> None:
    """It counts from the training's end."""
    watched = watch().feed(heartbeats(5 * HOURS, 20 * DAYS), ended(20 * DAYS, "t", "Trainer"), clock(33 * DAYS))
    assert watched.outcome("t")[0] == "open"

    watched.feed(clock(34 * DAYS))

    assert watched.outcome("t") == ("not_pushed", "expired", at(34 * DAYS))


def test_what_a_pipeline_has_learned_delays_only_the_word(watch: Watch) -> None:
    """The outcome is there at once; the example comes when trainings of this pipeline usually have their push."""
    watched = watch(Steered()).feed(past(4), heartbeats(HOURS, 2 * HOURS, "late"), clock(8 * HOURS))
    assert watched.outcome("late")[1] == "lost"

    watched.feed(clock(3 * DAYS))

    labels = [output for output in watched.outputs if isinstance(output, Example) and output.trainer == "late"]
    assert [(example.pushed, example.cause) for example in labels] == [(False, "lost")]


# Attempts


def test_the_time_between_attempts_is_no_compute(watch: Watch) -> None:
    """Failed after one hour, resumed three days later under its id for four."""
    watched = watch().feed(started(0, "t", "Trainer"), ended(HOURS, "t", "Trainer", state=FAILED))
    assert watched.outcome("t") == ("not_pushed", "failed", at(HOURS))

    watched.feed(started(3 * DAYS, "t", "Trainer"))
    assert watched.outcome("t") == ("open", None, None)
    watched.feed(ended(3 * DAYS + 4 * HOURS, "t", "Trainer"))

    assert cost(watched) == 5 * HOUR


def test_pauses_are_no_compute_of_trainings_that_report_each_minute(watch: Watch) -> None:
    """However many reports there are, in whatever order."""
    first = [started(minute, "t", "Trainer") for minute in range(300)]
    second = [started(5 * DAYS + minute, "t", "Trainer") for minute in range(100)]
    ends = [ended(300, "t", "Trainer", state=FAILED), ended(5 * DAYS + 100, "t", "Trainer")]
    log = [*first, *second, *ends]

    assert cost(watch().feed(log)) == cost(watch().feed(log[::-1])) == 400 * MINUTE


def test_an_end_told_twice_is_no_attempt(watch: Watch) -> None:
    """A tag was set 18 days later."""
    watched = watch().feed(
        ended(0, "registration", "ModelRegistration", run=None, reads=["m"]),
        ended(18 * DAYS, "registration", "ModelRegistration", run=None, reads=["m"]),
    )

    assert watched.ledger() == {"useful": 0, "wasted": 0, "pending": 0, "unattributed": 0}


def test_a_start_after_its_end_is_a_wrong_clock_and_no_second_attempt(watch: Watch) -> None:
    """The training failed; it does not run for ever."""
    watched = watch().feed(ended(4, "t", "Trainer", state=FAILED), started(5, "t", "Trainer"))

    assert watched.outcome("t") == ("not_pushed", "failed", at(4))
    assert cost(watched) == 0


def test_a_run_that_was_started_again_has_not_ended(watch: Watch) -> None:
    """A failed DAG run was cleared."""
    watched = watch().feed(
        happened(0, "r1", "PipelineRun", RUNNING), ran(1, "t", "Trainer"), run_ended(5, state=FAILED)
    )
    assert watched.outcome("t")[1] == "run_ended"

    watched.feed(happened(60, "r1", "PipelineRun", RUNNING))
    assert watched.outcome("t")[0] == "open"
    watched.feed(run_ended(90))

    assert watched.outcome("t") == ("not_pushed", "run_ended", at(90))


# Tries


def tried(minute: float, execution: str, state: str, index: int | None = None) -> list[Event]:
    """One try of the task `train`, which takes four minutes."""
    properties: dict[str, str | int] = {"job": "dag.train"}
    if index is not None:
        properties["map_index"] = index
    return [
        started(minute, execution, "Trainer", reads=["data"], properties=properties),
        ended(minute + 4, execution, "Trainer", state=state, writes=[f"m-{execution}"] if state == COMPLETE else []),
    ]


def test_failed_tries_belong_to_the_graphlet_of_the_last_try(watch: Watch) -> None:
    """Each has an id of its own; there is one training, which was pushed."""
    watched = watch().feed(
        tried(0, "try1", FAILED), tried(5, "try2", FAILED), tried(10, "try3", COMPLETE),
        ran(15, "push", "Pusher", reads=["m-try3"]), run_ended(20),
    )  # fmt: skip

    (graphlet,) = watched.detector.graphlets()
    assert (graphlet["trainer"], graphlet["up"], graphlet["outcome"]) == ("try3", ["try1", "try2"], "pushed")
    assert cost(watched, "try3") == 12 * MINUTE


def test_a_failed_try_teaches_nothing_of_its_own(watch: Watch) -> None:
    """What is learned is what became of its task."""
    watched = watch(Steered()).feed(past(3), tried(300, "try1", FAILED), tried(310, "try2", COMPLETE))
    watched.feed(ran(320, "push", "Pusher", reads=["m-try2"]), run_ended(330), clock(30 * DAYS))

    assert (watched.labels("try1"), watched.labels("try2")) == ([], [(1, True)])


def test_a_failed_task_that_nobody_tries_again_is_a_negative(watch: Watch) -> None:
    """Once its push would have come."""
    watched = watch(Steered()).feed(past(3), tried(300, "try1", FAILED), clock(30 * DAYS))

    assert watched.labels("try1") == [(1, False)]


def test_trainings_of_a_mapped_task_are_not_tries_of_each_other(watch: Watch) -> None:
    """One failed just before another one started."""
    watched = watch().feed(tried(0, "a", FAILED, index=1), tried(5, "b", COMPLETE, index=2), run_ended(20))

    assert [graphlet["trainer"] for graphlet in watched.detector.graphlets()] == ["a", "b"]


def test_trainings_side_by_side_are_not_tries_of_each_other(watch: Watch) -> None:
    """The second started before the first had failed."""
    watched = watch().feed(tried(0, "a", FAILED), tried(2, "b", COMPLETE), run_ended(20))

    assert [graphlet["trainer"] for graphlet in watched.detector.graphlets()] == ["a", "b"]


def test_a_training_that_was_pruned_is_no_failed_try(watch: Watch) -> None:
    """It did not fail: it was stopped."""
    stopped = happened(4, "a", "Trainer", CANCELED, properties={"pruned_by": "v#1", "job": "dag.train"})
    watched = watch().feed(tried(0, "a", FAILED)[:1], stopped, tried(5, "b", COMPLETE))

    assert watched.outcome("a")[0] == "pruned"


# Refused, skipped, unknown


def refused(minute: float = 2) -> list[Event]:
    return ran(minute, "push", "Pusher", reads=["m"], writes=[artifact("out", pushed=0)])


def test_a_graphlet_that_was_not_let_through_is_refused_when_its_run_ends(watch: Watch) -> None:
    """Every deploy execution says that it did not push."""
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"]), refused())
    assert watched.outcome("t")[0] == "open"

    assert watched.feed(run_ended(5)).outcome("t") == ("not_pushed", "refused", at(5))


def test_without_a_runs_end_it_is_refused_at_the_horizon(watch: Watch) -> None:
    """Until then a later push supersedes it."""
    watched = watch().feed(
        ran(0, "t", "Trainer", writes=["m"]), refused(),
        ran(9, "next", "Trainer", run="r2", writes=["m2"]), ran(11, "p2", "Pusher", run="r2", reads=["m2"]),
    )  # fmt: skip
    assert watched.outcome("t") == ("not_pushed", "superseded", at(12))

    assert watched.feed(clock(14 * DAYS)).outcome("t") == ("not_pushed", "refused", at(14 * DAYS))


def test_a_push_after_a_refusal_counts(watch: Watch) -> None:
    """A second deploy execution got through."""
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"]), refused(), run_ended(5))

    assert watched.feed(ran(9, "again", "Pusher", reads=["m"])).outcome("t")[0] == "pushed"


def test_a_task_that_its_run_calls_skipped_pushed_nothing(watch: Watch) -> None:
    """Airflow reports COMPLETE for it."""
    push = [ended(3, "push", "Pusher", reads=["m"], properties={"task": "deploy_model"})]
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"]), push)
    assert watched.outcome("t")[0] == "pushed"

    watched.feed(happened(5, "r1", "PipelineRun", COMPLETE, properties={"skipped_tasks": "report,deploy_model"}))

    assert watched.outcome("t")[0] == "not_pushed"


@pytest.mark.parametrize("first", ["the push", "the run"])
def test_the_run_of_a_push_tells_what_was_skipped_whichever_run_trained(watch: Watch, first: str) -> None:
    """Models are often deployed by a pipeline run of their own."""
    told: list[Event] = [
        ended(3, "push", "Pusher", run="deploy", reads=["m"], properties={"task": "deploy_model"}),
        happened(5, "deploy", "PipelineRun", COMPLETE, run="deploy", properties={"skipped_tasks": "deploy_model"}),
    ]
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"]), told if first == "the push" else told[::-1])

    assert watched.outcome("t")[0] == "open"


@pytest.mark.parametrize("said", [True, 1, "true"])
def test_what_its_source_cannot_tell_is_unknown_and_teaches_nothing(watch: Watch, said: bool | int | str) -> None:
    """It is no negative, and its compute is a class of its own."""
    watched = watch(Steered()).feed(
        past(3), started(300, "t", "Trainer", run="x"),
        ended(310, "t", "Trainer", run="x", properties={"label_unknown": said}), run_ended(320, "x"), clock(30 * DAYS),
    )  # fmt: skip

    assert watched.outcome("t") == ("unknown", "registry_gap", at(310))
    assert watched.labels("t") == []
    assert watched.detector.ledger("p").unknown == 10 * MINUTE


def test_a_push_makes_the_unknown_known(watch: Watch) -> None:
    """The registry tells after all."""
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"], properties={"label_unknown": True}))
    assert watched.outcome("t")[0] == "unknown"

    assert watched.feed(ran(9, "push", "Pusher", reads=["m"])).outcome("t")[0] == "pushed"
