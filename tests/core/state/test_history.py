"""What a pipeline remembers: a small value that says what is usual."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from stream_app.core.decisions.verdicts import past_rate, record_start
from stream_app.core.outcomes.history_update import correct, record_code, record_flags, record_number, record_push
from stream_app.core.outputs import PUSHED, Cause
from stream_app.core.state.history import (
    CODES_MAX,
    GRACE_FIRST_MS,
    GRACE_MAX_MS,
    HISTORY_LENGTH,
    NUMBERS_MAX,
    STARTED_MAX,
    History,
    Snapshot,
    Spread,
    append_bounded,
    median,
)
from tests.support.builders import HOUR


def test_a_spread_of_few_values_is_their_mean_and_variance() -> None:
    """While the newest weighs no more than its share, it is exact."""
    spread = Spread()
    for value in (2.0, 4.0, 9.0):
        spread.add(value)

    assert (spread.count, spread.mean) == (3, pytest.approx(5.0))
    assert spread.variance == pytest.approx((9.0 + 1.0 + 16.0) / 3)


def test_a_spread_follows_what_changes() -> None:
    """After twenty values of another size little is left of a thousand old ones."""
    spread = Spread()
    for value in [1.0] * 1000 + [11.0] * 20:
        spread.add(value)

    assert 10.5 < spread.mean < 11.0


def test_a_list_keeps_its_newest_twenty() -> None:
    """So that a pipeline's history has a size."""
    values: list[int] = []
    for value in range(100):
        append_bounded(values, value)

    assert values == list(range(100 - HISTORY_LENGTH, 100))


@pytest.mark.parametrize(("values", "middle"), [([3], 3.0), ([9, 1], 5.0), ([9, 1, 2], 2.0), ([4, 1, 2, 9], 3.0)])
def test_the_median_is_the_middle(values: list[int], middle: float) -> None:
    """Between the two middle ones of an even number."""
    assert median(values) == middle


@pytest.mark.parametrize(
    ("delays", "grace"),
    [
        ([], GRACE_FIRST_MS),
        ([9 * HOUR] * 2, GRACE_FIRST_MS),
        ([0, 0, 0], 0),
        ([0, 2 * HOUR, HOUR], 3 * HOUR),
        ([0, 0, 1000 * HOUR], GRACE_MAX_MS),
    ],
)
def test_the_grace_covers_the_slowest_push_by_half(delays: list[int], grace: int) -> None:
    """An hour while there are fewer than three to learn from, a week at most."""
    assert History(push_delays_ms=delays).grace_ms() == grace


def test_what_is_usual_needs_three_pushes() -> None:
    """Two may be chance."""
    two = History(push_ms=[0, 10], runs_between=[1, 7])
    three = History(push_ms=[0, 10, 40], runs_between=[1, 7, 3])

    assert (two.usual_interval_ms(), two.usual_runs_between()) == (None, None)
    assert (three.usual_interval_ms(), three.usual_runs_between()) == (20.0, 3.0)


def test_the_usual_interval_is_of_the_last_twenty() -> None:
    """A pipeline that changed its pace has another usual interval some pushes later."""
    history = History()
    for number in range(60):
        record_push(history, Snapshot(), number * 1000 if number < 30 else 30_000 + number * 10, None)

    assert len(history.push_ms) == HISTORY_LENGTH + 1
    assert history.usual_interval_ms() == 10.0


def test_a_push_is_put_in_its_place_in_time() -> None:
    """Corrections come late; the newest push is the one compared with."""
    history = History()
    record_push(history, Snapshot(subject="new", time_ms=50), 50, None)
    record_push(history, Snapshot(subject="old", time_ms=20), 20, None)

    assert history.push_ms == [20, 50]
    assert history.last_pushed is not None
    assert history.last_pushed.subject == "new"


def test_the_delay_of_a_push_counts_from_its_runs_end() -> None:
    """A push before that, or of a run without an end, was not waited for."""
    history = History()
    for push_ms, end_ms in ((50, 20), (50, 60), (50, None)):
        record_push(history, Snapshot(), push_ms, end_ms)

    assert history.push_delays_ms == [30, 0, 0]


def test_the_last_versions_of_the_code_are_remembered() -> None:
    """Those that were run last, not those that were seen first."""
    history = History()
    record_code(history, "steady", True, False)
    for number in range(20):
        record_code(history, f"v{number}", False, number % 2 == 0)
        record_code(history, "steady", False, False)
    record_code(history, "", True, False)

    assert list(history.codes) == [f"v{n}" for n in range(20 - CODES_MAX + 1, 20)] + ["steady"]
    assert history.codes["steady"] == [21, 1, 0]
    assert history.codes["v18"] == [1, 0, 1]


