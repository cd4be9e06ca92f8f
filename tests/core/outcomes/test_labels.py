"""What an outcome teaches, and when it is said: grace, corrections, prunes, and examples with their frozen stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from stream_app.core.detector import Detector
from stream_app.core.events import CANCELED, FAILED, NEW, Event
from stream_app.core.outputs import Example, Verdict
from stream_app.core.state.history import History
from tests.support.builders import DAY, HOUR, MINUTE, artifact, at, ended, happened, ran, run_ended, run_pruned, started
from tests.support.steered import EVALUATE_MS, PERIOD, PREPROCESS_MS, TRAIN_MS, Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]
HOURS = HOUR // MINUTE
DAYS = DAY // MINUTE


def examples(watched: Watched, graphlet: str | None = None) -> list[Example]:
    """The examples given so far, of all graphlets or of one."""
    found = [output for output in watched.outputs if isinstance(output, Example)]
    return [e for e in found if graphlet is None or e.graphlet == graphlet]


def history(watched: Watched) -> History:
    return watched.detector.pipelines["p"].history


def clock(minute: float) -> Event:
    """An event that only moves the clock."""
    return started(minute, "clock", "Custom", run=None)


# When an outcome is said


def test_after_a_runs_end_an_hour_of_grace_passes(watch: Watch) -> None:
    """The push may still come; what is said then bears the time of the end, and when it was said."""
    watched = watch(Steered()).feed(ran(0, "train", "Trainer"), run_ended(10), clock(69))
    assert examples(watched) == []

    watched.feed(clock(70))

    (example,) = examples(watched)
    assert (example.pushed, example.cause) == (False, "run_ended")
    assert (example.time_ms, example.announced_ms) == (at(10), at(70))


def test_a_push_within_the_grace_leaves_one_label(watch: Watch) -> None:
    """It was never called a negative."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", writes=["m"]), run_ended(10), ran(60, "push", "Pusher", reads=["m"]), clock(DAYS)
    )

    assert [(e.label_revision, e.pushed, e.time_ms) for e in examples(watched)] == [(1, True, at(61))]


def slow_pushes(delay: int, runs: int = 3) -> list[Event]:
    """Runs that end at once and are pushed `delay` minutes later."""
    log: list[Event] = []
    for number in range(runs):
        start, run = 2 * delay * number, f"slow{number}"
        log += ran(start, f"train{number}", "Trainer", run=run, writes=[f"m{number}"])
        log += [run_ended(start + 2, run)]
        log += ran(start + 1 + delay, f"push{number}", "Pusher", run=None, reads=[f"m{number}"])
    return log


@pytest.mark.parametrize(("delay", "grace"), [(4 * HOURS, 6 * HOURS), (40, 60), (6 * DAYS, 7 * DAYS)])
def test_the_grace_is_learned_from_the_pipelines_pushes(watch: Watch, delay: int, grace: int) -> None:
    """Half as long again as the slowest of its last pushes took, and never more than a week."""
    watched = watch(Steered()).feed(*slow_pushes(delay))
    start = 8 * delay
    watched.feed(ran(start, "train", "Trainer"), run_ended(start + 10), clock(start + 10 + grace - 1))
    assert examples(watched, "p/train") == []

    watched.feed(clock(start + 10 + grace))

    assert [e.pushed for e in examples(watched, "p/train")] == [False]


def test_a_pipeline_that_pushes_before_its_runs_end_waits_no_longer(watch: Watch) -> None:
    """After three such pushes a run that ends without one is over."""
    watched = watch(Steered()).feed(past(4, pushed=True), whole_run(9 * PERIOD, "now"))

    assert [e.announced_ms for e in examples(watched, "p/train-now")] == [at(9 * PERIOD + 9)]


