"""Figures of small situations, worked out by hand. All numbers are seconds of one node unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream_app.analysis.fleet.contributions import PushCost
from stream_app.analysis.fleet.figures import fleet_figures, pipeline_figures
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.analysis.fleet.snapshot import snapshot_of
from stream_app.analysis.fleet.values import OperatorFigures, PipelineFigures, Quantiles
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.operators import Operators
from stream_app.sources import openlineage
from stream_app.sources.mlmd import Rules
from stream_app.times import text_to_time
from tests.sources.mlmd_store import StoreWriter
from tests.sources.openlineage_events import dataset, job_type
from tests.sources.openlineage_streams import written
from tests.sources.test_mlmd_kfp import KfpWriter
from tests.sources.test_openlineage_field import dag, task
from tests.support.builders import DAY, T0, artifact, ended, ran, started
from tests.support.mlmd_results import events_in
from tests.support.recordings import recording

DAYS = 24 * 60
#: So that little is kept.
SHORT = Settings(horizon_ms=2 * DAY, lateness_ms=DAY, retention_ms=8 * DAY)


class Found(NamedTuple):
    """The figures of the only pipeline; graphlets and pushes in the order of trainings, exact."""

    figures: PipelineFigures
    graphlets: list[GraphletFacts]
    pushes: list[PushCost]

    def quantile(self, measure: str) -> Quantiles:
        return self.figures.totals.quantiles[measure]


def found_in(events: Iterable[Event | None], settings: Settings | None = None) -> Found:
    """The figures at the end of some events."""
    detector, analysis = Detector(settings or Settings()), FleetAnalysis()
    detector.follow(analysis)
    for event in events:
        assert event is not None
        detector.step(event)
    (pipeline,) = analysis.pipelines().values()
    pushes = sorted(pipeline.pushes.values(), key=lambda push: (push.start_ms, push.trainer))
    return Found(pipeline_figures(snapshot_of(pipeline), "", priced=False), list(pipeline.order), pushes)


def recorded(name: str) -> Found:
    """The figures of recorded events."""
    return found_in(map(openlineage.decode, recording(name).lines))


def reported(events: Iterable[dict[str, Any]]) -> Found:
    """The figures of OpenLineage events."""
    return found_in(openlineage.decode(written(event)) for event in events)


def close(value: float) -> object:
    """A quantile of a value: within 1 %."""
    return pytest.approx(value, rel=0.01)


# Through the decoders of sources


def test_dags_of_kubeflow_cost_nothing_beside_their_tasks(tmp_path: Path) -> None:
    """58 min of preparation and 120 min of training are 3,480 + 7,200 = 10,680; from minute 2 to 181 one is idle."""
    writer = KfpWriter(tmp_path / "store.sqlite")
    with writer:
        root = writer.dag(0)
        inner = writer.dag(1, parent=root)
        data, model = writer.artifact(60, "system.Dataset"), writer.artifact(182, "system.Model")
        writer.task(2, 60, "prep", parent_dag_id=inner, writes=[data])
        writer.task(61, 181, "train-model", parent_dag_id=inner, reads=[data], writes=[model])
        writer.update(182, inner, "COMPLETE")
        writer.update(183, root, "COMPLETE")
    rules = Rules(Operators({"prep": "preprocess"}))
    found = found_in(events_in(tmp_path / "store.sqlite", rules), Settings(operators=rules.operators))
    totals, (graphlet,) = found.figures.totals, found.graphlets

    assert totals.node_seconds == 10_680
    assert totals.node_seconds_by_group == {"preprocess": 3_480, "train": 7_200}
    assert (totals.runs, totals.graphlets, totals.causes) == (1, 1, {"run_ended": 1})
    assert totals.operators == [OperatorFigures("Trainer", 1, 0), OperatorFigures("prep", 1, 0)]
    assert (graphlet.executions, graphlet.depth, graphlet.inputs) == (2, 2, ())
    assert found.quantile("duration_seconds").p50 == close(179 * 60)
    assert found.quantile("waiting_seconds").p50 == close(60)
    assert (found.figures.since_push_node_seconds, found.figures.since_push_graphlets) == (10_680, 1)


def test_a_cached_run_trains_nothing_and_costs_nothing(tmp_path: Path) -> None:
    """One graphlet of an hour and a minute; the cached Pusher is its third execution, and no time passes for it."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        model, pushed = writer.artifact(60), writer.artifact(62, "PushedModel", pushed=1)
        writer.done(0, 60, "Trainer", writes=[model])
        writer.done(61, 62, "Pusher", reads=[model], writes=[pushed])
        writer.done(600, 600, "Trainer", "CACHED", run="r2", writes=[model])
        writer.done(601, 601, "Pusher", "CACHED", run="r2", reads=[model], writes=[pushed])
    found = found_in(events_in(tmp_path / "store.sqlite"))
    totals, (graphlet,) = found.figures.totals, found.graphlets

    assert (totals.runs, totals.graphlets, totals.pushed) == (2, 1, 1)
    assert (totals.node_seconds, totals.alone_node_seconds, totals.push_node_seconds) == (3_660, 0, 3_660)
    assert totals.operators == [OperatorFigures("Pusher", 2, 0), OperatorFigures("Trainer", 2, 0)]
    assert (graphlet.executions, graphlet.last_ms - graphlet.first_ms) == (3, 62 * 60_000)
    assert found.quantile("waiting_seconds").p50 == close(60)


