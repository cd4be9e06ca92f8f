"""Each rule fires where its definition holds, and is quiet just before it does and where something explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stream_app.analysis.findings import Act, ActKind, Kind
from stream_app.core.events import CACHED, FAILED
from tests.analysis.findings.pipelines import PUSH, VALIDATOR, Found, Training, daily, events_of, findings_in
from tests.support.builders import DAY, HOUR, MINUTE, T0, artifact, ended, ran, run_ended, started

#: A training with a validator, in node-ms.
WHOLE = HOUR + VALIDATOR


def hourly(number: int, **more: object) -> list[Training]:
    """Trainings one hour apart."""
    return [Training(place, **more) for place in range(number)]  # type: ignore[arg-type]


def pushing(trainings: Sequence[Training], *places: int) -> list[Training]:
    """The same trainings, some of them pushed."""
    return [replace(each, pushed=place in places) for place, each in enumerate(trainings)]


# No push


@pytest.mark.parametrize(("trainings", "found"), [(19, False), (20, True), (25, True)])
def test_no_push_in_twenty_graphlets_is_a_finding(trainings: int, found: bool) -> None:
    """Not in nineteen; all of their compute is its cost."""
    finding = findings_in(hourly(trainings)).get(Kind.NO_PUSH)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.node_ms) == (trainings, trainings * WHOLE)
        assert (finding.since_ms, finding.last_ms) == (T0, T0 + (trainings - 1) * HOUR)
        assert finding.graphlets == tuple(f"p/t{place}" for place in range(trainings - 20, trainings))


def test_a_pipeline_that_has_pushed_once_has_pushed() -> None:
    """However long ago, as long as it is kept."""
    assert Kind.NO_PUSH not in findings_in(pushing(hourly(60), 0))


def test_open_graphlets_may_be_pushed_yet() -> None:
    """They have no outcome."""
    assert Kind.NO_PUSH not in findings_in([*hourly(19), Training(19, over=False)])


def test_nobody_knows_whether_a_pipeline_with_unknown_outcomes_pushes() -> None:
    """Its source may be blind to just those that were pushed."""
    unknown = ended(2000, "blind", "Trainer", run="blind", properties={"label_unknown": "true"})

    assert Kind.NO_PUSH not in Found().read([*events_of(hourly(30)), unknown]).by_kind()


@pytest.mark.parametrize(
    ("blessed", "deploys", "act"),
    [
        (True, False, ActKind.LOOK),
        (None, False, ActKind.LOOK),
        (True, True, ActKind.STOP_PIPELINE),
        (False, False, ActKind.STOP_PIPELINE),
    ],
)
def test_a_pipeline_is_stopped_only_where_pushes_would_be_seen(
    blessed: bool | None, deploys: bool, act: ActKind
) -> None:
    """Without a deploy execution they may not be reported, unless validation refuses all models."""
    events = events_of(hourly(20, blessed=blessed))
    if deploys:
        refused = artifact("pushed", pushed=0)
        events += ran(15, "deploy", "Pusher", run="r0", reads=["model0"], writes=[refused], node_ms=PUSH)
    finding = Found().read(events).by_kind()[Kind.NO_PUSH]

    assert finding.act == Act(act)
    assert finding.effect.node_ms == (finding.node_ms if act is ActKind.STOP_PIPELINE else 0)
    assert (finding.effect.pushes, finding.effect.lost) == (0, 0)


# Trains too often


@pytest.mark.parametrize(("between", "found"), [(2, False), (3, True)])
def test_three_runs_for_each_push_are_a_finding(between: int, found: bool) -> None:
    """Two are not."""
    trainings = pushing(daily(3 * between), *range(0, 3 * between, between))
    finding = findings_in(trainings).get(Kind.TRAINS_TOO_OFTEN)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.node_ms) == (6, 6 * WHOLE)
        assert finding.act == Act(ActKind.TRAIN_EVERY, 3)
        assert (finding.effect.lost, finding.effect.delayed, finding.effect.node_ms) == (0, 0, 6 * WHOLE)
        assert finding.effect.month_node_ms == finding.effect.node_ms * 30 * DAY // (8 * DAY + 12 * MINUTE)


def test_two_pushes_make_no_ratio() -> None:
    """Of nine trainings."""
    assert Kind.TRAINS_TOO_OFTEN not in findings_in(pushing(daily(9), 0, 4))


def test_candidates_of_one_run_are_one_try() -> None:
    """A run that trains twenty models and pushes the best of them does not train too often."""
    trainings = [
        replace(each, run=f"run{day}", hour=24 * day + place / 60, pushed=place == 7, over=place == 19)
        for day in range(4)
        for place, each in enumerate(hourly(20))
    ]

    assert Kind.TRAINS_TOO_OFTEN not in findings_in(trainings)


def test_pushes_are_delayed_to_the_next_run_that_trains() -> None:
    """Where they are not in the runs that would have trained."""
    finding = findings_in(pushing(daily(13), 2, 5, 10))[Kind.TRAINS_TOO_OFTEN]

    assert finding.act == Act(ActKind.TRAIN_EVERY, 4)
    assert (finding.effect.lost, finding.effect.delayed) == (0, 3)
    assert (finding.effect.delay_median_ms, finding.effect.delay_worst_ms) == (2 * DAY, 3 * DAY)


def test_a_smaller_k_is_recommended_where_the_ratio_would_lose_pushes() -> None:
    """Two pushes on two days are two of four only if every second run trains: the third run would do for both."""
    finding = findings_in(pushing(daily(16), 1, 3, 9, 12))[Kind.TRAINS_TOO_OFTEN]

    assert finding.act == Act(ActKind.TRAIN_EVERY, 2)
    assert (finding.effect.lost, finding.effect.delayed) == (0, 3)


def test_no_pace_is_recommended_where_each_loses_pushes() -> None:
    """Three pushes in a row need three trainings in a row."""
    finding = findings_in(pushing(daily(12), 3, 4, 5))[Kind.TRAINS_TOO_OFTEN]

    assert finding.act == Act(ActKind.LOOK)
    assert (finding.effect.skipped, finding.effect.node_ms, finding.effect.pushes) == (0, 0, 3)


# The same failure


@pytest.mark.parametrize(("failures", "found"), [(2, False), (3, True), (7, True)])
def test_two_failures_after_the_first_are_a_finding(failures: int, found: bool) -> None:
    """What came after the first is its cost."""
    finding = findings_in([Training(0), *daily(failures + 1, failed=True, code="c2")[1:]]).get(Kind.SAME_FAILURE)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.node_ms) == (failures - 1, (failures - 1) * HOUR)
        assert finding.act == Act(ActKind.FIX_CODE, 1)
        assert finding.effect.node_ms == (failures - 1) * HOUR


def test_a_failure_is_over_once_the_code_has_trained() -> None:
    """Failures of a machine come and go."""
    tries = [replace(each, failed=place % 3 != 0) for place, each in enumerate(daily(12))]

    assert Kind.SAME_FAILURE not in findings_in(tries)


def test_failures_of_unknown_or_changing_code_are_not_the_same() -> None:
    """Somebody is at work on it, or nobody knows."""
    assert Kind.SAME_FAILURE not in findings_in(daily(5, failed=True, code=""))
    assert Kind.SAME_FAILURE not in findings_in(
        [replace(each, code=f"c{place}") for place, each in enumerate(daily(5, failed=True))]
    )


def test_waiting_for_new_code_is_not_recommended_where_the_old_code_was_pushed_later() -> None:
    """It would have been stopped for ever by a fault that was not its own; a second try helps where it was enough."""
    once = [Training(0), Training(24, failed=True), Training(48, pushed=True)]
    thrice = [Training(72 + 24 * place, failed=True) for place in range(4)]

    assert findings_in([*once, *thrice])[Kind.SAME_FAILURE].act == Act(ActKind.FIX_CODE, 2)
    assert findings_in([*thrice, Training(240, pushed=True)])[Kind.SAME_FAILURE].act == Act(ActKind.LOOK)


def test_waiting_for_new_code_is_not_recommended_where_the_old_code_went_on_to_train() -> None:
    """It would save much, but not what failures cost."""
    failing = daily(4, failed=True)

    assert findings_in([*failing, *daily(6)[4:]])[Kind.SAME_FAILURE].act == Act(ActKind.LOOK)
    assert findings_in([*failing, Training(100, code="c2")])[Kind.SAME_FAILURE].act == Act(ActKind.FIX_CODE, 1)


# Models not blessed


@pytest.mark.parametrize(("refused", "found"), [(4, False), (5, True), (8, True)])
def test_five_refused_models_in_a_row_are_a_finding(refused: int, found: bool) -> None:
    """Up to now; their compute is its cost."""
    finding = findings_in([Training(0), *daily(refused + 1, blessed=False)[1:]]).get(Kind.NOT_BLESSED)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.node_ms) == (refused, refused * WHOLE)
        assert finding.act == (Act(ActKind.FIX_CODE, 5) if refused > 5 else Act(ActKind.LOOK))
        assert finding.effect.node_ms == (refused - 5) * WHOLE


@pytest.mark.parametrize("last", [Training(1000, blessed=True), Training(1000, blessed=False, pushed=True)])
def test_a_streak_ends_with_a_blessed_model_or_a_push(last: Training) -> None:
    """Somebody pushes although validation refuses."""
    assert Kind.NOT_BLESSED not in findings_in([*daily(9, blessed=False), last])


def test_models_that_nobody_judged_do_not_end_a_streak() -> None:
    """A failed training has no model."""
    trainings = daily(6, blessed=False)
    trainings[3] = replace(trainings[3], failed=True)

    assert findings_in(trainings)[Kind.NOT_BLESSED].count == 5


# Unchanged data


def test_training_again_on_the_same_data_with_the_same_code_is_a_finding() -> None:
    """Once is enough."""
    finding = findings_in([Training(0, data=("d1", "d2")), Training(24, data=("d2", "d1"))])[Kind.UNCHANGED]

    assert (finding.count, finding.graphlets, finding.node_ms) == (1, ("p/t1",), WHOLE)
    assert finding.act == Act(ActKind.SKIP_UNCHANGED)
    assert finding.effect.node_ms == WHOLE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"data": ("d1",)}, {"data": ("d1", "d2")}),
        ({"data": ("d1",)}, {"data": ("d1",), "code": "c2"}),
        ({"data": ("d1",), "code": ""}, {"data": ("d1",), "code": ""}),
        ({"data": ("d1",), "model": "other"}, {"data": ("d1",)}),
        ({"data": ("d1",), "failed": True}, {"data": ("d1",)}),
        ({"data": ("d1",), "run": "r"}, {"data": ("d1",), "run": "r"}),
        ({"data": ("d1",)}, {"data": ("d1",), "warm": True}),
    ],
    ids=["no data", "more data", "new code", "unknown code", "another model", "a retry", "the same run", "warm start"],
)
def test_what_makes_two_trainings_differ(before: dict[str, object], after: dict[str, object]) -> None:
    """A retry, the candidates of one run, and a training that goes on from a model are no repeats either."""
    trainings = [Training(0, **before), Training(24, **after)]  # type: ignore[arg-type]

    assert Kind.UNCHANGED not in findings_in(trainings)


def test_a_dataset_without_versions_may_have_changed() -> None:
    """Its name says nothing of its contents."""
    table = artifact("table", versioned=False)

    assert Kind.UNCHANGED not in findings_in(daily(6, data=(table,)))


def test_a_pushed_repeat_costs_nothing_and_is_not_skipped_lightly() -> None:
    """Its compute was useful; without it the push would have waited for a change that never came."""
    finding = findings_in([Training(0, data=("d",)), Training(24, data=("d",), pushed=True)])[Kind.UNCHANGED]

    assert (finding.count, finding.node_ms) == (1, 0)
    assert finding.act == Act(ActKind.LOOK)


# Validation


@pytest.mark.parametrize(("models", "found"), [(9, False), (10, True)])
def test_ten_models_that_nobody_validates_are_a_finding(models: int, found: bool) -> None:
    """Waste, as long as none is pushed."""
    finding = findings_in(daily(models, blessed=None)).get(Kind.NOT_VALIDATED)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.node_ms) == (models, models * HOUR)
        assert finding.act == Act(ActKind.ADD_VALIDATION)
        assert finding.effect.skipped == 0


@pytest.mark.parametrize(("validated", "found"), [(2, True), (3, False)])
def test_nearly_all_are_nine_of_ten(validated: int, found: bool) -> None:
    """A validator that ran now and then is there."""
    trainings = [Training(24 * place, blessed=None if place < 18 else True) for place in range(18 + validated)]

    assert (Kind.NOT_VALIDATED in findings_in(trainings)) == found


def test_failed_trainings_have_no_model_to_validate() -> None:
    """They do not count."""
    assert Kind.NOT_VALIDATED not in findings_in([*daily(9, blessed=None), Training(999, failed=True)])


def test_pushing_what_nobody_validated_is_a_risk_without_money() -> None:
    """The pushed ones are behind it; nothing was wasted by it."""
    found = findings_in(pushing(daily(10, blessed=None), 3, 7))
    finding = found[Kind.PUSHED_UNVALIDATED]

    assert Kind.NOT_VALIDATED not in found
    assert (finding.count, finding.graphlets) == (2, ("p/t3", "p/t7"))
    assert (finding.node_ms, finding.counted, finding.act) == (0, 0, Act(ActKind.ADD_VALIDATION))


# Silence


@pytest.mark.parametrize(("hour", "found"), [(5 * 24 + 72, False), (5 * 24 + 72.1, True)])
def test_a_run_is_overdue_after_three_of_its_usual_intervals(hour: float, found: bool) -> None:
    """By the clock of its pipeline."""
    finding = findings_in(daily(6), hour).get(Kind.SILENT)

    assert (finding is not None) == found
    if finding is not None:
        assert (finding.count, finding.last_ms, finding.node_ms) == (3, T0 + 5 * DAY, 0)
        assert finding.act == Act(ActKind.LOOK)


@pytest.mark.parametrize(("hour", "found"), [(5 + 24, False), (5 + 24.1, True)])
def test_a_frequent_pipeline_may_pause_for_a_day(hour: float, found: bool) -> None:
    """Three hours are no silence to speak of."""
    assert (Kind.SILENT in findings_in(hourly(6), hour)) == found


def test_four_intervals_make_no_usual_one() -> None:
    """Five runs have as many."""
    assert Kind.SILENT not in findings_in(daily(5), 24 * 13)


def test_the_usual_interval_is_that_between_runs() -> None:
    """Not that between the candidates of one run; and a long one in ten is not usual."""
    candidates = [
        Training(24 * 2 * day + place / 60, run=f"run{day}", over=place == 9) for day in range(6) for place in range(10)
    ]
    weekend = [*daily(10), Training(24 * 12)]

    assert Kind.SILENT not in findings_in(candidates, 24 * 15.9)
    assert Kind.SILENT in findings_in(candidates, 24 * 16.1)
    assert Kind.SILENT not in findings_in(weekend, 24 * 14.9)
    assert Kind.SILENT in findings_in(weekend, 24 * 15.1)


# Situations of the field


def test_mapped_tasks_of_one_run_are_no_waste_by_rhythm() -> None:
    """Of 20 trials in a run one is pushed, five fail with the same code and 14 remain."""
    trainings = [
        Training(place / 60, run="hpo", failed=place in range(3, 8), pushed=place == 12, over=place == 19)
        for place in range(20)
    ]
    found = findings_in([replace(each, data=("d",)) for each in trainings])

    assert set(found) == {Kind.SAME_FAILURE}
    assert found[Kind.SAME_FAILURE].count == 4


def test_a_cached_training_is_no_training_on_the_same_data() -> None:
    """It cost nothing and has no graphlet."""
    events = events_of([Training(0, data=("d",), pushed=True)])
    events += [
        ended(1440, "t-cached", "Trainer", run="r-cached", state=CACHED, reads=["d"], writes=["model0"]),
        ended(1450, "p-cached", "Pusher", run="r-cached", state=CACHED, reads=["model0"]),
        run_ended(1460, "r-cached"),
    ]

    assert not Found().read(events).by_kind()


def test_tries_of_one_task_are_one_failure() -> None:
    """A task that a scheduler tries three times has failed once."""
    events = []
    for number in range(3):
        properties = {"code_version": "c1", "job": "train"}
        name, minute = f"try{number}", 60.0 * number
        events += [
            started(minute, name, "Trainer", run="r1", properties=properties),
            ended(minute + 30, name, "Trainer", run="r1", state=FAILED, properties=properties),
        ]
    events.append(run_ended(200, "r1", state=FAILED))

    assert Kind.SAME_FAILURE not in Found().read(events).by_kind()


def test_one_broken_clock_makes_no_pipeline_silent() -> None:
    """An event that is dated 400 days ahead moves no clock alone."""
    events = events_of(daily(6))
    events.insert(20, started(400 * 1440, "wrong", "CsvExampleGen", run="r3"))

    assert Kind.SILENT not in Found().read(events).by_kind()