def test_what_needs_no_grace_is_said_at_once(watch: Watch) -> None:
    """A push, and a trainer that failed: no push of it can follow."""
    watched = watch(Steered()).feed(
        started(0, "bad", "Trainer"),
        ended(5, "bad", "Trainer", state=FAILED),
        ran(6, "good", "Trainer", writes=["m"]),
        ran(8, "push", "Pusher", reads=["m"]),
    )

    said = [(e.graphlet, e.cause, e.time_ms, e.announced_ms) for e in examples(watched) if e.trainer]
    assert said == [("p/bad", "failed", at(5), at(5)), ("p/good", "pushed", at(9), at(9))]


def test_what_a_later_push_supersedes_is_said_once_its_own_would_have_come(watch: Watch) -> None:
    """The run itself never ended; an hour after its trainer's start, while three pushes have not shown how long."""
    watched = watch(Steered()).feed(
        ran(0, "hung", "Trainer"),
        ran(10, "next", "Trainer", run="r2", writes=["m"]),
        ran(20, "push", "Pusher", run="r2", reads=["m"]),
        clock(59),
    )
    assert examples(watched, "p/hung") == []

    watched.feed(clock(60))

    (example,) = examples(watched, "p/hung")
    assert (example.pushed, example.cause, example.time_ms) == (False, "superseded", at(21))


def test_how_long_a_superseded_one_is_waited_for_is_learned_from_the_pipelines_pushes(watch: Watch) -> None:
    """Half as long again as the slowest of its last pushes took from its trainer's start."""
    watched = watch(Steered()).feed(slow_pushes(4 * HOURS))
    start, grace_over = 40 * HOURS, 6 * HOURS + 3
    watched.feed(
        started(start, "hung", "Trainer", run="h"),
        ran(start + 1, "next", "Trainer", run="n", writes=["mn"]),
        ran(start + 3, "push", "Pusher", run="n", reads=["mn"]),
        clock(start + grace_over - 1),
    )
    assert examples(watched, "p/hung") == []

    watched.feed(clock(start + grace_over))

    assert [e.cause for e in examples(watched, "p/hung")] == ["superseded"]


def test_a_run_that_is_overtaken_and_pushed_later_has_one_label(watch: Watch) -> None:
    """It was slow, no negative."""
    watched = watch(Steered()).feed(
        started(0, "slow", "Trainer"),
        ran(1, "fast", "Trainer", run="r2", writes=["m2"]),
        ran(3, "p2", "Pusher", run="r2", reads=["m2"]),
        ended(5, "slow", "Trainer", writes=["m1"]),
        ran(6, "eval", "Evaluator", reads=["m1"]),
        ran(8, "p1", "Pusher", reads=["m1"]),
        clock(DAYS),
    )

    assert [(e.label_revision, e.pushed) for e in examples(watched, "p/slow")] == [(1, True)]


def test_a_superseded_run_that_ends_waits_out_the_grace_after_its_end(watch: Watch) -> None:
    """A nearer fact puts off what was queued before it."""
    watched = watch(Steered()).feed(
        ran(0, "slow", "Trainer"),
        ran(1, "fast", "Trainer", run="r2", writes=["m2"]),
        ran(3, "p2", "Pusher", run="r2", reads=["m2"]),
        run_ended(50),
        clock(109),
    )
    assert examples(watched, "p/slow") == []

    watched.feed(clock(110))

    assert [(e.cause, e.time_ms) for e in examples(watched, "p/slow")] == [("run_ended", at(50))]


def test_an_outcome_is_said_once(watch: Watch) -> None:
    """Further ends, repeated events and the passing of time repeat nothing."""
    watched = watch(Steered()).feed(past(1))
    watched.feed(clock(DAYS), past(1), run_ended(DAYS + 1, "past0"), clock(3 * DAYS))

    assert [(e.id) for e in examples(watched)] == ["p/train-past0#1", "p/run:past0#1"]


# Corrections


