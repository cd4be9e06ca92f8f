"""What real streams did to other tools, told in small, and what must come out of them here."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.sources.openlineage import decode
from tests.sources.openlineage_events import dataset, job_type, run_event, run_id
from tests.sources.openlineage_streams import written

Graphlet = dict[str, Any]
HOUR_MS = 3_600_000


def at(hour: float) -> str:
    """A time of the first of March."""
    minutes = round(hour * 60)
    return f"2026-03-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00Z"


def task(event_type: str, name: str, hour: float, run: str | None = None, **more: Any) -> Graphlet:
    """An event of a task of the DAG `fraud`, by default in its run `r`."""
    more.setdefault("parent", ("r", "fraud"))
    return run_event(event_type, f"fraud.{name}", run or name, time=at(hour), **more)


def dag(event_type: str, hour: float, run: str = "r", **more: Any) -> Graphlet:
    """An event of a run of the DAG `fraud`."""
    return run_event(event_type, "fraud", run, time=at(hour), **more)


def by_trainer(events: list[Graphlet]) -> dict[str, Graphlet]:
    """The final graphlets."""
    detector = Detector(Settings())
    for each in events:
        event = decode(written(each))
        assert event is not None
        detector.step(event)
    return {each["trainer"]: each for each in detector.graphlets()}


def only(events: list[Graphlet]) -> Graphlet:
    """The only graphlet."""
    (found,) = by_trainer(events).values()
    return found


def outcome(graphlet: Graphlet) -> tuple[str, str | None]:
    """How it ended, and why."""
    return graphlet["outcome"], graphlet["cause"]


@pytest.mark.parametrize(
    ("at_start", "at_end"),
    [({}, {}), (job_type("DAG"), job_type("DAG")), (job_type("DAG"), {}), ({}, job_type("DAG"))],
    ids=["never", "always", "at the start", "at the end"],
)
def test_a_dag_run_is_the_run_whatever_tells_its_type(at_start: Graphlet, at_end: Graphlet) -> None:
    """It ends the run, trains nothing, and costs nothing itself."""
    found = only(
        [
            dag("START", 0, job_facets=at_start),
            task("START", "train", 1),
            task("COMPLETE", "train", 3, outputs=[dataset("m", "1")]),
            dag("COMPLETE", 4, job_facets=at_end),
            dag("START", 9, "r2", job_facets=at_start),
        ]
    )

    assert (outcome(found), found["run"], found["cost"]) == (
        ("not_pushed", "run_ended"),
        run_id("r"),
        {"train": 2 * HOUR_MS},
    )


def test_failures_without_an_offset_end_where_they_should() -> None:
    """Airflow's provider wrote FAIL so, and START and COMPLETE otherwise."""
    failed = task("FAIL", "train", 3) | {"eventTime": "2026-03-01T03:00:00.123456"}
    found = only([task("START", "train", 0) | {"eventTime": "2026-03-01T00:00:00.123456+00:00"}, failed])

    assert (outcome(found), found["cost"]) == (("not_pushed", "failed"), {"train": 3 * HOUR_MS})


def test_an_error_message_with_a_lone_surrogate_fails_its_training() -> None:
    """It is no reason to lose the event."""
    failed = task("FAIL", "train", 2, run_facets={"errorMessage": {"message": "bad byte \udcff in path"}})

    assert outcome(only([task("START", "train", 0), failed])) == ("not_pushed", "failed")


def test_nulls_are_as_good_as_nothing() -> None:
    """In every place where a list, a facet or a parent may stand."""
    train = task("COMPLETE", "train", 2, parent=None, outputs=[dataset("m", "1")]) | {"inputs": None}
    train["run"]["facets"] = train["job"]["facets"] = None
    push = task("COMPLETE", "push", 3, parent=None, inputs=[dataset("m", "1")]) | {"outputs": None}
    push["run"]["facets"] = {
        "parent": {"job": {"namespace": "prod", "name": "fraud"}, "run": None},
        "nominalTime": None,
    }

    assert outcome(only([train, push])) == ("pushed", None)


