"""The steps of ladders in time: second warnings, and runs that may be stopped from now on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.ladder_steps import StepQueue
from stream_app.alerts.tracking import MAX_AGE_MS, FlagTracker
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.ladder import Step
from stream_app.core.outputs import CONTINUE, PRUNE, Guard, Verdict
from stream_app.times import text_to_time
from tests.alerts.test_tracking import NOW, example, verdict

MINUTE, HOUR = 60_000, 3_600_000


def flagged(graphlet: str = "p/t1", **changes: object) -> Verdict:
    """A verdict that prunes, whose ladder warns again after an hour and acts after two."""
    given_ = {"ladder": "act", "warn_again_ms": NOW + HOUR, "stop_ms": NOW + 2 * HOUR, "mode": ENFORCE}
    return verdict(graphlet, PRUNE, **{**given_, **changes})


def raised(*verdicts: Verdict, log_ms: int = NOW) -> FlagTracker:
    """A tracker that has heard of these verdicts, and was then started anew."""
    tracker = FlagTracker()
    for each in verdicts or (flagged(),):
        tracker.verdict(each, log_ms)
    return restarted(tracker)


def restarted(tracker: FlagTracker) -> FlagTracker:
    return FlagTracker({name: row for name, row in tracker.take_rows() if row is not None})


def ticks(tracker: FlagTracker, *times_ms: int, log_ms: int | None = None) -> list[tuple[str, int, int]]:
    """Change, revision and hours since the flag of the records at some times of the pipeline's clock."""
    return [
        (str(record.change), record.revision, (record.time_ms - NOW) // HOUR)
        for now_ms in times_ms
        for record in tracker.tick({"p": now_ms, "q": now_ms}, log_ms or now_ms)
    ]


HOURS = tuple(range(NOW, NOW + 8 * HOUR, HOUR // 2))


def test_the_owner_is_warned_again_and_then_the_run_may_be_stopped() -> None:
    """Each once, at its time, with rising revisions."""
    assert ticks(raised(), *HOURS) == [("reminded", 2, 1), ("due", 3, 2)]


def test_a_restart_between_two_ticks_repeats_nothing() -> None:
    """What was reported is in the row of the flag."""
    tracker, found = raised(), []
    for now_ms in HOURS:
        found += ticks(tracker, now_ms)
        rows = tracker.take_rows()
        if rows:
            tracker = FlagTracker({name: row for name, row in rows if row is not None})

    assert found == [("reminded", 2, 1), ("due", 3, 2)]


def test_without_a_second_warning_the_run_may_be_stopped_at_the_next_tick() -> None:
    """That is the ladder where no rule holds."""
    assert ticks(raised(flagged(warn_again_ms=None, stop_ms=NOW)), *HOURS) == [("due", 2, 0)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": "observe", "stop_ms": None}, []),
        ({"ladder": "observe", "warn_again_ms": None, "stop_ms": None}, []),
        ({"ladder": "warn", "warn_again_ms": None, "stop_ms": None}, []),
        ({"ladder": "warn_twice", "stop_ms": None}, [("reminded", 2, 1)]),
        ({"ladder": "", "warn_again_ms": None, "stop_ms": None}, []),
    ],
)
def test_a_ladder_that_ends_earlier_takes_no_further_step(changes: dict[str, object], expected: list[object]) -> None:
    """In `observe` it takes none; a verdict of an earlier release has no ladder."""
    assert ticks(raised(flagged(**changes)), *HOURS) == expected


@pytest.mark.parametrize(
    "ended",
    [
        verdict("p/t1", CONTINUE, 2, mode=ENFORCE),
        verdict("p/t1", CONTINUE, 2, mode=ENFORCE, withdrawn=Guard.KEEP),
        verdict("p/t1", CONTINUE, 2, mode=ENFORCE, withdrawn=Guard.NOTHING_LEFT),
    ],
)
def test_a_flag_that_is_not_open_takes_no_step(ended: Verdict) -> None:
    """It was withdrawn, its run is kept, or nothing is left that a stop would save."""
    assert ticks(raised(flagged(), ended), *HOURS) == []


def test_a_run_with_an_outcome_takes_no_step() -> None:
    """Whatever it is."""
    tracker = raised()
    tracker.example(example("p/t1", False), NOW)

    assert ticks(tracker, *HOURS) == []


def test_a_flag_of_the_past_takes_no_step() -> None:
    """It was never reported."""
    assert ticks(raised(log_ms=NOW + MAX_AGE_MS + 1), *HOURS) == []


def test_a_flag_that_is_raised_again_climbs_anew() -> None:
    """Its earlier steps do not count."""
    later = flagged(revision=3, warn_again_ms=NOW + 4 * HOUR, stop_ms=NOW + 5 * HOUR, time_ms=NOW + 3 * HOUR)
    tracker = raised()
    first = ticks(tracker, *HOURS[:6])
    tracker.verdict(verdict("p/t1", CONTINUE, 2, mode=ENFORCE), NOW + 3 * HOUR)
    tracker.verdict(later, NOW + 3 * HOUR)

    assert first + ticks(tracker, *HOURS[6:]) == [("reminded", 2, 1), ("due", 3, 2), ("reminded", 6, 4), ("due", 7, 5)]


def test_a_prolonged_run_may_be_stopped_again_at_the_later_time() -> None:
    """Its owner is warned twice all the same, and not a third time."""
    tracker = raised()
    found = ticks(tracker, *HOURS[:5])
    tracker.verdict(flagged(revision=2, stop_ms=NOW + 6 * HOUR), NOW + 2 * HOUR)

    assert found + ticks(tracker, *HOURS[5:]) == [("reminded", 2, 1), ("due", 3, 2), ("due", 5, 6)]


def test_a_run_waits_for_the_latest_of_its_trainings() -> None:
    """All of them must be flagged for long enough."""
    second = flagged("p/t2", warn_again_ms=NOW + 3 * HOUR, stop_ms=NOW + 4 * HOUR)

    assert ticks(raised(flagged(), second), *HOURS) == [("reminded", 3, 3), ("due", 4, 4)]


def test_one_training_that_is_never_stopped_keeps_its_run() -> None:
    """Another label may exempt it."""
    second = flagged("p/t2", ladder="warn_twice", stop_ms=None)

    assert ticks(raised(flagged(), second), *HOURS) == [("reminded", 3, 1)]


def test_nothing_becomes_due_before_its_owner_was_warned_twice() -> None:
    """Where ticks were away for long, the stop is as much later as the second warning."""
    assert ticks(raised(), *HOURS[9:]) == [("reminded", 2, 4), ("due", 3, 5)]


def test_a_pipeline_whose_events_are_late_gives_the_same_time() -> None:
    """Its clock is behind the log, and a time is reached once it is reached by both."""
    tracker = raised()

    assert ticks(tracker, NOW + HOUR - 1, log_ms=NOW + 9 * HOUR) == []
    assert ticks(tracker, NOW + HOUR, log_ms=NOW + 9 * HOUR) == [("reminded", 2, 1)]


def test_a_clock_that_is_ahead_stops_nothing_early() -> None:
    """One wrong clock of a sender is no reason."""
    tracker = raised()

    assert ticks(tracker, NOW + 30 * HOUR, log_ms=NOW + HOUR - 1) == []
    assert ticks(tracker, NOW + 30 * HOUR, log_ms=NOW + HOUR) == [("reminded", 2, 1)]


def test_no_run_becomes_due_within_exempt_hours() -> None:
    """But at their end, by the time of the log; the second warning is sent at any hour."""
    start = text_to_time("2026-05-28T22:00:00Z")
    tracker = FlagTracker()
    times = {"warn_again_ms": start - HOUR, "stop_ms": start, "time_ms": start - 2 * HOUR}
    tracker.verdict(flagged(**times, exempt_hours="21:30-06:00 UTC"), start - 2 * HOUR)
    found = [
        (str(record.change), record.time_ms - start)
        for now_ms in range(start - 90 * MINUTE, start + 10 * HOUR, 10 * MINUTE)
        for record in tracker.tick({"p": now_ms}, now_ms)
    ]

    assert found == [("reminded", -HOUR), ("due", 8 * HOUR)]


def test_hours_that_cannot_be_read_stop_nothing() -> None:
    """As for everybody else who asks."""
    assert ticks(raised(flagged(exempt_hours="at night")), *HOURS) == [("reminded", 2, 1)]


def test_rows_of_earlier_releases_take_no_step() -> None:
    """They have no ladder, and the next verdict gives them one."""
    tracker = FlagTracker()
    tracker.verdict(flagged(), NOW)
    ((name, row),) = tracker.take_rows()
    assert row is not None
    stored = orjson.loads(row)
    del stored["reminded_ms"], stored["due_ms"], stored["graphlets"]["p/t1"]["ladder"]
    earlier = FlagTracker({name: orjson.dumps(stored)})

    assert ticks(earlier, *HOURS[:2]) == []
    earlier.verdict(flagged(revision=2), NOW + HOUR)
    assert ticks(earlier, *HOURS[2:]) == [("reminded", 3, 1), ("due", 4, 2)]


def test_a_tick_looks_at_what_is_due_alone() -> None:
    """However many flags wait, of this pipeline and of others."""
    queue = StepQueue()
    for number in range(1_000):
        queue.put(f"p{number % 10}", f"f{number:03}", number)
    queue.put("p3", "f013", None)
    queue.put("p3", "f003", 5_000)

    assert queue.pipelines({"p3": 0, "other": 0}) == ["p3"]
    assert queue.take("p3", 33) == ["f023", "f033"]
    assert queue.take("p3", 33) == []
    assert queue.take("p3", 10_000)[-2:] == ["f993", "f003"]
    assert queue.pipelines({"p3": 0}) == []


@dataclass
class Oracle:
    """What a person would write down of one run with two trainers: lists of facts, looked through at each tick."""

    flagged: dict[str, Verdict] = field(default_factory=dict)
    open: bool = False
    raised_ms: int = 0
    warned_ms: int | None = None
    stops: list[int] = field(default_factory=list)

    def verdict(self, made: Verdict) -> None:
        """Notes a verdict."""
        if made.decision == PRUNE:
            if not self.open:
                self.open, self.raised_ms, self.warned_ms, self.stops = True, made.time_ms, None, []
            self.flagged[made.graphlet] = made
        else:
            self.flagged.pop(made.graphlet, None)
            self.open = self.open and bool(self.flagged)

    def tick(self, now_ms: int) -> str | None:
        """The change that is due, and notes it."""
        warnings = [each.warn_again_ms for each in self.flagged.values()]
        stops = [each.stop_ms for each in self.flagged.values()]
        if not self.open:
            return None
        between = 0
        if None not in warnings:
            again = max(each for each in warnings if each is not None)
            if self.warned_ms is None:
                if now_ms < again:
                    return None
                self.warned_ms = now_ms
                return "reminded"
            if None not in stops:
                between = min(max(each for each in stops if each is not None) - again, again - self.raised_ms)
        if None in stops:
            return None
        stop = max(each for each in stops if each is not None)
        earliest = stop if None in warnings or self.warned_ms is None else max(stop, self.warned_ms + between)
        if now_ms < earliest or any(each >= stop for each in self.stops):
            return None
        self.stops.append(stop)
        return "due"


LADDERS = st.tuples(st.sampled_from(list(Step)), st.sampled_from([0, 1, 2, 5]), st.sampled_from([None, 3, 9, 20]))
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("flag"), st.sampled_from(["p/t1", "p/t2"]), LADDERS),
        st.tuples(st.just("withdraw"), st.sampled_from(["p/t1", "p/t2"]), st.none()),
        st.tuples(st.just("tick"), st.integers(0, 9), st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
    ),
    max_size=30,
)