def test_a_push_after_a_negative_is_said_as_a_second_revision(watch: Watch) -> None:
    """It carries the same frozen stages: what was known then, not now."""
    watched = watch(Steered()).feed(whole_run(0, "r1"), clock(DAYS))
    watched.feed(ran(2 * DAYS, "push", "Pusher", reads=["model-r1"], node_ms=0))
    first, second = examples(watched, "p/train-r1")

    assert [(e.id, e.pushed, e.cause) for e in (first, second)] == [
        ("p/train-r1#1", False, "run_ended"),
        ("p/train-r1#2", True, "pushed"),
    ]
    assert first.stages == second.stages
    assert second.time_ms == second.announced_ms == at(2 * DAYS + 1)


def test_the_run_is_corrected_with_its_trainer(watch: Watch) -> None:
    """Whether any trainer of the run was pushed has another answer now."""
    watched = watch(Steered()).feed(whole_run(0, "r1"), clock(DAYS))
    watched.feed(ran(2 * DAYS, "push", "Pusher", reads=["model-r1"]))

    first, second = examples(watched, "p/run:r1")
    assert [(e.label_revision, e.pushed) for e in (first, second)] == [(1, False), (2, True)]
    assert [record.features for record in second.stages] == [record.features for record in first.stages] != []


def test_a_correction_counts_as_a_push_and_as_no_further_run(watch: Watch) -> None:
    """The history has one labelled graphlet, and it was pushed."""
    watched = watch(Steered()).feed(whole_run(0, "r1"), clock(DAYS))
    assert (history(watched).labelled, history(watched).pushes) == (1, 0)

    watched.feed(ran(2 * DAYS, "push", "Pusher", reads=["model-r1"]))

    assert (history(watched).labelled, history(watched).pushes, history(watched).runs_since) == (1, 1, 0)
    assert history(watched).push_ms == [at(2 * DAYS + 1)]


def test_a_correction_reaches_rates_and_streaks(watch: Watch) -> None:
    """As if it had been pushed all along, one labelled run ago."""
    watched = watch(Steered()).feed(
        ran(0, "one", "Trainer", run="r1", writes=["m"], properties={"code_version": "a"}),
        run_ended(2, "r1"),
        ran(200, "two", "Trainer", run="r2", properties={"code_version": "b"}),
        run_ended(202, "r2"),
        clock(600),
        ran(700, "p", "Pusher", run="r1", reads=["m"]),
    )
    known = history(watched)

    assert (known.labelled, known.pushes, known.runs_since) == (2, 1, 1)
    assert (known.outcomes, known.causes) == ([1, 0], ["pushed", "run_ended"])
    assert (known.pushed.count, known.pushed.mean, known.runs_between) == (2, 0.5, [1])
    assert known.codes == {"a": [1, 1, 0], "b": [1, 0, 0]}


def test_a_pruned_graphlet_that_is_pushed_all_the_same_is_labelled_then(watch: Watch) -> None:
    """Pruned, it had no label to be corrected: pushes never outnumber labels."""
    watched = watch(Steered())
    for i in range(4):
        run = f"r{i}"
        watched.feed(
            started(i * 10, f"t{i}", "Trainer", run=run),
            ended(i * 10 + 1, f"t{i}", "Trainer", run=run, state=CANCELED, properties={"pruned_by": "x"}),
            ended(i * 10 + 1, f"t{i}", "Trainer", run=run, writes=[f"m{i}"]),
            ran(i * 10 + 2, f"p{i}", "Pusher", run=run, reads=[f"m{i}"]),
        )

    assert (history(watched).labelled, history(watched).pushes) == (4, 4)
    assert all(0 <= stage.baseline <= 1 for e in examples(watched) for stage in e.stages)