def retried_days_later(end: str = "COMPLETE") -> list[dict[str, Any]]:
    """A training that fails after an hour, and runs for four more three days later under its id."""
    events = [task("START", "train", 0), task("FAIL", "train", 1), task("START", "train", 72)]
    events.append(task(end, "train", 76, outputs=[dataset("m", "1")] if end == "COMPLETE" else []))
    return [*events, task("START", "push", 77, inputs=[dataset("m", "1")]), task("COMPLETE", "push", 78)]


def test_days_between_two_attempts_are_no_compute() -> None:
    """1 h + 4 h of training and 1 h of deployment are 21,600, all of which the push cost; the training did not fail."""
    found = reported(retried_days_later())
    totals = found.figures.totals

    assert totals.node_seconds_by_group == {"deploy": 3_600, "train": 18_000}
    assert (totals.pushed, totals.push_node_seconds) == (1, 21_600)
    assert totals.operators == [OperatorFigures("Pusher", 1, 0), OperatorFigures("Trainer", 1, 0)]
    assert found.quantile("duration_seconds").p50 == close(78 * 3_600)


def test_three_failed_trainings() -> None:
    """Three hours each, five hours from start to start; FAIL has no offset, as some releases of Airflow write it."""
    events = []
    for number in range(3):
        start, run = 5 * number, f"train {number}"
        failed = task("FAIL", "train", start + 3, run, parent=None)
        failed["eventTime"] = failed["eventTime"].removesuffix("Z")
        events += [task("START", "train", start, run, parent=None), failed]
    found = reported(events)
    totals = found.figures.totals

    assert (totals.graphlets, totals.not_pushed, totals.causes) == (3, 3, {"failed": 3})
    assert (totals.share_pushed, totals.push_node_seconds) == (0.0, None)
    assert totals.node_seconds == 32_400
    assert totals.operators == [OperatorFigures("Trainer", 3, 3)]
    assert (found.figures.since_push_node_seconds, found.figures.since_push_graphlets) == (32_400, 3)
    interval = found.quantile("training_interval_seconds")
    assert (interval.count, interval.p50) == (2, close(18_000))


def test_twenty_mapped_trainings_of_which_one_is_pushed() -> None:
    """An hour each; the eighth is pushed in half an hour, and pays for the seven before it: 8 * 3,600 + 1,800."""
    events = [dag("START", 0, job_facets=job_type("DAG"))]
    for number in range(20):
        end = "FAIL" if number % 4 == 0 else "COMPLETE"
        outputs = [] if end == "FAIL" else [dataset("m", str(number))]
        events.append(task("START", "train", 1 + number / 60, f"train {number}"))
        events.append(task(end, "train", 2 + number / 60, f"train {number}", outputs=outputs))
    events += [task("START", "push", 3, inputs=[dataset("m", "7")]), task("COMPLETE", "push", 3.5)]
    events.append(dag("COMPLETE", 4, job_facets=job_type("DAG")))
    found = reported(events)
    totals = found.figures.totals

    assert (totals.runs, totals.graphlets, totals.pushed, totals.not_pushed) == (1, 20, 1, 19)
    assert totals.causes == {"failed": 5, "run_ended": 14}
    assert totals.share_pushed == 0.05
    assert totals.operators == [OperatorFigures("Trainer", 20, 5), OperatorFigures("Pusher", 1, 0)]
    assert (found.pushes[0].node_ms, found.pushes[0].tries) == (30_600_000, 8)
    assert (found.figures.since_push_node_seconds, found.figures.since_push_graphlets) == (12 * 3_600, 12)
    assert found.quantile("trainers") == Quantiles(1, 20, 20, 20)
    assert found.quantile("training_interval_seconds").count == 19


