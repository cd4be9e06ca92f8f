"""Time without events: ticks move each pipeline's clock on, and only where time has really passed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import FAILED
from stream_app.core.outputs import Closed, Example, Verdict
from stream_app.core.state.clock import Clock
from tests.support.builders import DAY, HOUR, MINUTE, at, ended, ran, run_ended, started
from tests.support.simulated import ledgers, usual_events
from tests.support.steered import Steered, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]
#: Between the times of events and those at which a backfill logs them.
AGO = 400 * DAY


def tick(watched: Watched, log_ms: int) -> None:
    watched.outputs += watched.detector.tick(log_ms)


def clock_ms(watched: Watched, pipeline: str = "p") -> int:
    return watched.detector.pipelines[pipeline].clock.now_ms


def test_a_hung_run_reaches_its_horizon_by_ticks_alone(watch: Watch) -> None:
    """Nothing is heard of its pipeline any more; two weeks after its start it has come to nothing."""
    watched = watch(Steered()).feed(started(0, "hung", "Trainer"))

    tick(watched, at(0) + 14 * DAY - MINUTE)
    assert watched.outcome("hung") == ("open", None, None)
    tick(watched, at(0) + 14 * DAY)

    assert watched.outcome("hung") == ("not_pushed", "expired", at(0) + 14 * DAY)
    assert watched.labels("hung") == [(1, False)]
    assert watched.ledger()["pending"] == 0


def test_the_grace_after_a_runs_end_passes_by_ticks(watch: Watch) -> None:
    """A silent pipeline is told of as soon as a busy one."""
    watched = watch(Steered()).feed(ran(0, "train", "Trainer"), run_ended(10))

    tick(watched, at(69))
    assert watched.labels("train") == []
    tick(watched, at(70))

    assert watched.labels("train") == [(1, False)]


@pytest.mark.parametrize("ticks", [False, True])
def test_what_fell_due_is_known_to_the_next_prediction(watch: Watch, ticks: bool) -> None:
    """Whether a tick said it in between or the next event brings the time: a replay has no ticks."""
    learner = Steered()
    watched = watch(learner).feed(whole_run(0, "r1"))
    if ticks:
        tick(watched, at(0) + DAY)
    watched.feed(started(2 * DAY // MINUTE, "prep", "Transform", run="now"))

    assert learner.asked[-1][1]["labelled"] == pytest.approx(0.6931)


def test_retention_passes_by_ticks(watch: Watch) -> None:
    """A pipeline that was given up leaves the state."""
    watched = watch(Steered()).feed(whole_run(0, "r1"))

    tick(watched, at(0) + 40 * DAY)

    assert not watched.detector.pipelines["p"].executions
    assert [type(output) for output in watched.outputs].count(Closed) == 1


def test_a_backfill_is_not_expired_by_the_present(watch: Watch) -> None:
    """Events of last year, logged today: until the log moves on, their pipeline's time stands where they left it."""
    watched = watch(Steered())
    for event in (started(0, "train", "Trainer"), started(5, "eval", "Evaluator")):
        watched.outputs += watched.detector.step(event, event.time_ms + AGO)

    tick(watched, at(6) + AGO)

    assert clock_ms(watched) == at(6)
    assert watched.outcome("train")[0] == "open"
    tick(watched, at(0) + AGO + 15 * DAY)
    assert watched.outcome("train")[:2] == ("not_pushed", "expired")


def test_a_fast_backfill_moves_time_as_its_events_say(watch: Watch) -> None:
    """A year of events in a minute of log: the clock is at the last of them, a minute later a minute after it."""
    watched = watch()
    for day in range(365):
        watched.detector.step(started(day * DAY / MINUTE, f"e{day}", "Custom"), at(0) + AGO + day)
    last = at(0) + 364 * DAY

    tick(watched, at(0) + AGO + 364)
    assert clock_ms(watched) == last
    tick(watched, at(0) + AGO + 364 + MINUTE)

    assert clock_ms(watched) == last + MINUTE


def test_a_late_event_does_not_hold_time_up(watch: Watch) -> None:
    """Time counts from the newest event and when that was logged."""
    watched = watch()
    watched.detector.step(started(60, "new", "Custom"), at(60))
    watched.detector.step(started(0, "old", "Custom"), at(90))

    tick(watched, at(100))

    assert clock_ms(watched) == at(100)