def test_a_graphlet_is_compared_with_the_one_that_started_before_it() -> None:
    """Not with itself, at none of its stages; and the gaps between starts have a usual size."""
    history = History()
    for subject, hour in (("r1", 0), ("r2", 2), ("r2", 3), ("r3", 6)):
        record_start(history, Snapshot(subject=subject, time_ms=hour * HOUR))
    before = history.started_before("r3")

    assert before is not None
    assert before.subject == "r2"
    assert [snapshot.subject for snapshot in history.started] == ["r1", "r2", "r3"]
    assert (history.start_gap.count, history.start_gap.mean) == (2, 3.0 * HOUR)
    for number in range(10):
        record_start(history, Snapshot(subject=f"more{number}"))
    assert len(history.started) == STARTED_MAX


def test_streaks_of_flags_are_kept_by_budget() -> None:
    """A graphlet that a budget's policy did not flag ends its streak; a correction ends none."""
    history = History()
    for flags in ({0, 1}, {1}, {1, 2}):
        record_flags(history, False, flags, first=True)
    assert history.flag_streaks == {1: 3, 2: 1}

    record_flags(history, True, set(), first=False)
    assert history.flag_streaks == {1: 3, 2: 1}

    record_flags(history, False, {1}, first=True)
    assert history.flag_streaks == {1: 4}


def test_of_a_push_it_is_kept_which_budgets_had_flagged_it() -> None:
    """Corrected ones too: they were would-be pushes."""
    history = History()
    record_flags(history, True, {0, 3}, first=True)
    record_flags(history, True, set(), first=False)
    record_flags(history, False, {1}, first=True)

    assert history.push_flags == [0b1001, 0]


def test_the_past_push_rate_is_shrunk_to_the_fleets() -> None:
    """As if two runs of the fleet had been seen: a new pipeline is like the others."""
    assert past_rate(History(), 0.25) == 0.25
    assert past_rate(History(labelled=8, pushes=4), 0.25) == 0.45


def test_an_empty_history_is_small() -> None:
    """Thousands of pipelines have one run each: what they carry is a few words."""
    assert [value for value in asdict(History()).values() if value and not isinstance(value, dict)] == []


def test_of_measurements_those_told_last_are_remembered() -> None:
    """Whatever names a pipeline gives them, its history has a size."""
    history = History()
    for number in range(1000):
        record_number(history, f"train.loss_{number}", 1.0)
        record_number(history, "train.loss", float(number))

    assert len(history.numbers) == NUMBERS_MAX
    assert history.numbers["train.loss"].count == 1000


def test_the_lead_covers_the_slowest_push_by_half() -> None:
    """From a trainer's start to its push; an hour at least while there are fewer than three to learn from."""
    assert History().lead_ms() == GRACE_FIRST_MS
    assert History(push_leads_ms=[HOUR, 4 * HOUR]).lead_ms() == 6 * HOUR
    assert History(push_leads_ms=[0, 4000, 2000]).lead_ms() == 6000


def test_a_push_before_the_last_one_leaves_the_runs_between_pushes_as_they_are() -> None:
    """The correction of a graphlet labelled before the last push cuts an interval in two, whose parts nobody knows."""
    history = History(runs_since=1, runs_between=[4])
    record_push(history, Snapshot(), 5, None, age=2)

    assert (history.pushes, history.runs_since, history.runs_between) == (1, 1, [4])

    record_push(history, Snapshot(), 6, None, age=1)
    assert (history.pushes, history.runs_since, history.runs_between) == (2, 1, [4, 0])


def test_a_correction_takes_a_failure_back_and_says_that_the_blessing_was_followed() -> None:
    """Rates are those of the outcomes as they are known now; what was pushed counts among the blessed."""
    history = History(labelled=2, subjects=[7, 8], outcomes=[0, 0], causes=[Cause.FAILED, Cause.RUN_ENDED])
    history.failed.add(1.0)
    history.failed.add(0.0)
    history.taken.add(0.0)

    assert correct(history, 7, Snapshot()) == 1

    assert (history.outcomes, history.causes) == ([1, 0], [PUSHED, Cause.RUN_ENDED])
    assert (history.failed.count, history.failed.mean) == (2, 0.0)
    assert (history.taken.count, history.taken.mean) == (2, 0.5)


def test_a_push_that_was_taken_back_is_not_counted_a_second_time() -> None:
    """Nor is anything else of it."""
    history = History(labelled=1, subjects=[7], outcomes=[1], causes=[PUSHED], codes={"a": [1, 1, 0]})

    assert correct(history, 7, Snapshot(code_version="a")) is None

    assert (history.codes, history.taken.count) == ({"a": [1, 1, 0]}, 0)


def test_a_correction_too_old_to_be_found_counts_as_a_push() -> None:
    """Of a graphlet labelled before the last twenty."""
    history = History(labelled=100, outcomes=[0] * HISTORY_LENGTH, subjects=list(range(HISTORY_LENGTH)), runs_since=50)
    record_push(history, Snapshot(), 5, None, correct(history, 77, Snapshot()) or 0)

    assert (history.pushes, history.runs_since, history.runs_between) == (1, HISTORY_LENGTH, [30])
    assert sum(history.outcomes) == 0
