"""OpenLineage run events become events of the core."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import ArtifactRef, Event
from stream_app.sources import native
from stream_app.sources.openlineage import OpenLineage, decode
from stream_app.sources.openlineage_rules import DatasetRule, JobRule, Rules
from stream_app.times import text_to_time, time_to_text, zone_of
from stream_app.wire import event_to_dict
from tests.sources import final_graphlets, history, trained
from tests.sources.openlineage_events import FACET, dataset, job_type, message, run_event, run_id
from tests.support.builders import at


def decoded(event: dict[str, Any], rules: Rules | None = None) -> Event:
    """The event, which must be one, and must be the same after a hop in its native form."""
    found = OpenLineage(rules).decode(message(event))
    assert found is not None
    assert native.decode(orjson.dumps(event_to_dict(found))) == found
    return found


def test_a_run_is_an_execution() -> None:
    """The run gives the id, the job the operator and the pipeline, datasets the artifacts."""
    event = run_event(
        "COMPLETE",
        "vision.train",
        "t1",
        parent=("r1", "vision"),
        time="2026-03-01T06:12:40.250Z",
        inputs=[dataset("features", "7")],
        outputs=[dataset("model")],
    )

    assert decoded(event) == Event(
        time_ms=text_to_time("2026-03-01T06:12:40.250Z"),
        pipeline="prod/vision",
        execution_id=run_id("t1"),
        execution_type="Trainer",
        state="COMPLETE",
        run=run_id("r1"),
        inputs=(
            ArtifactRef("s3://bucket/features@7", "Dataset"),
            ArtifactRef("s3://bucket/features@", "Dataset", versioned=False),
        ),
        outputs=(
            ArtifactRef("s3://bucket/model", "Dataset", versioned=False),
            ArtifactRef("s3://bucket/model@", "Dataset", versioned=False),
        ),
        properties={"job": "prod/vision.train"},
    )


@pytest.mark.parametrize(
    ("event_type", "state"),
    [
        ("START", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("COMPLETE", "COMPLETE"),
        ("FAIL", "FAILED"),
        ("ABORT", "CANCELED"),
        ("OTHER", "NEW"),
        (None, "NEW"),
    ],
)
def test_event_types_are_states(event_type: str | None, state: str) -> None:
    """What says nothing of the state is NEW, which never moves one that is known."""
    assert decoded(run_event(event_type)).state == state


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T06:12:40.250Z",
        "2026-03-01T06:12:40.250917Z",
        "2026-03-01T06:12:40.25+00:00",
        "2026-03-01T06:12:40.250917+00:00",
        "2026-03-01T07:12:40.250917123+01:00",
        "2026-03-01T06:12:40.250",
        "2026-03-01 06:12:40.250",
        "2026-03-01 06:12:40.250 UTC",
        "2026-03-01T06:12:40,250Z",
        "2026-03-01t06:12:40.250z",
        "2026-03-01T07:12:40.250+0100",
        "2026-03-01T07:12:40.250+01",
        "2026-03-01T06:12:40.250Z[Europe/London]",
        "2026-03-01T07:12:40.250+01:00[Europe/Berlin]",
        "2026-03-01T07:12:40.250[Europe/Berlin]",
        1_772_345_560.25,
        1_772_345_560_250,
        "1772345560.25",
        "1772345560250",
    ],
)
def test_times_are_read_as_all_clients_write_them(value: str | float) -> None:
    """They differ in digits, in the offset and whether there is one; some send seconds or ms since 1970."""
    event = run_event() | {"eventTime": value}

    assert decoded(event).time_ms == text_to_time("2026-03-01T06:12:40.250Z")


@pytest.mark.parametrize("text", ["2026-03-01T06:12", "2026-03-01T06:12Z", "2026-03-01T07:12+01:00[Europe/Berlin]"])
def test_times_may_have_no_seconds(text: str) -> None:
    """Java leaves them out when they are zero."""
    assert decoded(run_event(time=text)).time_ms == text_to_time("2026-03-01T06:12:00Z")


def test_a_time_without_an_offset_is_of_the_zone_that_is_set() -> None:
    """One with an offset is not."""
    source = OpenLineage(zone=zone_of("Europe/Berlin"))

    for text in ("2026-03-01T07:00:00", "2026-03-01T06:00:00Z", "2026-03-01T06:00:00.000000+00:00"):
        event = source.decode(message(run_event(time=text)))
        assert event is not None
        assert event.time_ms == text_to_time("2026-03-01T06:00:00Z")


def test_a_uuid_is_one_whatever_its_case() -> None:
    """A parent facet may write the id of a run otherwise than the run itself; ids that are no UUIDs stay."""
    event = run_event(parent=("r1", "vision"))
    event["run"]["facets"]["parent"]["run"]["runId"] = run_id("r1").upper()

    assert decoded(event).run == run_id("r1")
    event["run"]["runId"] = "Nightly-7"
    assert decoded(event).execution_id == "Nightly-7"


class TestRuns:
    """Which pipeline run an execution belongs to."""

    def test_the_run_of_a_dag_is_its_own(self) -> None:
        """It opens and closes the pipeline run that its tasks name as their parent."""
        dag = decoded(run_event("COMPLETE", "vision", "r1", job_facets=job_type("DAG")))

        assert (dag.execution_type, dag.execution_id, dag.run) == ("PipelineRun", run_id("r1"), run_id("r1"))

    def test_an_application_is_a_run_unless_it_is_a_step_of_one(self) -> None:
        """A Spark application that nothing of its pipeline started is the run of its queries."""
        alone = decoded(run_event("START", "app", "a1", job_facets=job_type("APPLICATION")))
        step = decoded(run_event("START", "dag.app", "a1", parent=("r1", "dag"), job_facets=job_type("APPLICATION")))
        query = decoded(
            run_event("START", "app.write.train", "q1", parent=("a1", "app"), job_facets=job_type("SQL_JOB"))
        )

        assert (alone.execution_type, alone.run) == ("PipelineRun", run_id("a1"))
        assert (step.execution_type, step.run) == ("app", run_id("r1"))
        assert (query.execution_type, query.run) == ("write", run_id("a1"))

    def test_the_outermost_run_of_the_same_pipeline_counts(self) -> None:
        """A nested step belongs to the root; a DAG that another one triggered keeps its own runs."""
        nested = decoded(run_event(name="dag.task.step", parent=("t1", "dag.task"), root=("r1", "dag")))
        triggered = decoded(run_event(name="dag.task", parent=("r2", "dag"), root=("r1", "trigger")))
        elsewhere = decoded(run_event(name="script.train", parent=("t1", "dag.task"), root=("r1", "dag")))

        assert nested.run == run_id("r1")
        assert triggered.run == run_id("r2")
        assert elsewhere.run == run_id("r1")

    def test_a_run_that_names_itself_as_root_has_no_parent(self) -> None:
        """Some senders fill in the root of the root."""
        event = run_event("START", "vision", "r1", parent=("r1", "vision"), root=("r1", "vision"))

        assert decoded(event).run is None

    def test_a_parent_that_only_some_events_carry_changes_no_pipeline(self) -> None:
        """The start and the end of a run stay one execution, which belongs to the run that either named."""
        start = run_event("START", "vision.train", "t1", parent=("r1", "elsewhere"))
        end = run_event("COMPLETE", "vision.train", "t1", time="2026-03-01T07:00:00Z")
        detector = Detector(Settings())
        for event in (end, start):
            detector.step(decoded(event))

        (pipeline,) = detector.pipelines.values()
        (execution,) = pipeline.executions.values()
        assert (execution.run, execution.state) == (run_id("r1"), "COMPLETE")

    def test_the_parent_is_found_under_its_first_name(self) -> None:
        """The first Airflow integrations wrote `parentRun`."""
        event = run_event(parent=("r1", "vision"))
        event["run"]["facets"]["parentRun"] = event["run"]["facets"].pop("parent")

        assert decoded(event).run == run_id("r1")


def test_accumulative_events_are_joined() -> None:
    """Each tells a part; datasets, facets and an OTHER after the end add up, in any order."""
    events = [
        run_event("START", run="t1", inputs=[dataset("a", "1")]),
        run_event("RUNNING", run="t1", time="2026-03-01T06:01:00Z", inputs=[dataset("b", "1")]),
        run_event("COMPLETE", run="t1", time="2026-03-01T06:10:00Z", outputs=[dataset("m", "1")]),
        run_event(
            "OTHER",
            run="t1",
            time="2026-03-01T06:30:00Z",
            run_facets={"streamApp_execution": {"properties": {"auc": 0.9}}},
        ),
    ]
    seen = []
    for order in (events, events[::-1]):
        detector = Detector(Settings())
        for event in order:
            detector.step(decoded(event))
        execution = detector.pipelines["prod/vision"].executions[run_id("t1")]
        ends = (execution.state, execution.start_ms, execution.end_ms, execution.value_of("auc"))
        seen.append((*ends, sorted(execution.reads), sorted(execution.writes)))

    start_ms, end_ms = (text_to_time(f"2026-03-01T06:{minute}:00Z") for minute in ("00", "10"))
    read = [f"s3://bucket/{name}" for name in ("a@", "a@1", "b@", "b@1")]
    expected = ("COMPLETE", start_ms, end_ms, 0.9, read, ["s3://bucket/m", "s3://bucket/m@1"])
    assert seen == [expected, expected]


@pytest.mark.parametrize("kind", ["JobEvent", "DatasetEvent"])
def test_events_without_a_run_are_ignored(kind: str) -> None:
    """They describe jobs and datasets at rest."""
    event = run_event(None)
    del event["run"]
    event["schemaURL"] = f"https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/{kind}"
    if kind == "DatasetEvent":
        del event["job"], event["inputs"], event["outputs"]
        event["dataset"] = dataset("features")

    assert decode(message(event)) is None


class TestFacets:
    """What facets tell becomes properties."""

    def test_of_the_job(self) -> None:
        """Owner and code version; the code itself is only compared, so a digest does."""
        located = run_event(
            job_facets={
                "ownership": {"owners": [{"name": "team:vision", "type": "OWNER"}, {"name": "second"}]},
                "sourceCodeLocation": {"type": "git", "url": "https://example.com", "version": "9f2c1e7"},
                "sourceCode": {"language": "python", "sourceCode": "fit()"},
            }
        )
        inlined = run_event(job_facets={"sourceCode": {"language": "python", "sourceCode": "fit()"}})
        masked = run_event(job_facets={"ownership": {"owners": [{"name": "***"}]}})

        assert decoded(located).properties == {
            "job": "prod/vision.train",
            "owner": "team:vision",
            "code_version": "9f2c1e7",
        }
        assert decoded(inlined).properties["code_version"] == "6cf513598990"
        assert "owner" not in decoded(masked).properties

    def test_of_an_error(self) -> None:
        """The beginning of the message is kept."""
        event = run_event("FAIL", run_facets={"errorMessage": {"message": "x" * 9000, "programmingLanguage": "PYTHON"}})

        assert decoded(event).properties["error"] == "x" * 500

    def test_of_statistics_and_quality(self) -> None:
        """What was written and how good it is belongs to the artifact, what was read to the execution."""
        read = dataset("a", dataQualityAssertions={"assertions": [{"assertion": "not_null", "success": False}]})
        read["inputFacets"] = {
            "inputStatistics": FACET | {"rowCount": 10, "size": 100},
            "dataQualityMetrics": FACET | {"rowCount": 12, "bytes": 120, "columnMetrics": {}},
        }
        also = dataset("b") | {"inputFacets": {"inputStatistics": FACET | {"rowCount": 5}}}
        written = dataset("c") | {
            "outputFacets": {"outputStatistics": FACET | {"rowCount": 3, "size": 30, "fileCount": 1}}
        }

        event = decoded(run_event(inputs=[read, also], outputs=[written]))

        assert event.properties == {"job": "prod/vision.train", "rows_read": 15, "bytes_read": 100}
        assert event.inputs[0].properties == {"assertions_failed": 1, "rows": 12, "bytes": 120}
        assert event.outputs[0].properties == {"rows": 3, "bytes": 30, "files": 1}

    def test_of_this_project_about_the_execution(self) -> None:
        """They carry what OpenLineage lacks."""
        event = run_event(
            "ABORT",
            "vision.step_4",
            run_facets={
                "streamApp_execution": {
                    "operatorGroup": "train",
                    "nodeSeconds": 12.5,
                    "codeVersion": "c2",
                    "prunedBy": "vision/t1#3",
                    "properties": {"auc": 0.5, "model_type": "linear", "keep": True},
                }
            },
        )

        found = decoded(event)

        assert (found.execution_type, found.node_ms) == ("Trainer", 12_500)
        assert found.properties == {
            "job": "prod/vision.step_4",
            "code_version": "c2",
            "pruned_by": "vision/t1#3",
            "auc": 0.5,
            "model_type": "linear",
            "keep": True,
        }

    def test_of_this_project_about_a_cached_execution(self) -> None:
        """A step that was skipped because its result was there is COMPLETE to OpenLineage."""
        cached = {"streamApp_execution": {"cached": True}}

        assert decoded(run_event("COMPLETE", run_facets=cached)).state == "CACHED"
        assert decoded(run_event("START", run_facets=cached)).state == "RUNNING"

    def test_of_this_project_about_an_artifact(self) -> None:
        """Blessing, push and span belong to what was written."""
        told_of = {"type": "PushedModel", "pushed": False, "blessed": True, "span": 12, "properties": {"auc": 0.9}}
        event = run_event(outputs=[dataset("m", "3", streamApp_artifact=told_of)])

        model, named = decoded(event).outputs

        assert (model.id, model.type, model.versioned) == ("s3://bucket/m@3", "PushedModel", True)
        assert model.properties == {"auc": 0.9, "pushed": False, "blessed": True, "span": 12}
        assert (named.id, named.type, named.versioned, named.properties) == ("s3://bucket/m", "PushedModel", False, {})

    def test_of_another_form_are_ignored(self) -> None:
        """A standard facet with other types than the specification's tells nothing, and harms nothing."""
        plain = decoded(run_event(inputs=[dataset("a")], outputs=[dataset("b")]))
        for odd in (None, 7, "text", [], ["text"], {}, {"rowCount": -1}, {"rowCount": 1e300}, {"owners": [7]}):
            event = run_event(inputs=[dataset("a")], outputs=[dataset("b")])
            event["run"]["facets"] = {"parent": odd if type(odd) is not dict else None, "errorMessage": odd}
            keys = ("jobType", "ownership", "sourceCode", "sourceCodeLocation")
            event["job"]["facets"] = dict.fromkeys(keys, odd)
            event["inputs"][0]["facets"] = dict.fromkeys(
                ("version", "dataQualityAssertions", "dataQualityMetrics"), odd
            )
            event["inputs"][0]["inputFacets"] = dict.fromkeys(("inputStatistics", "dataQualityMetrics"), odd)
            event["outputs"][0]["outputFacets"] = {"outputStatistics": odd}

            assert decoded(event) == plain
            assert (decoded(event).dropped > 0) == (odd is not None and odd != {})

        event = run_event(inputs=[dataset("a")], outputs=[dataset("b")])
        event["run"]["facets"] = event["job"]["facets"] = event["inputs"][0]["facets"] = None
        assert decoded(event) == plain


