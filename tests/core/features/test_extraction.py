"""What the models are told: named numbers, finite and bounded, absent where not known, of facts that had happened."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.events import FAILED, NEW, Event, Scalar
from stream_app.core.features.extraction import BOUND, NUMBERS_MAX, bounded, log_ratio, rounded, squash
from stream_app.core.state.history import Spread
from tests.support.builders import DAY, MINUTE, Ref, artifact, ended, happened, ran, run_ended, run_pruned, started
from tests.support.steered import PERIOD, TRAIN_MS, Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]
DAYS = DAY // MINUTE
ODD_NUMBERS = [1e15, -1e15, 5e-324, 0.0, -0.0, 2**53, True]


def asked(watched: Watched, stage: str | None = None) -> dict[str, float]:
    """The features of the last question, or of the last at a stage."""
    learner = watched.detector.learner
    assert isinstance(learner, Steered)
    return next(features for name, features in reversed(learner.asked) if stage in (None, name))


def trained(minute: float, run: str, **properties: Scalar) -> list[Event]:
    """A run of one trainer that came to nothing, and was labelled before three hours were over."""
    return [
        *ran(minute, f"train-{run}", "Trainer", run=run, writes=[f"m-{run}"], properties=properties),
        run_ended(minute + 2, run),
        started(minute + 2 * PERIOD, "clock", "Custom", run=None),
    ]


def pushed(minute: float, run: str, **properties: Scalar) -> list[Event]:
    """The same, pushed."""
    return [
        *ran(minute, f"train-{run}", "Trainer", run=run, writes=[f"m-{run}"], properties=properties),
        *ran(minute + 2, f"push-{run}", "Pusher", run=run, reads=[f"m-{run}"]),
        run_ended(minute + 4, run),
    ]


# All of them


@given(st.floats())
def test_every_feature_is_finite_and_bounded(value: float) -> None:
    """Whatever it was made from; what is no number says nothing."""
    assert math.isfinite(bounded(value))
    assert abs(bounded(value)) <= BOUND


@given(st.lists(st.one_of(st.floats(), st.floats(-21, 21), st.integers(-(10**6), 10**6).map(lambda n: n / 32))))
def test_all_values_at_once_are_rounded_as_each_by_itself(values: list[float]) -> None:
    """To the last bit, also half way between two roundings."""
    assert [each.hex() for each in rounded(values)] == [bounded(value).hex() for value in values]


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15), st.integers(2, 30))
def test_numbers_of_any_size_stay_comparable(first: float, second: float, count: int) -> None:
    """A metric in nanoseconds and one in petabytes end on one scale, and distances in their own spread."""
    spread = Spread()
    for number in range(count):
        spread.add(first if number % 2 else second)

    assert abs(squash(first)) < 40
    assert (squash(first) < squash(second)) <= (first < second)
    assert spread.variance >= 0.0


@pytest.mark.parametrize("odd", ODD_NUMBERS, ids=str)
def test_an_odd_number_breaks_no_feature(watch: Watch, odd: float) -> None:
    """Told by every run as a metric, and once as something else."""
    watched = watch(Steered())
    for number in range(6):
        watched.feed(trained(number * DAYS, f"r{number}", loss=odd if number % 2 else 1.0))
    watched.feed(trained(9 * DAYS, "last", loss="a word", steps=odd))

    learner = watched.detector.learner
    assert isinstance(learner, Steered)
    assert len(learner.asked) == 14
    for _, features in learner.asked:
        assert all(math.isfinite(value) and abs(value) <= BOUND for value in features.values())


def test_features_are_in_the_order_of_their_names(watch: Watch) -> None:
    """What a model meets, and how it is stored, does not depend on who was heard of first."""
    watched = watch(Steered()).feed(past(3, pushed=True), whole_run(10 * PERIOD, "now"))

    for _, features in watched.detector.learner.asked:  # type: ignore[union-attr]
        assert list(features) == sorted(features)


def test_of_a_new_pipeline_almost_nothing_is_known(watch: Watch) -> None:
    """What is not known is absent, never 0."""
    features = asked(watch(Steered()).feed(started(0, "prep", "Transform")))

    assert set(features) == {
        "cached_steps", "cost", "data", "executions", "failed_steps", "hour", "labelled", "open", "repeated_steps",
        "starts_since_push", "trainers", "weekday", "weekend",
    }  # fmt: skip


# The pipeline's past


def test_the_past_of_a_pipeline_that_never_pushed(watch: Watch) -> None:
    """Rates are there, nothing since a push is."""
    clock = started(9 * PERIOD, "clock", "Custom", run=None)
    features = asked(watch(Steered()).feed(past(4), clock, whole_run(10 * PERIOD, "now")), "input")

    assert features["labelled"] == pytest.approx(math.log1p(4), abs=1e-4)
    assert features["push_rate_5"] == features["push_rate_all"] == features["last_pushed"] == 0.0
    assert features["runs_since_push"] == pytest.approx(math.log1p(4), abs=1e-4)
    assert not {name for name in features if name.startswith(("hours_since", "since_push", "runs_to"))}


def test_the_past_of_a_pipeline_that_pushes(watch: Watch) -> None:
    """How long ago by its own measure: twice the usual time, a third of the usual runs."""
    log = [event for n in range(9) for event in whole_run(n * DAYS, f"past{n}", pushed=n % 3 == 2)]
    features = asked(watch(Steered()).feed(log, started(14 * DAYS + 7, "prep", "Transform")))

    assert features["push_rate_5"] == 0.4
    assert features["push_rate_all"] == pytest.approx(1 / 3, abs=1e-4)
    assert features["last_pushed"] == 1.0
    assert features["hours_since_push"] == pytest.approx(math.log1p(6 * 24), abs=1e-3)
    assert features["since_push_to_usual"] == pytest.approx(math.log(2), abs=1e-3)
    assert features["runs_to_usual"] == pytest.approx(log_ratio(1, 3), abs=1e-4)


def test_pruned_runs_are_missing_and_no_negatives(watch: Watch) -> None:
    """Rates of a pipeline that was pruned since are those of its labelled runs."""
    before = watch(Steered()).feed(past(4, pushed=True), started(9 * DAYS, "prep", "Transform"))
    pruned = watch(Steered()).feed(past(4, pushed=True))
    for number in range(5):
        minute = (2 + number) * DAYS
        pruned.feed(started(minute, f"t{number}", "Trainer", run=f"x{number}"), run_pruned(minute + 1, f"x{number}"))
    pruned.feed(started(9 * DAYS, "prep", "Transform"))

    rates = ("labelled", "push_rate", "push_rate_5", "push_rate_all", "last_pushed", "runs_since_push", "failed_rate")
    assert [asked(before)[name] for name in rates] == [asked(pruned)[name] for name in rates]


def test_last_causes_and_streaks(watch: Watch) -> None:
    """A trainer that failed is not one whose model was not wanted."""
    watched = watch(Steered()).feed(trained(0, "r1"))
    for number in range(2):
        watched.feed(started(DAYS, f"bad{number}", "Trainer", run=f"b{number}"))
        watched.feed(ended(DAYS + 1, f"bad{number}", "Trainer", run=f"b{number}", state=FAILED))
    watched.feed(started(2 * DAYS, "prep", "Transform", run="now"))

    assert asked(watched)["failed_5"] == 2.0
    assert asked(watched)["last_failed"] == 1.0


def test_runs_under_way_are_counted(watch: Watch) -> None:
    """Graphlets whose outcome is open."""
    watched = watch(Steered()).feed(started(n, f"t{n}", "Trainer", run=f"r{n}") for n in range(3))
    assert asked(watched)["open"] == pytest.approx(math.log1p(3), abs=1e-4)


# Data


def with_data(minute: float, run: str, spans: list[Ref]) -> list[Event]:
    return [
        started(minute, f"prep-{run}", "Transform", run=run, reads=spans),
        *ran(minute + 1, f"train-{run}", "Trainer", run=run, writes=[f"m-{run}"]),
    ]


def test_data_is_compared_with_the_last_runs_and_with_the_last_pushed(watch: Watch) -> None:
    """Jaccard overlap, and how much has not been seen since."""
    watched = watch(Steered()).feed(
        with_data(0, "r1", ["a", "b"]),
        ran(5, "push", "Pusher", run="r1", reads=["m-r1"]),
        run_ended(9, "r1"),
        with_data(DAYS, "r2", ["b", "c"]),
        started(2 * DAYS, "prep", "Transform", run="r3", reads=["c", "d", "e"]),
    )
    features = asked(watched, "input")

    assert features["data"] == pytest.approx(math.log1p(3), abs=1e-4)
    assert features["data_overlap_last"] == 0.25
    assert features["data_overlap_pushed"] == 0.0
    assert features["data_new_last"] == pytest.approx(math.log1p(2), abs=1e-4)
    assert features["data_new_pushed"] == pytest.approx(math.log1p(3), abs=1e-4)


def test_what_a_run_made_of_its_data_is_no_data_of_its_own(watch: Watch) -> None:
    """The output of its preprocessing is new in every run, and says nothing."""
    watched = watch(Steered()).feed(
        ran(0, "gen", "CsvExampleGen", writes=["a"]),
        ran(1, "prep", "Transform", reads=["a"], writes=["examples"]),
        started(3, "train", "Trainer", reads=["examples"]),
    )

    assert asked(watched)["data"] == pytest.approx(math.log1p(1), abs=1e-4)


def test_numbers_told_of_data_are_features_before_training(watch: Watch) -> None:
    """Anomalies and drift, of executions or of what they wrote; not those of the trainer."""
    watched = watch(Steered()).feed(
        ran(0, "gen", "CsvExampleGen", writes=["a"], properties={"rows": 99}),
        ran(1, "check", "ExampleValidator", reads=["a"], writes=[artifact("anomalies", anomalies=3, drift=0.5)]),
        started(2, "train", "Trainer", reads=["a"], properties={"rate": 0.1}),
    )
    features = asked(watched)

    assert features["data.anomalies"] == pytest.approx(math.log1p(3), abs=1e-4)
    assert features["data.drift"] == pytest.approx(math.log1p(0.5), abs=1e-4)
    assert features["data.rows"] == pytest.approx(math.log1p(99), abs=1e-4)
    assert "train.rate" not in features


# Code and model


def test_code_is_compared_and_has_a_record_of_its_own(watch: Watch) -> None:
    """The same as last time, the same as what was pushed, and how it has done."""
    watched = watch(Steered()).feed(
        pushed(0, "r1", code_version="a"),
        trained(DAYS, "r2", code_version="b"),
        started(3 * DAYS, "train", "Trainer", run="r3", properties={"code_version": "a"}),
    )
    features = asked(watched)

    assert (features["code_same_last"], features["code_same_pushed"]) == (0.0, 1.0)
    assert (features["code_push_rate"], features["code_fail_rate"]) == (1.0, 0.0)
    watched.feed(started(4 * DAYS, "other", "Trainer", run="r4", properties={"code_version": "new"}))
    assert asked(watched)["code_labelled"] == 0.0
    assert "code_push_rate" not in asked(watched)


def test_a_warm_start_is_told(watch: Watch) -> None:
    """The model that a trainer starts from was trained by another."""
    watched = watch(Steered()).feed(ran(0, "old", "Trainer", run="r1", writes=["m1"]))
    assert asked(watched)["warm_start"] == 0.0

    watched.feed(started(5, "new", "Trainer", run="r2", reads=["m1"]))

    assert asked(watched)["warm_start"] == 1.0


def test_types_of_models_are_told_apart(watch: Watch) -> None:
    """Each type is a feature of its own; one that is not told is none."""
    kinds = []
    for number, kind in enumerate(("dnn", "gbdt", "dnn")):
        watched = watch(Steered()).feed(started(number, "train", "Trainer", properties={"model_type": kind}))
        kinds.append([name for name in asked(watched) if name.startswith("model_type.")])

    assert kinds[0] == kinds[2] != kinds[1]
    assert [len(names) for names in kinds] == [1, 1, 1]


# Shape and cost


def test_shape_counts_steps_by_how_they_went(watch: Watch) -> None:
    """The run itself is no step; a retry repeats one."""
    watched = watch(Steered()).feed(
        happened(0, "r1", "PipelineRun", "RUNNING", run="r1"),
        ended(0, "gen", "CsvExampleGen", state="CACHED", writes=["a"]),
        ended(1, "stats", "StatisticsGen", reads=["a"], state=FAILED),
        started(2, "stats~2", "StatisticsGen", reads=["a"]),
        started(3, "prep", "Transform", reads=["a"]),
    )
    features = asked(watched)

    assert features["executions"] == pytest.approx(math.log1p(4), abs=1e-4)
    assert (features["failed_steps"], features["cached_steps"], features["repeated_steps"]) == (1.0, 1.0, 1.0)


def test_cost_so_far_is_told_and_compared_with_the_usual(watch: Watch) -> None:
    """At the same stage of the pipeline's past runs."""
    watched = watch(Steered()).feed(
        past(3),
        ran(10 * PERIOD, "train", "Trainer", node_ms=2 * TRAIN_MS),
    )
    features = asked(watched)

    assert features["cost"] == pytest.approx(math.log1p(2 * TRAIN_MS / 1000), abs=1e-4)
    assert features["cost_to_usual"] == pytest.approx(math.log(2 / 1.1), abs=1e-2)
    assert features["train_hours"] == pytest.approx(math.log1p(1 / 60), abs=1e-4)


