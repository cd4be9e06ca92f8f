"""Where a run belongs: its pipeline, its pipeline run, and the task within which it runs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.sources.openlineage import OpenLineage
from stream_app.sources.openlineage_rules import JobRule, Rules
from tests.sources.openlineage_events import dataset, job_type, message, run_event, run_id

AIRFLOW = "https://github.com/apache/airflow/tree/providers-openlineage/2.1.0"
DAG_RUN = {"airflowDagRun": {"dagRun": {"run_id": "scheduled"}}}


def decoded(event: dict[str, Any], rules: Rules | None = None) -> Event:
    """The event, which must be one."""
    found = OpenLineage(rules).decode(message(event))
    assert found is not None
    return found


def place(event: dict[str, Any], rules: Rules | None = None) -> tuple[str, str | None]:
    """Pipeline and run."""
    found = decoded(event, rules)
    return found.pipeline, found.run


class TestPipelines:
    """Which job's name is the pipeline's."""

    @pytest.mark.parametrize("dag", ["fraud", "team.fraud", "team.fraud.v2"])
    @pytest.mark.parametrize("task", ["train", "group.train"])
    def test_a_task_is_of_the_dag_that_its_parent_facet_names(self, dag: str, task: str) -> None:
        """Dots are not counted."""
        with_parent = run_event(name=f"{dag}.{task}", parent=("r1", dag))
        with_root = run_event(name=f"{dag}.{task}", parent=("r1", dag), root=("r1", dag))

        assert place(with_parent) == place(with_root) == (f"prod/{dag}", run_id("r1"))

    @pytest.mark.parametrize("facets", [{"job_facets": job_type("DAG")}, {"run_facets": DAG_RUN}])
    def test_a_dag_with_dots_is_the_pipeline_of_its_tasks(self, facets: dict[str, Any]) -> None:
        """When its events tell that they are of a DAG; its run is its own."""
        event = decoded(run_event("COMPLETE", "team.fraud", "r1", **facets))

        assert (event.pipeline, event.run, event.execution_id) == ("prod/team.fraud", run_id("r1"), run_id("r1"))
        assert event.execution_type == "PipelineRun"

    def test_without_a_run_above_the_name_up_to_the_first_dot_counts(self) -> None:
        """Nothing else tells."""
        assert place(run_event(name="team.fraud.train")) == ("prod/team", None)

    def test_the_job_of_a_run_above_counts_without_its_id(self) -> None:
        """Half a parent facet names the DAG all the same."""
        event = run_event(name="team.fraud.train")
        event["run"]["facets"]["parent"] = {"run": None, "job": {"namespace": "prod", "name": "team.fraud"}}

        assert place(event) == ("prod/team.fraud", None)

    def test_the_root_counts_across_namespaces(self) -> None:
        """A Spark application that a task started."""
        event = run_event(name="ads_app", namespace="spark", parent=("t1", "ml.submit"), root=("r1", "ml"))
        for above in (event["run"]["facets"]["parent"], event["run"]["facets"]["parent"]["root"]):
            above["job"]["namespace"] = "prod"

        assert place(event) == ("prod/ml", run_id("r1"))

    @pytest.mark.parametrize("namespace", ["prod", "flows"])
    def test_the_parent_names_the_pipeline_of_steps_whose_names_have_no_dot(self, namespace: str) -> None:
        """As workflows of Argo or Prefect do, whose own events name no parent."""
        step = run_event(name="train-model", parent=("r1", "fraud-workflow"))
        step["run"]["facets"]["parent"]["job"]["namespace"] = namespace
        workflow = run_event("COMPLETE", "fraud-workflow", "r1", namespace=namespace)

        assert place(step) == (f"{namespace}/fraud-workflow", run_id("r1"))
        assert place(workflow) == (f"{namespace}/fraud-workflow", None)

    def test_a_parent_is_no_pipeline_where_it_may_be_a_task(self) -> None:
        """A name with a dot is one of a task, and applications of Spark may name any step as their parent."""
        of_task = run_event(name="ads_app", namespace="spark", parent=("t1", "ml.submit"))
        of_spark = run_event(
            name="ads_app", namespace="spark", parent=("t1", "submit"), job_facets=job_type("APPLICATION")
        )

        assert {place(of_task)[0], place(of_spark)[0]} == {"spark/ads_app"}

    @pytest.mark.parametrize("sign", ["producer", "job type", "facet"])
    def test_a_dag_that_another_one_triggers_keeps_its_pipeline(self, sign: str) -> None:
        """Its tasks name the triggering DAG as their root."""
        event = run_event(name="team.ads.group.train", parent=("r2", "team.ads"), root=("r1", "nightly"))
        if sign == "producer":
            event["producer"] = AIRFLOW
        elif sign == "job type":
            event["job"]["facets"] = job_type("TASK")
        else:
            event["run"]["facets"]["airflow"] = {}
        dag = run_event(
            name="team.ads",
            run="r2",
            parent=("t1", "nightly.trigger"),
            root=("r1", "nightly"),
            job_facets=job_type("DAG"),
        )

        assert place(event) == ("prod/team.ads", run_id("r2"))
        assert place(dag)[0] == "prod/team.ads"

    def test_a_rule_comes_first(self) -> None:
        """The run is the one above that is of the same pipeline, else the outermost."""
        rules = Rules([JobRule(name=r"(ads|nightly)\..*|ads", pipeline="ads")])
        event = run_event(name="ads.train", parent=("r2", "ads"), root=("r1", "nightly"))
        foreign = run_event(name="ads.train", parent=("r2", "x"), root=("r1", "nightly"))

        assert place(event, rules) == ("ads", run_id("r2"))
        assert place(foreign, rules) == ("ads", run_id("r1"))


# Spark within Airflow


def airflow_and_spark(task: str, app: str, *, has_types: bool, has_application: bool = True) -> list[dict[str, Any]]:
    """A DAG whose task starts an application that does the work of `task`; another one prepares, a third one pushes."""

    def typed(value: str) -> dict[str, Any]:
        return job_type(value) if has_types else {}

    def at(minute: int) -> str:
        return f"2026-03-01T00:{minute:02}:00Z"

    top: dict[str, Any] = {"root": ("r", "ml")}
    events = [
        run_event("START", "ml", "r", time=at(0), job_facets=typed("DAG")),
        run_event("COMPLETE", "ml", "r", time=at(50), job_facets=typed("DAG")),
    ]

    def task_of(name: str, begin: int, **end: Any) -> None:
        common: dict[str, Any] = {"name": f"ml.{name}", "run": name, "parent": ("r", "ml"), **top}
        common["job_facets"] = typed("TASK")
        events.extend(
            [run_event("START", time=at(begin), **common), run_event("COMPLETE", time=at(begin + 9), **common, **end)]
        )

    task_of("prepare", 1, outputs=[dataset("features")])
    task_of(task, 11)
    task_of("push", 21, inputs=[dataset("model")])
    application: dict[str, Any] = {"name": app, "run": "app", "parent": (task, f"ml.{task}"), **top}
    application["job_facets"] = typed("APPLICATION")
    query: dict[str, Any] = {"name": f"{app}.execute_save.model", "run": "query", "parent": ("app", app), **top}
    if not has_application:
        query["parent"] = application["parent"]
    query["job_facets"] = typed("SQL_JOB")
    if has_application:
        events.extend(
            run_event(kind, time=at(minute), **application) for kind, minute in (("START", 12), ("COMPLETE", 18))
        )
    events.append(run_event("START", time=at(13), inputs=[dataset("features")], **query))
    events.append(run_event("COMPLETE", time=at(17), outputs=[dataset("model")], **query))
    return events


def graphlets(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The final graphlets."""
    detector = Detector(Settings())
    for event in events:
        detector.step(decoded(event))
    return list(detector.graphlets())