def test_a_registration_that_is_reported_twice_is_no_compute() -> None:
    """A tag that is set 18 days later costs nothing: the training's hour is all."""
    register = [ended(minute, "m/1", "ModelRegistration", run=None, reads=["m"]) for minute in (60, 18 * DAYS)]
    train = [started(0, "t", "Trainer", run=None), ended(60, "t", "Trainer", run=None, writes=["m"])]

    assert found_in([*train, *register]).figures.totals.node_seconds == 3_600


# What was recorded: times are those of the recordings, in ms


def test_recorded_airflow_deploys_one_of_two_trainings() -> None:
    """The second run ends without a deployment, and each has a task or two without data.

    First: prepare 3,346, train 2,877, evaluate 2,310, deploy 1,685, together 10,218; from 266,642 to 284,521 are
    17,879, so 7,661 are idle. Second: 1,974 + 2,729 + 1,869 = 6,572 of 9,156. In no graphlet: 508 + 750 + 900 = 2,158,
    all of which began after the first training.
    """
    found = recorded("airflow/training")
    totals, (first, second) = found.figures.totals, found.graphlets

    assert (totals.runs, totals.pushed, totals.not_pushed, totals.share_pushed) == (2, 1, 1, 0.5)
    assert (totals.node_seconds, totals.alone_node_seconds) == (18.948, 2.158)
    assert [each.total_ms for each in (first, second)] == [10_218, 6_572]
    assert [each.last_ms - each.first_ms for each in (first, second)] == [17_879, 9_156]
    assert [each.last_ms - each.first_ms - each.busy_ms for each in (first, second)] == [7_661, 2_584]
    assert [each.depth for each in (first, second)] == [3, 3]
    assert (totals.push_node_seconds, found.figures.since_push_node_seconds) == (10.218, 8.730)
    assert found.quantile("training_interval_seconds").p50 == close(27.418)
    assert found.quantile("overlap") == Quantiles(1, 1.0, 1.0, 1.0)
    assert totals.same_operators == 0.0


def test_recorded_airflow_retry_is_paid_for_by_the_push() -> None:
    """Prepare 1,788, tries 2,761 and 2,728, evaluate 1,675, deploy 1,556 are 10,508; 584 began after the training."""
    found = recorded("airflow/retried")
    totals, (graphlet,) = found.figures.totals, found.graphlets

    assert (graphlet.total_ms, graphlet.train_ms, graphlet.executions) == (10_508, 5_489, 5)
    assert graphlet.last_ms - graphlet.first_ms - graphlet.busy_ms == 5_500
    assert dict(graphlet.failed) == {"Trainer": 1}
    assert OperatorFigures("Trainer", 2, 1) in totals.operators
    assert (totals.graphlets, found.pushes[0].tries, found.pushes[0].node_ms) == (1, 1, 10_508)
    assert found.figures.since_push_node_seconds == 0.584


def test_recorded_airflow_trainings_share_one_preparation() -> None:
    """Four share prepare (1,539, so 384 each), three share evaluate (1,701, so 567 each).

    The third is pushed: 1,580 + 384 + 567, then 1,297 + 384 of the failed one, then 1,585 + 384 + 567 + 1,394. The
    fourth comes after it: 1,680 + 384 + 567. Rounding loses 3 of 10,776.
    """
    found = recorded("airflow/mapped")

    assert (found.pushes[0].node_ms, found.pushes[0].tries) == (8_142, 3)
    assert (found.figures.since_push_node_seconds, found.figures.since_push_graphlets) == (2.631, 1)
    assert found.figures.totals.node_seconds == 10.776
    assert found.figures.totals.causes == {"failed": 1, "run_ended": 2}
    assert found.quantile("trainers") == Quantiles(1, 4, 4, 4)