@example(moves=[(False, 10**6, 0), (True, 0, 10), (False, 0, 20)])
@given(moves=st.lists(st.tuples(st.booleans(), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_no_tick_and_no_event_moves_a_clock_back(moves: list[tuple[bool, int, int]]) -> None:
    """In whatever order they come, and however wrong the log's own clock is.

    A first event far ahead is taken back, with the ticks after it.
    """
    detector = Detector(Settings())
    before = 0
    for is_tick, minute, log_minute in moves:
        if is_tick:
            detector.tick(at(log_minute))
        else:
            detector.step(started(minute, f"e{minute}", "Custom", run=None), at(log_minute))
        clock = detector.pipelines["p"].clock if detector.pipelines else Clock()
        after = clock.now_ms
        assert after >= before or (clock.ahead is not None and clock.ahead.time_ms > after + Settings().leap_ms)
        before = after


def test_a_tick_moves_each_pipeline_by_its_own_log(watch: Watch) -> None:
    """One wrong clock hurts one pipeline."""
    watched = watch()
    watched.detector.step(started(0, "e", "Custom", pipeline="steady"), at(0))
    watched.detector.step(started(900 * 24 * 60, "e", "Custom", pipeline="ahead"), at(0))
    watched.detector.step(started(0, "e", "Custom", pipeline="backfill"), at(0) + AGO)

    tick(watched, at(0) + AGO + HOUR)

    assert clock_ms(watched, "steady") == at(0) + AGO + HOUR
    assert clock_ms(watched, "ahead") == at(900 * 24 * 60) + AGO + HOUR
    assert clock_ms(watched, "backfill") == at(60)


def test_ticks_say_nothing_twice(watch: Watch) -> None:
    """An outcome that is said is said."""
    watched = watch(Steered()).feed(whole_run(0, "r1"))
    for hour in range(48):
        tick(watched, at(0) + hour * HOUR)

    assert sorted(e.id for e in watched.outputs if isinstance(e, Example)) == ["p/run:r1#1", "p/train-r1#1"]


def test_ticks_predict_nothing(watch: Watch) -> None:
    """Stages are reached by events."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"))
    for day in range(1, 50):
        tick(watched, at(0) + day * DAY)

    assert [output.id for output in watched.outputs if isinstance(output, Verdict)] == ["p/run:r1#1"]


def test_ticks_survive_a_restart() -> None:
    """The clock, and the log time from which it counts, are part of the state."""
    detector = Detector(keep_rows=True)
    detector.step(started(0, "train", "Trainer"), at(0) + AGO)
    detector.tick(at(0) + AGO + HOUR)
    rows = {key: row for key, row in detector.take_rows() if row is not None}
    loaded = Detector.load(detector.settings, rows)
    assert loaded.pipelines["p"].clock.now_ms == at(60)

    loaded.tick(at(0) + AGO + 2 * HOUR)

    assert loaded.pipelines["p"].clock.now_ms == at(120)


@pytest.mark.parametrize("every", [1, 97])
def test_ticks_change_no_outcome_that_events_decide(every: int) -> None:
    """With ticks at the pace of the log or without any: the same graphlets, outcomes and ledger in the end."""
    events = usual_events()
    with_ticks, without = Detector(), Detector()
    newest = 0
    for number, event in enumerate(events):
        newest = max(newest, event.time_ms)
        with_ticks.step(event)
        without.step(event)
        if number % every == 0:
            with_ticks.tick(newest)
    for detector in (with_ticks, without):
        detector.tick(newest)

    assert list(with_ticks.graphlets()) == list(without.graphlets())
    assert ledgers(with_ticks) == ledgers(without)


def test_a_failed_trainer_is_not_expired_again(watch: Watch) -> None:
    """What events have decided the passing of time leaves alone."""
    watched = watch(Steered()).feed(started(0, "t", "Trainer"), ended(1, "t", "Trainer", state=FAILED))
    tick(watched, at(0) + 20 * DAY)

    assert watched.outcome("t") == ("not_pushed", "failed", at(1))
    assert watched.labels("t") == [(1, False)]


@pytest.mark.parametrize("lag", [0, 3_000, 120_000])
def test_an_event_that_is_logged_late_leaves_its_step_ahead(watch: Watch, lag: int) -> None:
    """A tick in between does not make the training that it begins one that was done before the verdict."""
    watched = watch(Steered())
    ticked = at(0)
    for number in range(12):
        for event in list(whole_run(120 * number, f"r{number}"))[2:]:
            late = lag if (event.execution_type, event.state) == ("Trainer", "RUNNING") else 0
            while ticked <= event.time_ms + late:
                tick(watched, ticked)
                ticked += MINUTE
            watched.outputs += watched.detector.step(event, event.time_ms + late)
    tick(watched, at(120 * 14))

    history = watched.detector.pipelines["p"].history
    assert history.costs["preprocess"].mean == pytest.approx(4320.0)


def test_what_falls_due_in_one_jump_is_said_in_its_order(watch: Watch) -> None:
    """A run's end that was due first is said before the horizon of a run that hung, as with ticks."""
    said = []
    for ticks in (False, True):
        watched = watch(Steered()).feed(
            started(0, "a", "Trainer", run="ra"), ended(1, "a", "Trainer", run="ra", node_ms=9 * HOUR),
            started(100, "z", "Trainer", run="rz"), ended(101, "z", "Trainer", run="rz", node_ms=HOUR),
            run_ended(102, "rz"),
        )  # fmt: skip
        for hour in range(24 * 15 if ticks else 0):
            tick(watched, at(102) + hour * HOUR)
        watched.feed(started(16 * DAY // MINUTE, "new", "Trainer", run="n"))
        said.append([output.graphlet for output in watched.outputs if isinstance(output, Example)])

    assert said[0] == said[1] == ["p/z", "p/a"]


def test_an_event_sent_again_does_not_hold_the_clock_back(watch: Watch) -> None:
    """Time has passed since it was logged first."""
    watched = watch(Steered()).feed(started(0, "hung", "Trainer"))
    for day in range(1, 16):
        watched.outputs += watched.detector.step(started(0, "hung", "Trainer"), at(0) + day * DAY)
        tick(watched, at(0) + day * DAY + HOUR)

    assert watched.labels("hung") == [(1, False)]