@pytest.mark.parametrize("has_types", [True, False])
@pytest.mark.parametrize(
    ("task", "app", "trainer"),
    [("train", "train_app", "train"), ("train", "etl_app", "train"), ("submit", "train_app", "app")],
)
def test_an_application_that_a_task_starts_is_one_training(task: str, app: str, trainer: str, has_types: bool) -> None:
    """Its data are on its queries; the task's time contains theirs. In any order."""
    events = airflow_and_spark(task, app, has_types=has_types)
    (graphlet,) = graphlets(events)

    assert (graphlet["pipeline"], graphlet["run"]) == ("prod/ml", run_id("r"))
    assert (graphlet["trainer"], graphlet["outcome"]) == (run_id(trainer), "pushed")
    assert run_id("prepare") in graphlet["up"]
    assert run_id("push") in graphlet["down"]
    minutes = 9 if trainer == "train" else 6
    assert graphlet["cost"]["train"] == minutes * 60_000
    for seed in range(5):
        random.Random(seed).shuffle(events)
        assert graphlets(events) == [graphlet]


def test_queries_may_name_the_task_itself() -> None:
    """As Spark did before it reported applications."""
    (graphlet,) = graphlets(airflow_and_spark("train", "app", has_types=True, has_application=False))

    assert (graphlet["trainer"], graphlet["outcome"]) == (run_id("train"), "pushed")
    assert graphlet["up"] == [run_id("prepare")]