@given(ACTIONS)
def test_every_step_is_taken_once_in_order_whatever_happens(actions: list[tuple[str, object, object]]) -> None:
    """Flags, prolongs, other ladders, withdrawals, ticks and restarts in any order give what the oracle says."""
    oracle, tracker, whole = Oracle(), FlagTracker(), FlagTracker()
    rows: dict[str, bytes] = {}
    since: dict[str, int] = {}
    now_ms, revision = NOW, 0
    for what, subject, more in actions:
        if what == "restart":
            rows |= {name: row for name, row in tracker.take_rows() if row is not None}
            tracker = FlagTracker(rows)
            continue
        if what == "tick":
            assert isinstance(subject, int)
            now_ms += subject * MINUTE
            records = tracker.tick({"p": now_ms}, now_ms)
            assert [str(each.change) for each in records] == [each for each in (oracle.tick(now_ms),) if each]
            assert records == whole.tick({"p": now_ms}, now_ms)
        else:
            made = _made(str(subject), now_ms, since, more)
            oracle.verdict(made)
            records = [each for each in (tracker.verdict(made, now_ms),) if each is not None]
            assert records == [each for each in (whole.verdict(made, now_ms),) if each is not None]
        for each in records:
            revision += 1
            assert each.revision == revision
            assert _is_in_order(each, oracle)