def test_a_prediction_on_a_graphlet_looks_at_its_own_run(watch: Watch) -> None:
    """What other runs did with shared data before is sunk, and their number is no shape of this one."""
    watched = watch(Steered()).feed(
        ran(0, "gen", "CsvExampleGen", run="r0", writes=["a"], node_ms=10 * TRAIN_MS),
        ran(5, "train", "Trainer", reads=["a"], node_ms=1000),
    )

    assert watched.members("train")[0] == ["gen"]
    assert asked(watched)["executions"] == pytest.approx(math.log1p(1), abs=1e-4)
    assert asked(watched)["cost"] == pytest.approx(math.log1p(1.0), abs=1e-4)


# Measurements


def test_metrics_are_compared_in_units_of_their_own_spread(watch: Watch) -> None:
    """With their mean, and with what was pushed last."""
    watched = watch(Steered())
    for number, auc in enumerate((0.70, 0.72, 0.70, 0.72)):
        watched.feed(pushed(number * DAYS, f"r{number}", auc=auc))
    watched.feed(ran(9 * DAYS, "train", "Trainer", run="now", properties={"auc": 0.74}))
    features = asked(watched, "train")

    assert features["train.auc"] == pytest.approx(math.log1p(0.74), abs=1e-4)
    assert 2.5 < features["train.auc.to_mean"] < 3.5
    assert 1.5 < features["train.auc.to_pushed"] < 2.5