def test_a_push_that_is_taken_back_is_counted_once(watch: Watch) -> None:
    """A Pusher is told COMPLETE, then that it refused, and then to have pushed: three labels, one run, one push."""
    watched = watch(Steered()).feed(
        ran(0, "t", "Trainer", writes=["m"]),
        started(3, "p", "Pusher", reads=["m"]),
        ended(4, "p", "Pusher"),
        ended(4, "p", "Pusher", writes=[artifact("out", pushed=0)]),
        run_ended(5),
    )
    again = watched.restarted()
    for each in (watched, again):
        each.feed(clock(200), ended(300, "p", "Pusher", writes=[artifact("out", pushed=1)]))

    assert watched.labels("t") == [(1, True), (2, False), (3, True)]
    assert again.labels("t") == [(3, True)]
    for known in (history(watched), history(again)):
        assert (known.labelled, known.pushes, known.outcomes, len(known.push_flags)) == (1, 1, [1], 1)


def test_what_is_final_is_not_kept_to_be_said_again(watch: Watch) -> None:
    """After a push and the run's end nothing is corrected: the stages of trainer and run go; the verdicts stay said."""
    watched = watch(Steered()).feed(whole_run(0, "good", pushed=True), whole_run(20, "bad"), clock(DAYS))
    pipeline = watched.detector.pipelines["p"]

    def kept(run: str) -> list[int]:
        talks = (pipeline.graphlets[f"train-{run}"].predictions, pipeline.runs[run].predictions)
        return [len(predictions.stages) for predictions in talks if predictions is not None]

    assert (kept("good"), kept("bad")) == ([0, 0], [3, 1])
    before = len(watched.outputs)
    watched.feed(whole_run(0, "good", pushed=True))
    assert len(watched.outputs) == before


def test_a_failed_trainers_stages_are_not_kept_either(watch: Watch) -> None:
    """It will not be pushed any more; those of its run wait for the run's own label."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"), started(1, "t", "Trainer"), ended(2, "t", "Trainer", state=FAILED)
    )
    pipeline = watched.detector.pipelines["p"]
    graphlet, run = pipeline.graphlets["t"].predictions, pipeline.runs["r1"].predictions

    assert graphlet is not None
    assert run is not None
    assert (len(graphlet.stages), len(run.stages)) == (0, 1)
    watched.feed(run_ended(3), clock(DAYS))
    assert len(run.stages) == 0


@pytest.mark.parametrize("restart", [False, True])
def test_the_second_correction_of_a_run_shows_what_it_inherits_like_the_first(watch: Watch, restart: bool) -> None:
    """Each of its trainers was at stake when its run was."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        ran(2, "one", "Trainer", writes=["m1"]),
        ran(2, "two", "Trainer", writes=["m2"]),
        run_ended(9),
        clock(DAYS),
        ran(2 * DAYS, "p1", "Pusher", reads=["m1"]),
    )
    (_, first), later = examples(watched, "p/one"), watched.restarted() if restart else watched
    later.feed(ran(3 * DAYS, "p2", "Pusher", reads=["m2"]))
    second = examples(later, "p/two")[-1]

    assert (first.label_revision, second.label_revision) == (2, 2)
    assert [(r.stage, r.score) for r in second.inherited] == [(r.stage, r.score) for r in first.inherited] != []


def test_a_trainer_that_begins_after_its_runs_push_inherits_what_was_said_of_the_run(watch: Watch) -> None:
    """The run goes on: one of its trainers was pushed, the next is at stake."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        ran(2, "one", "Trainer", writes=["m1"]),
        ran(4, "p1", "Pusher", reads=["m1"]),
        ran(6, "two", "Trainer", writes=["m2"]),
        ran(8, "p2", "Pusher", reads=["m2"]),
    )

    assert [(e.trainer, len(e.inherited)) for e in examples(watched) if e.trainer] == [("one", 1), ("two", 1)]


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_a_run_counted_without_a_trainer_is_not_counted_again_with_one(
    watch: Watch, restart: bool, pushed: bool
) -> None:
    """Its trainer is told of after the run was labelled: it has a label of its own, and the history one run."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"), run_ended(9), clock(69))
    assert (history(watched).labelled, history(watched).outcomes) == (1, [0])

    watched = watched.restarted() if restart else watched
    if pushed:
        watched.feed(ran(5, "p", "Pusher", reads=["m"]))
    watched.feed(ended(3, "t", "Trainer", writes=["m"]), clock(DAYS))

    assert watched.labels("t") == [(1, pushed)]
    known = history(watched)
    assert (known.labelled, known.pushes, known.outcomes) == (1, int(pushed), [int(pushed)])
    watched.feed(ran(3, "two", "Trainer"), clock(2 * DAYS))
    assert history(watched).labelled == 2