def test_dags_with_dots_are_pipelines_of_their_own() -> None:
    """The parent facet names the DAG, whose own events tell that they are of one."""
    events = []
    for name in ("team.fraud.v2", "team.churn"):
        common: Graphlet = {"name": f"{name}.train", "run": f"{name} train", "parent": (name, name)}
        kind = job_type("DAG")
        events += [
            run_event("START", name, name, time=at(0), job_facets=kind),
            run_event("START", time=at(1), **common),
            run_event("COMPLETE", time=at(2), **common),
            run_event("COMPLETE", name, name, time=at(3), job_facets=kind),
        ]
    found = by_trainer(events)

    assert {each["pipeline"] for each in found.values()} == {"prod/team.fraud.v2", "prod/team.churn"}
    assert {outcome(each) for each in found.values()} == {("not_pushed", "run_ended")}


def test_mapped_trainings_have_graphlets_of_their_own() -> None:
    """Of twenty one is pushed, five fail, and fourteen end with the run."""
    events = [dag("START", 0)]
    for number in range(20):
        end = "FAIL" if number % 4 == 0 else "COMPLETE"
        run, outputs = f"train {number}", [dataset("m", str(number))]
        events.append(task("START", "train", 1 + number / 60, run))
        events.append(task(end, "train", 2 + number / 60, run, outputs=[] if end == "FAIL" else outputs))
    events += [task("COMPLETE", "push", 3, inputs=[dataset("m", "7")]), dag("COMPLETE", 4)]
    found = [outcome(each) for each in by_trainer(events).values()]

    assert found.count(("pushed", None)) == 1
    assert found.count(("not_pushed", "failed")) == 5
    assert found.count(("not_pushed", "run_ended")) == 14


@pytest.mark.parametrize("is_written_first", [True, False])
def test_a_dataset_of_two_names_is_one(is_written_first: bool) -> None:
    """A table and its folder, whichever of them is the dataset's own name."""
    folder = {"namespace": "s3a://bucket", "name": "warehouse/models/x/"}
    table = {"namespace": "hive://metastore:9083", "name": "ml.model_x"}
    own, other = (folder, table) if is_written_first else (table, folder)
    output = own | {"facets": {"symlinks": {"identifiers": [other | {"type": "TABLE"}]}}}

    for read in (table, {"namespace": "s3://bucket", "name": "warehouse/models/x"}):
        events = [task("COMPLETE", "train", 1, outputs=[output]), task("COMPLETE", "push", 3, inputs=[read])]
        assert outcome(only(events)) == ("pushed", None)


def test_inputs_may_be_told_at_the_start_or_at_the_end() -> None:
    """Each half of a job's datasets in one event alone."""
    steps = [("prepare", "raw", "features"), ("train", "features", "model"), ("push", "model", "served")]
    for is_at_start in (True, False):
        events = []
        for number, (name, read, write) in enumerate(steps):
            inputs = {"inputs": [dataset(read)]}
            events.append(task("START", name, 2 * number, **(inputs if is_at_start else {})))
            end: Graphlet = {"outputs": [dataset(write)]} | ({} if is_at_start else inputs)
            events.append(task("COMPLETE", name, 2 * number + 1, **end))
        found = only(events)

        assert outcome(found) == ("pushed", None)
        assert (found["up"], found["down"]) == ([run_id("prepare")], [run_id("push")])


def test_a_stream_that_never_ends_is_trained_on() -> None:
    """The training is pushed all the same."""
    stream: Graphlet = {"inputs": [dataset("topic")], "outputs": [dataset("features")], "parent": None}
    events = [
        task("START", "prepare", 0, **stream),
        *(task("RUNNING", "prepare", hour, **stream) for hour in range(1, 5)),
    ]
    events += [
        task("START", "train", 6, parent=None, inputs=[dataset("features")]),
        task("COMPLETE", "train", 9, parent=None, outputs=[dataset("model")]),
        task("COMPLETE", "push", 12, parent=None, inputs=[dataset("model")]),
    ]

    assert outcome(only(events)) == ("pushed", None)


def test_a_model_of_dbt_that_trains_is_a_training() -> None:
    """Its name says so; its run is that of the project."""
    parent = ("p", "dbt-run-shop")
    found = only(
        [
            run_event("START", "dbt-run-shop", "p", time=at(0)),
            run_event("COMPLETE", "db.schema.train_model", "m", time=at(1), parent=parent, root=parent),
            run_event("COMPLETE", "dbt-run-shop", "p", time=at(2)),
        ]
    )

    assert (found["pipeline"], found["run"]) == ("prod/dbt-run-shop", run_id("p"))
    assert outcome(found) == ("not_pushed", "run_ended")