def test_what_training_tells_is_not_known_before_it(watch: Watch) -> None:
    """At stage `preprocess` a trainer's numbers are of what is yet to be, even when they came with its start."""
    watched = watch(Steered()).feed(ran(0, "train", "Trainer", properties={"auc": 0.7}))

    assert not [name for name in asked(watched, "preprocess") if name.startswith("train.")]
    assert [name for name in asked(watched, "train") if name.startswith("train.")] == ["train.auc"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [((1, 1), 1.0), ((1, 0), 0.0), (("0", "1"), 0.0), ((None, True), 1.0), ((None, None), None)],
)
def test_what_validators_said(watch: Watch, told: tuple[Scalar | None, ...], expected: float | None) -> None:
    """Blessed when all that bless did; unknown when none said; those that failed are counted."""
    watched = watch(Steered()).feed(ran(0, "train", "Trainer", writes=["m"]))
    watched.feed(ended(1, "broken", "InfraValidator", reads=["m"], state=FAILED))
    for number, said in enumerate(told):
        blessing = artifact(f"b{number}") if said is None else artifact(f"b{number}", blessed=said)
        watched.feed(ended(2 + number, f"eval{number}", "Evaluator", reads=["m"], writes=[blessing]))
    features = asked(watched)

    assert features.get("blessed") == expected
    assert (features["validators"], features["validators_failed"]) == (3.0, 1.0)


