"""One sender's wrong clock costs nobody anything, and what goes silent settles when a log ends."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from stream_app.core.detector import Settings
from stream_app.core.events import Event
from stream_app.core.outputs import Closed
from tests.support.builders import DAY, MINUTE, at, ended, ran, started
from tests.support.watched import Watched

Watch = Callable[..., Watched]
DAYS = DAY // MINUTE
YEARS = 365 * DAYS


def closed(watched: Watched) -> dict[str, str | None]:
    """Trainers whose graphlets have left, and why they were not pushed."""
    records = [output.graphlet for output in watched.outputs if isinstance(output, Closed)]
    return {record["trainer"]: record["cause"] for record in records}


def daily(days: int, pipeline: str = "p") -> list[list[Event]]:
    """A training each day, which is pushed."""
    return [
        [
            *ran(day * DAYS, f"t{day}", "Trainer", run=f"r{day}", writes=[f"m{day}"], pipeline=pipeline),
            *ran(day * DAYS + 9, f"p{day}", "Pusher", run=f"r{day}", reads=[f"m{day}"], pipeline=pipeline),
        ]
        for day in range(days)
    ]


@pytest.mark.parametrize("place", [0, 3, 5], ids=["first", "amid", "last"])
@pytest.mark.parametrize("ahead", [50 * DAYS, 36 * YEARS], ids=["weeks", "decades"])
def test_an_event_from_a_broken_clock_costs_no_later_event(watch: Watch, place: int, ahead: int) -> None:
    """Wherever in the log it stands."""
    log: list[list[Event]] = daily(5)
    log.insert(place, [ended(ahead, "broken", "Evaluator", run=None)])
    watched = watch().feed(*log)

    assert [watched.outcome(f"t{day}")[0] for day in range(5)] == ["pushed"] * 5
    assert watched.detector.dropped == 0


def test_it_does_so_after_a_restart(watch: Watch) -> None:
    """What is held back is kept with the pipeline."""
    first, *rest = daily(4)
    watched = watch().feed(first, ended(36 * YEARS, "broken", "Custom", run=None)).restarted()
    watched.feed(*rest)

    assert [watched.outcome(f"t{day}")[0] for day in range(4)] == ["pushed"] * 4


def test_what_is_not_touched_is_evicted_after_a_broken_clock_came_first(watch: Watch) -> None:
    """The daily sweep falls due by the time that the pipeline has, not by the one taken back."""
    watched = watch().feed(ended(36 * YEARS, "broken", "Custom", run=None), *daily(100))

    assert len(closed(watched)) > 50
    assert len(watched.detector.pipelines["p"].executions) < 100


def test_an_event_that_is_dropped_is_in_the_clock_after_a_restart(watch: Watch) -> None:
    """It still tells that an event far ahead stands alone."""
    watched = watch().feed(*daily(60), ended(120 * DAYS, "broken", "Custom", run=None))
    watched.detector.take_rows()
    watched.feed(started(1, "old", "Custom", run=None))

    row = dict(watched.detector.take_rows())[b"pipeline\x00p\x00"]
    assert watched.detector.dropped == 1
    assert row is not None
    assert orjson.loads(row)[1][8] == [at(120 * DAYS), at(120 * DAYS), "broken", True]


def test_a_pipeline_that_wakes_after_months_has_the_new_time_from_its_second_execution_on(watch: Watch) -> None:
    """What was open has then expired."""
    watched = watch().feed(started(0, "old", "Trainer", run="r0"), started(90 * DAYS, "a", "Transform", run="r1"))
    assert watched.outcome("old")[0] == "open"

    watched.feed(started(90 * DAYS + 1, "b", "Trainer", run="r1"))

    assert closed(watched) == {"old": "expired"}


def test_two_events_of_one_execution_do_not_confirm_each_other(watch: Watch) -> None:
    """They come from one host."""
    watched = watch().feed(
        started(0, "old", "Trainer", run="r0"), started(YEARS, "x", "Custom"), ended(YEARS + 1, "x", "Custom")
    )

    assert watched.outcome("old")[0] == "open"


# The end of a log


def at_the_end(watched: Watched) -> Watched:
    watched.outputs += watched.detector.settle_last()
    return watched


def test_a_pipeline_that_went_silent_settles_when_the_log_ends(watch: Watch) -> None:
    """Others went on for eleven weeks."""
    watched = watch().feed(ran(0, "t", "Trainer", run=None, pipeline="silent"), *daily(77, "busy"))
    assert watched.graphlet("t", "silent")["outcome"] == "open"

    assert closed(at_the_end(watched))["t"] == "expired"


def test_one_pipeline_alone_does_not_tell_the_fleets_time(watch: Watch) -> None:
    """Of three and more pipelines three must have reached it."""
    others = [ran(0, "t", "Trainer", run=None, pipeline=name) for name in ("a", "b")]
    watched = at_the_end(watch().feed(*others, *daily(77, "wrong")))

    assert watched.graphlet("t", "a")["outcome"] == watched.graphlet("t", "b")["outcome"] == "open"


def test_a_pipeline_is_silent_after_the_horizon_and_the_lateness(watch: Watch) -> None:
    """Its last events may be late, and files may follow one another."""
    silent_days = (Settings().horizon_ms + Settings().lateness_ms) // DAY
    for days, outcome in ((silent_days, "open"), (silent_days + 2, "not_pushed")):
        watched = at_the_end(watch().feed(ran(0, "t", "Trainer", run=None, pipeline="a"), *daily(days, "b")))
        assert watched.graphlet("t", "a")["outcome"] == outcome


def test_the_last_event_of_a_log_moves_the_clock_where_nothing_contradicts_it(watch: Watch) -> None:
    """A pipeline that wakes with one event, after which the log ends."""
    watched = watch().feed(started(0, "old", "Trainer", run="r0"), started(90 * DAYS, "a", "Transform", run="r1"))

    assert closed(at_the_end(watched)) == {"old": "expired"}
