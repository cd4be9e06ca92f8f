"""When a run itself is labelled: late facts, its horizon, repeated events, each with and without a restart."""

from __future__ import annotations

from collections.abc import Callable

from stream_app.core.events import NEW, Event
from stream_app.core.outputs import Example
from tests.support.builders import DAY, HOUR, MINUTE, at, ended, happened, ran, run_ended, started
from tests.support.steered import Steered
from tests.support.watched import Watched

Watch = Callable[..., Watched]
DAYS = DAY // MINUTE


def said(watched: Watched) -> list[tuple[int, bool | None, str, int]]:
    """Revision, label, cause and moment of what was said of the run itself."""
    return [
        (e.label_revision, e.pushed, e.cause, e.announced_ms)
        for e in watched.outputs
        if isinstance(e, Example) and e.graphlet == "p/run:r1"
    ]


def days_after(watched: Watched, *events: Event, days: int = 60) -> tuple[Watched, Watched]:
    """The detector and one restarted from its rows, each after the events, and hours later again and again."""
    both = watched, watched.restarted()
    for each in both:
        each.feed(*events)
        first_ms = each.detector.pipelines["p"].clock.now_ms
        for hour in range(1, 24 * days, 6):
            each.tick(first_ms + hour * HOUR)
    return both


# Late facts


def test_a_pushed_trainer_that_turns_out_to_be_of_a_run_corrects_its_label(watch: Watch) -> None:
    """As soon as its run is told, not with the next event of the run."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        run_ended(9),
        ran(200, "t", "Trainer", run=None, writes=["m"]),
        ran(205, "p", "Pusher", run=None, reads=["m"]),
    )
    assert said(watched) == [(1, False, "run_ended", at(69))]

    watched.feed(happened(199, "t", "Trainer", NEW, run="r1"))

    assert said(watched)[1:] == [(2, True, "pushed", at(206))]


def test_a_run_past_its_horizon_is_corrected_by_such_a_trainer_too(watch: Watch) -> None:
    """Nothing else would look at it again."""
    watched = watch(Steered()).feed(
        started(0, "prep", "Transform"),
        started(0, "t", "Trainer", run=None),
        ended(14 * DAYS + 1, "t", "Trainer", run=None, writes=["m"]),
        ran(14 * DAYS + 2, "p", "Pusher", run=None, reads=["m"]),
    )

    watched.feed(happened(7 * DAYS, "t", "Trainer", NEW, run="r1"))

    assert said(watched) == [(1, False, "expired", at(14 * DAYS)), (2, True, "pushed", at(14 * DAYS + 3))]


# The horizon


def test_a_run_whose_first_event_is_older_than_the_horizon_is_labelled_when_something_is_said_of_it(
    watch: Watch,
) -> None:
    """Its data was there two weeks ago and more; its preprocessing begins only now."""
    watched = watch(Steered()).feed(started(0, "gen", "CsvExampleGen"), started(15 * DAYS, "prep", "Transform"))

    assert said(watched) == [(1, False, "expired", at(15 * DAYS))]
    assert [len(said(each)) for each in days_after(watched)] == [1, 0]


def test_a_late_event_moves_a_runs_horizon_to_an_earlier_moment(watch: Watch) -> None:
    """It counts from the first event by event time, whichever came in first."""
    watched = watch(Steered()).feed(started(5 * DAYS, "prep", "Transform"))

    for each in days_after(watched, started(0, "gen", "CsvExampleGen")):
        assert [s[:3] for s in said(each)] == [(1, False, "expired")]
        assert 0 <= said(each)[0][3] - at(14 * DAYS) < 6 * HOUR


def test_a_late_event_may_move_a_runs_horizon_into_the_past(watch: Watch) -> None:
    """Then it is over at once."""
    watched = watch(Steered()).feed(started(10 * DAYS, "prep", "Transform"), started(15 * DAYS, "x", "Custom", run="r"))

    for each in days_after(watched, started(0, "gen", "CsvExampleGen")):
        assert said(each) == [(1, False, "expired", at(15 * DAYS))]


def test_a_run_that_loses_its_first_execution_to_another_has_a_later_horizon(watch: Watch) -> None:
    """An earlier event says that the execution was of another run; what is left began five days later."""
    watched = watch(Steered()).feed(started(0, "gen", "CsvExampleGen"), started(5 * DAYS, "prep", "Transform"))
    moved = happened(-1, "gen", "CsvExampleGen", NEW, run="r0")

    for each in days_after(watched, moved):
        assert [s[:3] for s in said(each)] == [(1, False, "expired")]
        assert 0 <= said(each)[0][3] - at(19 * DAYS) < 6 * HOUR


# The grace after its end


def slow_pushes_known_late() -> tuple[list[Event], list[Event]]:
    """Three runs that are over at once, and their pushes ten hours later: a grace of fifteen hours from then on."""
    runs = [
        event
        for k in range(3)
        for event in [*ran(k, f"t{k}", "Trainer", run=f"q{k}", writes=[f"m{k}"]), run_ended(k + 2, f"q{k}")]
    ]
    return runs, [event for k in range(3) for event in ran(600, f"p{k}", "Pusher", run=f"q{k}", reads=[f"m{k}"])]


def test_a_repeated_end_of_a_run_does_not_prolong_its_grace(watch: Watch) -> None:
    """The moment was set when the run ended; an event seen again is no news, also after a restart."""
    runs, pushes = slow_pushes_known_late()
    watched = watch(Steered()).feed(runs, started(570, "prep", "Transform"), run_ended(580), pushes)

    for each in (watched, watched.restarted()):
        each.feed(run_ended(580)).tick(at(639))
        assert said(each) == []
        each.tick(at(640))
        assert said(each) == [(1, False, "run_ended", at(640))]


def test_a_further_event_of_a_runs_end_that_leaves_it_where_it_was_does_not_prolong_its_grace(watch: Watch) -> None:
    """It told who owns the run, not another end."""
    runs, pushes = slow_pushes_known_late()
    watched = watch(Steered()).feed(runs, started(570, "prep", "Transform"), run_ended(580), pushes)
    told = happened(580, "r1", "PipelineRun", "COMPLETE", properties={"owner": "somebody"})

    for each in (watched, watched.restarted()):
        each.feed(told).tick(at(640))
        assert said(each) == [(1, False, "run_ended", at(640))]


def test_a_later_end_of_a_run_starts_its_grace_anew(watch: Watch) -> None:
    """It had not ended when it seemed to: the hour counts from the later end."""
    watched = watch(Steered()).feed(started(0, "prep", "Transform"), run_ended(10))

    for each in (watched, watched.restarted()):
        each.feed(run_ended(50)).tick(at(109))
        assert said(each) == []
        each.tick(at(110))
        assert said(each) == [(1, False, "run_ended", at(110))]