def _made(graphlet: str, now_ms: int, since: dict[str, int], ladder: object) -> Verdict:
    """A verdict with its ladder, as the detector makes it; None withdraws."""
    if ladder is None:
        since.pop(graphlet, None)
        return verdict(graphlet, CONTINUE, time_ms=now_ms, mode=ENFORCE)
    assert isinstance(ladder, tuple)
    last, between, prolonged = ladder
    start = since.setdefault(graphlet, now_ms)
    twice = last in (Step.WARN_TWICE, Step.ACT) and between > 0
    stop = max(start + 2 * between * MINUTE, NOW + (prolonged or 0) * MINUTE) if last is Step.ACT else None
    times: Mapping[str, object] = {"warn_again_ms": start + between * MINUTE if twice else None, "stop_ms": stop}
    return flagged(graphlet, **{**times, "ladder": str(last), "time_ms": now_ms})


def _is_in_order(record: FlagRecord, oracle: Oracle) -> bool:
    """Whether a run that becomes due was warned of twice, where its ladder warns twice."""
    if record.change is not Change.DUE:
        return True
    return record.warn_again_ms is None or oracle.warned_ms is not None


def test_revisions_and_ids_go_on_over_all_changes() -> None:
    """A record of a step has the flagged trainings and the policy as any other."""
    tracker = raised()
    (reminded,) = tracker.tick({"p": NOW + HOUR}, NOW + HOUR)
    ended = tracker.verdict(verdict("p/t1", CONTINUE, 2, mode=ENFORCE), NOW + HOUR)

    assert ended is not None
    assert (reminded.id, ended.id) == ("p/run:r1#2", "p/run:r1#3")
    assert [each.graphlet for each in reminded.graphlets] == ["p/t1"]
    assert replace(reminded, change=Change.RAISED, revision=1, time_ms=NOW).stop_ms == NOW + 2 * HOUR