def test_one_history_gives_the_same_graphlets_told_by_openlineage() -> None:
    """Real trainings, some pushed, one hung, one cached, one canceled, one failed: as told natively."""
    steps = history.history(trained.accuracies())
    rules = Rules([JobRule(pipeline=history.PIPELINE)], [DatasetRule(name=".*/model", type="Model")])
    names = {run_id(f"run {step.run}"): step.run for step in steps} | {run_id(step.name): step.name for step in steps}
    events = []
    for step in steps:
        begun, ended = _told_by_openlineage(step)
        events += [decoded(begun, rules)] + ([decoded(ended, rules)] if step.end is not None else [])

    expected = final_graphlets.shape(final_graphlets.graphlets(final_graphlets.native(steps)))
    found = final_graphlets.shape(final_graphlets.graphlets(sorted(events, key=lambda event: event.time_ms), names))
    for graphlet in found.values():
        graphlet["run"] = names[graphlet["run"]]

    assert {graphlet["outcome"] for graphlet in expected.values()} >= {"pushed", "not_pushed"}
    assert found == expected


def _told_by_openlineage(step: history.Step) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two events of a step; operators are told by the facet, but for the trainer, whose name is known."""
    is_run = step.type == "PipelineRun"
    name = "digits" if is_run else f"digits.{step.type}"
    run = f"run {step.run}" if is_run else step.name
    group = {"PipelineRun": "run", "CsvExampleGen": "ingest", "Pusher": "deploy"}.get(step.type)
    kind: dict[str, Any] = {"operatorGroup": group} if group is not None else {}
    facet = kind | {"properties": dict(step.properties)} | ({"cached": True} if step.state == "CACHED" else {})
    common: dict[str, Any] = {
        "name": name,
        "run": run,
        "parent": None if is_run else (f"run {step.run}", "digits"),
        "namespace": "lab",
    }
    begun, ended = {"FAILED": ("START", "FAIL"), "CANCELED": ("START", "ABORT"), "CACHED": (None, "COMPLETE")}.get(
        step.state, ("START", "COMPLETE")
    )
    return (
        run_event(
            begun,
            time=_at(step.start),
            inputs=[_told(each) for each in step.reads],
            run_facets={"streamApp_execution": kind},
            **common,
        ),
        run_event(
            ended,
            time=_at(step.end or step.start),
            outputs=[_told(each) for each in step.writes],
            run_facets={"streamApp_execution": facet},
            **common,
        ),
    )


def _told(artifact: history.Artifact) -> dict[str, Any]:
    told_of: dict[str, Any] = {"properties": dict(artifact.properties), "type": artifact.type}
    for key in ("pushed", "blessed"):
        if key in told_of["properties"]:
            told_of[key] = bool(told_of["properties"].pop(key))
    return dataset(artifact.name, "1", streamApp_artifact=copy.deepcopy(told_of))


def _at(minute: float) -> str:
    return time_to_text(at(minute))