def test_an_application_alone_is_what_its_name_says() -> None:
    """A training with the data of its queries, or the run of its queries."""
    common: dict[str, Any] = {"run": "query", "job_facets": job_type("SQL_JOB"), "outputs": [dataset("model")]}
    of_training = decoded(run_event("COMPLETE", "train_model.save.x", parent=("app", "train_model"), **common))
    of_other = decoded(run_event("COMPLETE", "etl.save.x", parent=("app", "etl"), **common))

    assert (of_training.execution_id, of_training.execution_type, of_training.state) == (
        run_id("app"),
        "Trainer",
        "NEW",
    )
    assert of_training.outputs
    assert (of_other.execution_id, of_other.run, of_other.state) == (run_id("query"), run_id("app"), "COMPLETE")


def test_a_job_that_is_told_to_be_a_step_stays_one() -> None:
    """By a rule or by this project's facet, within whatever it runs."""
    common: dict[str, Any] = {"name": "dbt.score", "run": "q", "parent": ("t", "ml.dbt"), "root": ("r", "ml")}
    ruled = decoded(run_event("COMPLETE", **common), Rules([JobRule(name="dbt.score", group="train")]))
    told = decoded(run_event("COMPLETE", run_facets={"streamApp_execution": {"operatorGroup": "train"}}, **common))
    neither = decoded(run_event("COMPLETE", **common))

    for event in (ruled, told):
        assert (event.execution_id, event.execution_type, event.run) == (run_id("q"), "Trainer", run_id("r"))
    assert (neither.execution_id, neither.properties["job"]) == (run_id("t"), "prod/ml.dbt")


def test_every_execution_tells_its_job() -> None:
    """So that people see more than an id."""
    for event in airflow_and_spark("train", "app", has_types=True):
        assert str(decoded(event).properties["job"]).startswith("prod/")


def test_tasks_of_airflow_tell_what_their_dag_calls_them() -> None:
    """Mapped ones have one name, and an index each."""
    facets = {"airflow": {"taskInstance": {"map_index": 3, "try_number": 1}}}
    mapped = decoded(run_event(name="team.ads.group.train", parent=("r", "team.ads"), run_facets=facets))
    plain = decoded(run_event(name="ads.train", parent=("r", "ads"), job_facets=job_type("TASK")))

    assert (mapped.properties["task"], mapped.properties["map_index"]) == ("group.train", "3")
    assert set(plain.properties) == {"job"}


def test_a_run_of_airflow_tells_which_tasks_it_skipped() -> None:
    """Their own events say COMPLETE. More names than a text may hold are cut between two names."""
    states = {"train": "success", "push": "skipped", "group.notify": "skipped"}
    many = {f"task_{number:05}": "skipped" for number in range(1000)}
    found = [
        decoded(
            run_event(
                "COMPLETE", "ads", "r", job_facets=job_type("DAG"), run_facets={"airflowState": {"tasksState": each}}
            )
        )
        for each in (states, many, {"train": "success"}, 7)
    ]

    assert found[0].properties["skipped_tasks"] == "group.notify,push"
    names = str(found[1].properties["skipped_tasks"]).split(",")
    assert names == sorted(many)[: len(names)]
    assert len(names) > 700
    assert ["skipped_tasks" in each.properties for each in found[2:]] == [False, False]