# Prunes


def test_a_pruned_graphlet_has_no_label(watch: Watch) -> None:
    """Neither it nor its run, which was stopped with it; both are said at once."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"), started(1, "train", "Trainer"), run_pruned(2))

    said = {e.graphlet: (e.pushed, e.cause, e.announced_ms) for e in examples(watched)}
    assert said == dict.fromkeys(("p/train", "p/run:r1"), (None, "pruned", at(2)))


def test_a_run_one_of_whose_trainers_was_pruned_has_no_label(watch: Watch) -> None:
    """That trainer might have been the one to be pushed."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        started(1, "one", "Trainer"),
        started(1, "two", "Trainer"),
        ended(2, "one", "Trainer", state=CANCELED, properties={"pruned_by": "p/one#1"}),
        run_ended(9),
        clock(DAYS),
    )

    labels = {e.graphlet: e.pushed for e in examples(watched)}
    assert labels == {"p/one": None, "p/two": False, "p/run:r1": None}


def test_a_pruned_run_whose_other_trainer_was_pushed_is_a_push(watch: Watch) -> None:
    """The question was whether any of them would be, and one was."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        ran(1, "one", "Trainer", writes=["m"]),
        started(1, "two", "Trainer"),
        ended(3, "two", "Trainer", state=CANCELED, properties={"pruned_by": "p/two#1"}),
        ran(4, "push", "Pusher", reads=["m"]),
        run_ended(9),
    )

    labels = {e.graphlet: e.pushed for e in examples(watched)}
    assert labels == {"p/one": True, "p/two": None, "p/run:r1": True}


def test_a_pruned_run_is_missing_in_the_history(watch: Watch) -> None:
    """It is no negative there either: rates, causes, costs and streaks stay what they were."""
    watched = watch(Steered()).feed(past(3), clock(2 * DAYS))
    known = history(watched)
    before = (known.labelled, known.runs_since, list(known.outcomes), list(known.causes), known.costs["train"].count)

    watched.feed(started(3 * DAYS, "train", "Trainer"), run_pruned(3 * DAYS + 1), clock(4 * DAYS))

    assert [e.pushed for e in examples(watched, "p/train")] == [None]
    assert before == (
        known.labelled,
        known.runs_since,
        known.outcomes,
        known.causes,
        known.costs["train"].count,
    )


def test_a_run_that_never_ends_and_whose_trainer_was_pruned_has_no_label(watch: Watch) -> None:
    """At its horizon, with and without a restart on the way."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        started(1, "t", "Trainer"),
        ended(2, "t", "Trainer", state=CANCELED, properties={"pruned_by": "v#1"}),
    )
    again = watched.restarted()

    for each in (watched, again):
        each.tick(at(0) + 20 * DAY)
        assert [(e.pushed, e.cause) for e in examples(each, "p/run:r1")] == [(None, "pruned")]


# Provisional graphlets


def test_a_run_is_labelled_by_whether_any_of_its_trainers_was_pushed(watch: Watch) -> None:
    """One of two is enough, and it is said as soon as that one is pushed."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        ran(1, "two", "Trainer", writes=["m2"]),
        ran(2, "one", "Trainer", writes=["m1"]),
        ran(4, "push", "Pusher", reads=["m2"]),
    )
    assert [(e.trainer, e.pushed) for e in examples(watched)] == [("two", True), (None, True)]

    watched.feed(run_ended(9), clock(DAYS))

    assert [(e.trainer, e.pushed) for e in examples(watched)][2:] == [("one", False)]


def test_a_run_whose_trainers_all_failed_failed(watch: Watch) -> None:
    """Its label says why, once the run is over and no other trainer can come."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"), started(1, "train", "Trainer"), ended(2, "train", "Trainer", state=FAILED)
    )
    assert examples(watched, "p/run:r1") == []

    watched.feed(run_ended(3, state=FAILED), clock(DAYS))

    assert [(e.pushed, e.cause) for e in examples(watched, "p/run:r1")] == [(False, "failed")]