def test_recorded_airflow_run_that_was_cleared_pays_for_its_failed_try() -> None:
    """Both share prepare (1,577, so 788 each): 2,460 + 788, then 2,847 + 788 + 1,518 + 1,547 of the pushed one."""
    found = recorded("airflow/cleared")
    totals = found.figures.totals

    assert (found.pushes[0].node_ms, found.pushes[0].tries) == (9_948, 2)
    assert (totals.runs, totals.causes, totals.node_seconds) == (2, {"failed": 1}, 10.451)
    assert (found.figures.since_push_node_seconds, found.figures.since_push_graphlets) == (0.502, 0)


def test_recorded_airflow_deployment_that_skips_itself_has_no_price() -> None:
    """It is refused: there is a deployment, and no push. 1,682 + 2,852 + 1,633 + 749 are waste, 913 in no graphlet."""
    found = recorded("airflow/skipped")
    totals, (graphlet,) = found.figures.totals, found.graphlets

    assert (totals.pushed, totals.causes, totals.push_node_seconds) == (0, {"refused": 1}, None)
    assert (graphlet.total_ms, totals.node_seconds) == (6_916, 7.829)


def test_recorded_spark_costs_what_the_tasks_cost_that_submit_it() -> None:
    """33,253 of build_features and 69,801 of train, which failed; the jobs of Spark inside them cost nothing more."""
    totals = recorded("spark/failed").figures.totals

    assert totals.node_seconds == 103.054
    assert (totals.graphlets, totals.causes) == (1, {"failed": 1})
    assert next(each for each in totals.operators if each.operator == "Trainer").failed == 1


# Small situations


def test_a_whole_pipeline_from_data_to_push() -> None:
    """Five minutes of work in eleven: six are waiting. Two inputs: the span, and a vocabulary from outside.

    The way up is Transform, ExampleGen (2 steps); the way down is one step, as the Pusher reads the model itself.
    """
    found = found_in(
        [
            *ran(0, "g", "ExampleGen", writes=["span"]),
            *ran(2, "f", "Transform", reads=["span"], writes=["features"]),
            *ran(5, "t", "Trainer", reads=["features", "vocabulary"], writes=["m"]),
            *ran(8, "e", "Evaluator", reads=["m"], writes=["blessing"]),
            *ran(10, "d", "Pusher", reads=["m", "blessing"]),
        ]
    )
    totals, (graphlet,) = found.figures.totals, found.graphlets

    assert (graphlet.depth, graphlet.inputs, graphlet.executions) == (4, ("span", "vocabulary"), 5)
    assert (graphlet.last_ms - graphlet.first_ms, graphlet.busy_ms) == (660_000, 300_000)
    assert found.quantile("waiting_seconds").p50 == close(360)
    assert found.quantile("data_to_push_seconds").p50 == close(660)
    assert totals.use == {"analysis": 0.0, "validation": 1.0, "tuning": 0.0, "warm_start": 0.0}
    assert totals.push_node_seconds == 300


def test_rolling_windows_share_their_spans() -> None:
    """Windows of spans 1 to 3 and 2 to 4: two of four spans are common. The second is pushed and pays for all seven.

    First: 60 + 60 + 30 + 30 = 180; second: 60 + 30 + 30 + 60 and the Pusher's 60 = 240.
    """
    spans = [
        ran(number, f"g{number}", "ExampleGen", run=f"g{number}", writes=[f"s{number}"]) for number in (1, 2, 3, 4)
    ]
    found = found_in(
        [
            *(event for events in spans for event in events),
            *ran(10, "t1", "Trainer", run="r1", reads=["s1", "s2", "s3"], writes=["m1"]),
            *ran(20, "t2", "Trainer", run="r2", reads=["s2", "s3", "s4"], writes=["m2"]),
            *ran(30, "d", "Pusher", run="r2", reads=["m2"]),
        ]
    )

    assert found.quantile("overlap").p50 == close(0.5)
    assert (found.pushes[0].node_ms, found.pushes[0].tries) == (420_000, 2)
    assert found.figures.totals.node_seconds == 420
    assert found.quantile("data_to_push_seconds").p50 == close(31 * 60 - 2 * 60)


def test_a_share_is_rounded_down() -> None:
    """100 ms over three graphlets are 33 each: three pushes of 1,033 ms."""
    events = ran(0, "g", "ExampleGen", run="g", writes=["span"], node_ms=100)
    for number in (1, 2, 3):
        run = f"r{number}"
        events += ran(10 * number, f"t{run}", "Trainer", run=run, reads=["span"], writes=[run], node_ms=1_000)
        events += ran(10 * number + 5, f"d{run}", "Pusher", run=run, reads=[run], node_ms=0)
    found = found_in(events)

    assert [push.node_ms for push in found.pushes] == [1_033] * 3
    assert [push.interval_ms for push in found.pushes] == [None, 600_000, 600_000]
    assert found.figures.totals.node_seconds == 3.1