def test_a_blessing_is_known_at_its_own_stage_only(watch: Watch) -> None:
    """After training nobody has judged the model yet."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", writes=["m"]),
        ran(2, "eval", "Evaluator", reads=["m"], writes=[artifact("b", blessed=1)], properties={"auc": 0.5}),
    )

    assert "blessed" not in asked(watched, "train")
    assert asked(watched, "validate")["validate.auc"] == pytest.approx(math.log1p(0.5), abs=1e-4)


def test_a_run_that_tells_a_thousand_numbers_has_few_features(watch: Watch) -> None:
    """The first by name; the rest of the state stays small too."""
    many = {f"metric_{number:03}": float(number) for number in range(1000)}
    watched = watch(Steered())
    for number in range(4):
        watched.feed(trained(number * DAYS, f"r{number}", **many))
    features = asked(watched, "train")

    assert len([name for name in features if name.startswith("train.")]) <= 3 * NUMBERS_MAX
    assert "train.metric_000" in features


def test_tags_are_no_measurements(watch: Watch) -> None:
    """What means something to the detector itself is not a number among others."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", properties={"keep": True, "blessed": 1, "code_version": 7})
    )

    assert not [name for name in asked(watched, "train") if name.startswith("train.")]


def test_the_gap_since_the_run_before(watch: Watch) -> None:
    """In hours, and against the usual gap."""
    watched = watch(Steered()).feed(past(5), started(5 * PERIOD + PERIOD, "prep", "Transform"))

    assert asked(watched)["gap"] == pytest.approx(math.log1p(2 * PERIOD / 60), abs=1e-4)
    assert asked(watched)["gap_to_usual"] == pytest.approx(math.log(2), abs=1e-3)


def test_a_queued_trainer_tells_its_code(watch: Watch) -> None:
    """What came with the first event is known at the first stage."""
    watched = watch(Steered()).feed(
        pushed(0, "r1", code_version="a"),
        happened(DAYS, "train", "Trainer", NEW, run="r2", properties={"code_version": "a"}),
    )

    assert asked(watched, "input")["code_same_pushed"] == 1.0