def test_a_run_that_ends_without_a_trainer_is_a_negative(watch: Watch) -> None:
    """Its work led to no model; it counts in the history like a graphlet."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"), ended(1, "prep", "Transform", state=FAILED), run_ended(2), clock(DAYS)
    )

    (example,) = examples(watched)
    assert (example.graphlet, example.trainer, example.pushed) == ("p/run:r1", None, False)
    assert history(watched).labelled == 1


def test_a_run_whose_trainer_is_superseded_or_expires_does_so_with_it(watch: Watch) -> None:
    """Runs that never end end like their last trainer."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"), started(5, "train", "Trainer"))
    watched.feed(clock(14 * DAYS + 5 + HOURS))

    said = [(e.graphlet, e.pushed, e.cause, e.time_ms) for e in examples(watched)]
    assert sorted(said) == [
        ("p/run:r1", False, "expired", at(14 * DAYS + 5)),
        ("p/train", False, "expired", at(14 * DAYS + 5)),
    ]


def test_a_hung_run_without_a_trainer_reaches_its_horizon(watch: Watch) -> None:
    """Counted from its first event."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"))
    assert examples(watched.tick(at(0) + 14 * DAY - 1)) == []

    watched.tick(at(0) + 14 * DAY)

    assert [(e.graphlet, e.pushed, e.cause) for e in examples(watched)] == [("p/run:r1", False, "expired")]


def test_a_run_whose_trainer_failed_and_that_never_ends_reaches_its_horizon(watch: Watch) -> None:
    """Another trainer might have come before."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"), started(1, "t", "Trainer"), ended(2, "t", "Trainer", state=FAILED)
    )
    assert examples(watched, "p/run:r1") == []

    watched.tick(at(0) + 14 * DAY)

    assert [(e.pushed, e.cause) for e in examples(watched, "p/run:r1")] == [(False, "expired")]


# Examples


def test_an_example_carries_what_was_asked_and_said(watch: Watch) -> None:
    """Features as the learner had them, the verdict's numbers, and the policy's words, frozen."""
    learner = Steered(p_at={"input": 0.2, "preprocess": 0.3, "train": 0.4, "validate": 0.5})
    watched = watch(learner).feed(past(2), whole_run(10 * PERIOD, "now"), clock(2 * DAYS))
    verdicts = [output for output in watched.outputs if isinstance(output, Verdict) and output.run == "now"]
    (run,) = examples(watched, "p/run:now")
    (trainer,) = examples(watched, "p/train-now")

    assert [r.stage for r in run.stages] == ["input"]
    assert [r.stage for r in trainer.stages] == ["preprocess", "train", "validate"]
    for record, verdict, asked in zip([*run.stages, *trainer.stages], verdicts, learner.asked[-4:], strict=True):
        assert (record.stage, record.features) == asked
        assert (record.stage, record.validator, record.time_ms) == (verdict.stage, verdict.validator, verdict.time_ms)
        assert (record.p, record.score, record.decision) == (verdict.p_push, verdict.score, verdict.decision)
        assert (record.cost, record.cost_left, record.propensity) == (verdict.cost, verdict.cost_left, 1.0)


def test_a_trainer_shows_what_it_inherits(watch: Watch) -> None:
    """Calibration has to know that its run was at stake before it was known."""
    watched = watch(Steered()).feed(past(1), clock(DAYS))
    (run,), (trainer,) = examples(watched, "p/run:past0"), examples(watched, "p/train-past0")

    assert (run.inherited, trainer.inherited) == ([], run.stages)