def test_a_push_pays_for_what_began_since_the_one_before() -> None:
    """In no graphlet: at minute 5 before the first training (7 ms), at 12 (11 ms) before the second, at 30 (13 ms)."""
    events = [*ran(5, "a", "Report", run=None, node_ms=7), *ran(12, "b", "Report", run=None, node_ms=11)]
    events += ran(30, "c", "Report", run=None, node_ms=13)
    for number in (1, 2):
        events += ran(10 * number, f"t{number}", "Trainer", run=None, writes=[f"m{number}"], node_ms=1_000)
        events += ran(10 * number + 1, f"d{number}", "Pusher", run=None, reads=[f"m{number}"], node_ms=0)
    found = found_in(events)

    assert [push.node_ms for push in found.pushes] == [1_007, 1_011]
    assert found.figures.since_push_node_seconds == 0.013
    assert found.figures.totals.alone_node_seconds == 0.031


def test_a_baseline_is_no_push_of_the_older_model() -> None:
    """Evaluator B reads model A too, so that A has four executions; B is refused, and open while its run goes on."""
    found = found_in(
        [
            *ran(0, "train-a", "Trainer", run="r1", reads=["examples-1"], writes=["a"]),
            *ran(10, "eval-a", "Evaluator", run="r2", reads=["a"], writes=["blessing-a"]),
            *ran(20, "push-a", "Pusher", run="r3", reads=["a", "blessing-a"], writes=[artifact("pa", pushed=1)]),
            *ran(30, "train-b", "Trainer", run="r4", reads=["examples-2"], writes=["b"]),
            *ran(40, "eval-b", "Evaluator", run="r5", reads=["a", "b"], writes=["blessing-b"]),
            *ran(50, "push-b", "Pusher", run="r6", reads=["b", "blessing-b"], writes=[artifact("pb", pushed=0)]),
        ]
    )
    totals = found.figures.totals

    assert (totals.pushed, totals.not_pushed, totals.open) == (1, 0, 1)
    assert [each.executions for each in found.graphlets] == [4, 3]
    assert [each.depth for each in found.graphlets] == [2, 2]
    assert found.quantile("overlap") == Quantiles(1, 0.0, 0.0, 0.0)
    # Evaluator B is split between the two: 60 + 60 + 60 + 30, and 60 + 30 + 60.
    assert (totals.push_node_seconds, found.figures.since_push_node_seconds) == (210, 150)


def test_superseded_trainings_are_tries_of_the_push_that_supersedes_them() -> None:
    """Three trainings without runs, a day apart, of 60 each; the last is pushed."""
    events = [e for day in range(3) for e in ran(day * DAYS, f"t{day}", "Trainer", run=None, writes=[f"m{day}"])]
    found = found_in([*events, *ran(2 * DAYS + 5, "d", "Pusher", run=None, reads=["m2"])])
    totals = found.figures.totals

    assert (totals.runs, totals.graphlets, totals.causes) == (0, 3, {"superseded": 2})
    assert (found.pushes[0].tries, found.pushes[0].node_ms) == (3, 240_000)
    assert (found.figures.lifespan_days, found.figures.trainings_a_day) == (close(2.004), close(1.497))


def test_weeks_begin_on_monday_at_midnight_utc() -> None:
    """A Sunday's last millisecond is of the week before. Weeks that events cover in part are not compared.

    Two trainings in the week of the 20th and three in the one of the 27th: half as many again.
    """
    times = ["2023-11-19T23:59:59.999Z", "2023-11-20T00:00:00Z", "2023-11-26T23:59:59.999Z"]
    times += ["2023-11-27T00:00:00Z", "2023-11-27T12:00:00Z", "2023-12-03T12:00:00Z", "2023-12-04T00:00:00Z"]
    events = []
    for text in times:
        events += ran((text_to_time(text) - T0) / 60_000, text, "Trainer", run=text, writes=[text])
    weeks = found_in(events).figures.weeks

    assert [(week.start, week.graphlets) for week in weeks] == [
        ("2023-11-13", 1), ("2023-11-20", 2), ("2023-11-27", 3), ("2023-12-04", 1),
    ]  # fmt: skip
    assert [week.active_days for week in weeks] == [1, 2, 2, 1]
    assert [week.whole for week in weeks] == [False, True, True, False]
    assert [week.change for week in weeks] == [{}, {}, {"runs": 0.5, "graphlets": 0.5, "node_seconds": 0.5}, {}]