def test_what_was_really_left_is_what_began_after_the_stage(watch: Watch) -> None:
    """In node-seconds: all of a run at its input, without preprocessing at the trainer, the validators after that."""
    watched = watch(Steered()).feed(past(1), clock(DAYS))
    (run,), (trainer,) = examples(watched, "p/run:past0"), examples(watched, "p/train-past0")

    assert [r.actual_left for r in run.stages] == [(PREPROCESS_MS + TRAIN_MS + EVALUATE_MS) / 1000]
    assert [r.actual_left for r in trainer.stages] == [(TRAIN_MS + EVALUATE_MS) / 1000, EVALUATE_MS / 1000, 0.0]


def test_what_another_run_did_is_not_left_to_this_one(watch: Watch) -> None:
    """A shared span, ingested late by somebody else, could not have been spared."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform", reads=["span"]),
        ran(1, "train", "Trainer", reads=["span"], node_ms=7000),
        ran(5, "gen", "CsvExampleGen", run="r0", writes=["span"], node_ms=HOUR),
        run_ended(9),
        clock(DAYS),
    )

    assert watched.members("train")[0] == ["gen"]
    left = {e.graphlet: [record.actual_left for record in e.stages] for e in examples(watched)}
    assert left == {"p/run:r1": [7.0], "p/train": [7.0, 0.0]}


def test_what_was_left_of_past_runs_is_expected_of_the_next(watch: Watch) -> None:
    """Cost and expected cost left of a verdict, in node-seconds."""
    watched = watch(Steered()).feed(past(3), whole_run(10 * PERIOD, "now"))
    said = [(v.stage, v.cost, v.cost_left) for v in watched.outputs if isinstance(v, Verdict) and v.run == "now"]

    prep, train, evaluate = PREPROCESS_MS / 1000, TRAIN_MS / 1000, EVALUATE_MS / 1000
    assert [(stage, cost) for stage, cost, _ in said] == [
        ("input", 0.0),
        ("preprocess", prep),
        ("train", prep + train),
        ("validate", prep + train + evaluate),
    ]
    assert [left for _, _, left in said] == pytest.approx([prep + train + evaluate, train + evaluate, evaluate, 0.0])


def test_the_owner_is_the_one_told_last(watch: Watch) -> None:
    """Of the graphlet's own run; none where nobody is told."""
    watched = watch(Steered()).feed(
        whole_run(0, "r1", owner="old"),
        started(1, "train-r1", "Trainer", properties={"owner": "team-1"}),
        ran(20, "lone", "Trainer", run="r2"),
        run_ended(30, "r2"),
        clock(DAYS),
    )

    assert {e.graphlet: e.owner for e in examples(watched)} == {
        "p/train-r1": "team-1", "p/run:r1": "team-1", "p/lone": "",
    }  # fmt: skip


def test_what_was_never_predicted_gives_no_example_and_is_history(watch: Watch) -> None:
    """A run heard of when it was over teaches no model, but it happened."""
    watched = watch(Steered()).feed(run_ended(9), ran(0, "train", "Trainer"), clock(DAYS))

    assert examples(watched) == []
    assert (history(watched).labelled, history(watched).causes) == (1, ["run_ended"])


# History


def test_the_history_counts_graphlets_and_pushes(watch: Watch) -> None:
    """Two runs that came to nothing, one pushed, one that failed."""
    watched = watch(Steered()).feed(
        past(2),
        past(1, first=2 * PERIOD, pushed=True, name="good"),
        started(3 * PERIOD, "bad", "Trainer"),
        ended(3 * PERIOD + 1, "bad", "Trainer", state=FAILED),
    )
    known = history(watched)

    assert (known.labelled, known.pushes, known.runs_since) == (4, 1, 1)
    assert known.outcomes == [0, 0, 1, 0]
    assert known.causes == ["run_ended", "run_ended", "pushed", "failed"]
    assert known.runs_between == [3]
    assert known.push_ms == [at(2 * PERIOD + 7)]


def test_the_history_keeps_the_last_pushed_graphlet_to_compare_with(watch: Watch) -> None:
    """Its code and its numbers, and those of the last labelled beside them."""
    watched = watch(Steered()).feed(
        ran(0, "one", "Trainer", run="r1", writes=["m"], properties={"loss": 0.5, "code_version": "a"}),
        ran(2, "push", "Pusher", run="r1", reads=["m"]),
        ran(5, "two", "Trainer", run="r2", properties={"loss": 0.7, "code_version": "b"}),
        run_ended(7, "r2"),
        clock(DAYS),
    )
    known = history(watched)

    assert known.last_pushed is not None
    assert known.last is not None
    assert (known.last_pushed.subject, known.last_pushed.code_version) == ("r1", "a")
    assert (known.last.subject, known.last.code_version) == ("r2", "b")
    assert (known.last_pushed.numbers, known.last.numbers) == ({"train.loss": 0.5}, {"train.loss": 0.7})
    assert known.codes == {"a": [1, 1, 0], "b": [1, 0, 0]}


def test_blessed_models_that_are_not_pushed_are_counted(watch: Watch) -> None:
    """Many in a row say that somebody, not the validator, holds pushes back; a push starts anew."""

    def blessed(minute: int, run: str, blessing: int) -> list[Event]:
        return [
            *ran(minute, f"train-{run}", "Trainer", run=run, writes=[f"m-{run}"]),
            *ran(minute + 2, f"eval-{run}", "Evaluator", run=run, reads=[f"m-{run}"], writes=[
                artifact(f"b-{run}", blessed=blessing)
            ]),
        ]  # fmt: skip

    watched = watch(Steered())
    for number, blessing in enumerate((1, 0, 1, 1)):
        watched.feed(*blessed(number * 200, f"r{number}", blessing), run_ended(number * 200 + 9, f"r{number}"))
    watched.feed(clock(DAYS))
    assert history(watched).blessed_unpushed == 3

    watched.feed(*blessed(2 * DAYS, "good", 1), ran(2 * DAYS + 5, "push", "Pusher", run="good", reads=["m-good"]))

    assert history(watched).blessed_unpushed == 0


def test_what_is_said_does_not_depend_on_a_restart() -> None:
    """A run that ended before it waits out its grace after it."""
    detector = Detector(learner=Steered(), keep_rows=True)  # type: ignore[arg-type]
    for event in (*ran(0, "train", "Trainer"), run_ended(10), happened(11, "next", "Trainer", NEW, run="r2")):
        detector.step(event)
    rows = {key: row for key, row in detector.take_rows() if row is not None}
    reloaded = Detector.load(detector.settings, rows, Steered())  # type: ignore[arg-type]

    before = reloaded.tick(at(69))
    after = reloaded.tick(at(70))

    assert before == []
    assert [(e.graphlet, e.pushed, e.announced_ms) for e in after if isinstance(e, Example)] == [
        ("p/train", False, at(70))
    ]


def test_an_owner_that_no_event_names_is_looked_up_by_pipeline_and_properties(watch: Watch) -> None:
    """What events say of an owner holds before it."""
    asked: list[tuple[str, str | None]] = []

    def owner_of(pipeline: str, properties: Mapping[str, str]) -> str:
        asked.append((pipeline, properties.get("team")))
        return "ads"

    watched = watch(Steered(), owner_of=owner_of).feed(
        ran(0, "a", "Trainer", properties={"team": "x"}), run_ended(1),
        ran(2, "b", "Trainer", run="r2", properties={"owner": "ann"}), run_ended(3, "r2"), clock(DAYS),
    )  # fmt: skip

    assert {(example.trainer, example.owner) for example in examples(watched)} == {("a", "ads"), ("b", "ann")}
    assert set(asked) == {("p", "x")}