def test_a_stream_that_never_ends_is_paid_for_once() -> None:
    """In no graphlet, it reports each day for thirty days; there is a push a day."""
    events = []
    for day in range(30):
        events.append(started(day * DAYS + 1, "stream", "Report", run=None))
        events += ran(day * DAYS + 10, f"t{day}", "Trainer", run=f"r{day}", writes=[f"m{day}"])
        events += ran(day * DAYS + 20, f"d{day}", "Pusher", run=f"r{day}", reads=[f"m{day}"])
    totals = found_in(events, SHORT).figures.totals

    assert totals.node_seconds == 29 * 86_400 + 60 * 60
    assert totals.push_node_seconds == pytest.approx((29 * 86_400 + 60 * 60) / 30)


# What falls short


def test_days_between_two_attempts_are_waiting() -> None:
    """Six hours of work in 78."""
    (graphlet,) = reported(retried_days_later()).graphlets

    assert graphlet.last_ms - graphlet.first_ms - graphlet.busy_ms == 72 * 3_600_000


def test_a_second_attempt_without_an_end_lasts_until_its_last_report() -> None:
    """It falls silent after four hours and is lost: 76 hours from the first start to the last report, not one."""
    lost = [event for event in retried_days_later("RUNNING") if event["eventType"] != "COMPLETE"][:4]
    (graphlet,) = reported([*lost, task("START", "other", 90, parent=None)]).graphlets

    assert (graphlet.outcome, graphlet.cause) == ("not_pushed", "lost")
    assert graphlet.total_ms == 5 * 3_600_000
    assert graphlet.last_ms - graphlet.first_ms == 76 * 3_600_000


def test_a_training_that_runs_again_has_not_failed() -> None:
    """While its second attempt runs it is open."""
    found = reported(retried_days_later()[:3])

    assert found.figures.totals.open == 1
    assert found.figures.totals.operators == [OperatorFigures("Trainer", 1, 0)]


def test_one_event_of_a_broken_clock_hides_no_week() -> None:
    """It is twenty years ahead; the pipeline's clock ignores it, as the list of weeks should."""
    events = [e for day in range(3) for e in ran(day * DAYS, f"t{day}", "Trainer", run=None, writes=[f"m{day}"])]
    figures = found_in([*events, started(20 * 365 * DAYS, "x", "Report", run=None)]).figures

    assert sum(week.graphlets for week in figures.weeks) == 3


@pytest.mark.xfail(strict=True, reason="facts are made again from what is left of what the trainer read")
def test_a_warm_start_stays_one_when_the_earlier_training_was_evicted() -> None:
    """Evaluators keep the later training alive; its input from the earlier one is no data either."""
    events = ran(0, "t0", "Trainer", run="r0", writes=["m0"])
    events += ran(1 * DAYS, "t1", "Trainer", run="r1", reads=["m0"], writes=["m1"])
    for day in (2, 7, 12, 17, 22, 27):
        events += ran(day * DAYS, f"e{day}", "Evaluator", run=f"e{day}", reads=["m1"])
    found = found_in(events, SHORT)

    assert found.figures.totals.use["warm_start"] == 0.5
    assert found.quantile("inputs") == Quantiles(2, 0, 0, 0)


def test_a_model_type_that_is_trained_no_more_has_no_weeks() -> None:
    """A training of more than 54 weeks ago is in the totals of its type alone."""
    detector, analysis = Detector(Settings()), FleetAnalysis()
    detector.follow(analysis)
    for week in range(60):
        kind = {"model_type": "new" if week else "old"}
        for event in ran(week * 7 * DAYS, f"t{week}", "Trainer", run=None, writes=[f"m{week}"], properties=kind):
            detector.step(event)
    figures = fleet_figures(
        {name: snapshot_of(each) for name, each in analysis.pipelines().items()}, lambda _: "", None
    )
    (old,) = (group for group in figures.by_model_type if group.name == "old")

    assert old.totals.graphlets == 1
    assert old.weeks == []
