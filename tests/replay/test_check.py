"""A check shows what each operator counts as, how far the graph is connected, and which settings would help."""

from __future__ import annotations

import itertools
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.cli.assembly import openlineage_rules_of, settings_of, sources_of
from stream_app.cli.stores import stores_of
from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.options import Options, load
from stream_app.replay import survey
from stream_app.replay.check import Checked, check
from stream_app.replay.rule_guesses import merged
from stream_app.report.checked import lines_of
from stream_app.wire import event_to_dict
from tests.sources.mlmd_store import StoreWriter
from tests.support.recorded import fleet_lines, write_lines

Line = dict[str, Any]


def checked(tmp_path: Path, lines: Sequence[Line | bytes], options: Options | None = None) -> Checked:
    """The result of a check of some lines."""
    file = write_lines(
        tmp_path / "e.jsonl", [each if isinstance(each, bytes) else orjson.dumps(each) for each in lines]
    )
    return checked_files([file], options)


def checked_files(files: Sequence[str], options: Options | None = None) -> Checked:
    """The result of a check of some files and stores."""
    options = options or Options()
    return check(
        files,
        settings_of(options),
        sources=sources_of(options),
        stores=stores_of(options),
        rules=openlineage_rules_of(options),
    )


def native(
    minute: int,
    execution: str,
    kind: str,
    state: str = "COMPLETE",
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    pipeline: str = "p",
    **more: object,
) -> Line:
    """A native event."""
    return {
        "time": f"2026-03-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z",
        "pipeline": pipeline,
        "execution": {"id": execution, "type": kind, "state": state},
        "inputs": [{"id": each, "type": "Artifact"} for each in reads],
        "outputs": [{"id": each, "type": "Artifact"} for each in writes],
        **more,
    }


FACET = {"_producer": "urn:test", "_schemaURL": "urn:test"}
_runs = itertools.count(1000)


def run_id(number: int) -> str:
    """The id of a run of OpenLineage."""
    return f"00000000-0000-4000-8000-{number:012}"


def lineage(
    minute: int, job: str, state: str = "COMPLETE", reads: Sequence[str] = (), writes: Sequence[str] = (), run: int = 0
) -> Line:
    """An event of OpenLineage whose datasets have versions."""

    def datasets(names: Sequence[str]) -> list[Line]:
        return [
            {"namespace": "s3://b", "name": name, "facets": {"version": {**FACET, "datasetVersion": "1"}}}
            for name in names
        ]

    return {
        "eventTime": f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00Z",
        "eventType": state,
        "run": {"runId": run_id(run or next(_runs))},
        "job": {"namespace": "prod", "name": job},
        "inputs": datasets(reads),
        "outputs": datasets(writes),
        "producer": "urn:test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


PUSHED = [
    native(0, "g", "ExampleGen", writes=["data"]),
    native(5, "t", "Trainer", reads=["data"], writes=["model"]),
    native(9, "d", "Pusher", reads=["model"]),
]


class TestGraph:
    """How much is connected."""

    def test_a_connected_graph_has_every_execution_in_a_graphlet(self, tmp_path: Path) -> None:
        found = checked(tmp_path, PUSHED)

        graph = found.graph
        assert (graph.executions, graph.in_graphlets, graph.loose_deploys) == (3, 3, 0)
        assert (graph.graphlets, graph.with_inputs, graph.with_deploy, graph.outcomes) == (1, 1, 1, {"pushed": 1})
        assert found.why is None
        assert found.executions == {"deploy": {"Pusher": 1}, "ingest": {"ExampleGen": 1}, "train": {"Trainer": 1}}
        assert not found.failed

    def test_executions_are_counted_once_however_many_events_they_have(self, tmp_path: Path) -> None:
        heartbeats = [native(minute, "t", "Trainer", "RUNNING") for minute in range(50)]

        found = checked(tmp_path, [*heartbeats, native(60, "t", "Trainer")])

        assert (found.types, found.executions) == ({"train": {"Trainer": 51}}, {"train": {"Trainer": 1}})

    def test_graphlets_that_the_detector_has_closed_count_too(self, tmp_path: Path) -> None:
        late = native(60 * 24 * 20, "t2", "Trainer")
        late["time"] = "2026-07-01T00:00:00Z"

        found = checked(tmp_path, [*PUSHED, late])

        assert found.graph.graphlets == 2
        assert found.graph.outcomes["pushed"] == 1

    def test_a_fleet_of_pipelines(self, tmp_path: Path) -> None:
        found = checked(tmp_path, fleet_lines()[:2000])

        assert found.events == 2000
        assert found.graph.graphlets > 20
        assert (
            0
            < found.graph.in_graphlets
            <= found.graph.executions
            == sum(sum(types.values()) for types in found.executions.values())
        )
        assert (found.late, found.split, found.rules) == ([], [], "")

    def test_memory_is_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond the bound, events are counted and the graph says what it is of."""
        monkeypatch.setattr(survey, "EXECUTIONS_MAX", 2)
        monkeypatch.setattr(survey, "ARTIFACTS_MAX", 1)

        found = checked(tmp_path, PUSHED)

        assert (found.events, found.graph.executions, found.graph.complete) == (3, 2, False)
        assert any("the graph is that of the first 2" in warning for warning in found.warnings)


class TestWhy:
    """Why there is no graphlet, or no push."""

    @pytest.mark.parametrize(
        ("lines", "says"),
        [
            (
                [native(0, "a", "Fit"), native(1, "b", "Upload")],
                "no graphlet: no execution is of group train (types seen: Fit, Upload)",
            ),
            (
                [native(minute, f"e{minute}", f"T{minute}") for minute in range(9)],
                "no graphlet: no execution is of group train (types seen: T0, T1, T2, T3, T4 and 4 more)",
            ),
            (
                [native(0, "t", "Trainer", "CACHED")],
                "no graphlet: no execution of group train (Trainer) ran; all of them ended CACHED",
            ),
            ([native(0, "t", "Trainer")], "no push: no execution is of group deploy (types seen: Trainer)"),
            (
                [native(0, "t", "Trainer"), native(1, "d", "Pusher")],
                "no push: no execution of group deploy (Pusher) that completed and pushed comes after a trainer",
            ),
        ],
    )
    def test_it_is_one_sentence(self, lines: list[Line], says: str, tmp_path: Path) -> None:
        assert checked(tmp_path, lines).why == says


class TestJobs:
    """Of OpenLineage: what each job counts as."""

    def test_a_group_that_is_guessed_from_a_name_is_marked(self, tmp_path: Path) -> None:
        """One that a rule, the job type or a known operator gives is not."""
        dag = lineage(9, "ads")
        dag["job"]["facets"] = {"jobType": {**FACET, "jobType": "DAG", "processingType": "BATCH", "integration": "A"}}
        options = load(flags={"openlineage.jobs": [{"name": "ads.step_4", "group": "deploy"}]})
        lines = [lineage(n, f"ads.{name}") for n, name in enumerate(("train_model", "Trainer", "step_4", "other"))]

        jobs = checked(tmp_path, [*lines, dag], options).jobs

        assert {name: (job.group, job.guessed) for name, job in jobs.items()} == {
            "prod/ads": ("run", False),
            "prod/ads.train_model": ("train", True),
            "prod/ads.Trainer": ("train", False),
            "prod/ads.step_4": ("deploy", False),
            "prod/ads.other": ("custom", False),
        }

    def test_datasets_without_a_version_are_counted(self, tmp_path: Path) -> None:
        event = lineage(0, "ads.train", reads=["a"], writes=["m"])
        del event["inputs"][0]["facets"]

        found = checked(tmp_path, [event, lineage(1, "ads.push", reads=["m"])])

        assert "1 dataset was named without a version: who reads one reads its last writer's" in found.warnings

    def test_parts_that_were_dropped_are_counted(self, tmp_path: Path) -> None:
        event = orjson.dumps(lineage(0, "ads.train")).replace(b'"job":{', b'"job":{"facets":{"x":{"y":NaN}},')

        found = checked(tmp_path, [event])

        assert (found.events, found.parts_dropped) == (1, 1)


class TestUnwritten:
    """Deploys that read what nobody wrote, and what was probably meant."""

    @pytest.mark.parametrize(
        ("written", "read", "differs"),
        [
            ("s3://b/churn@4", "s3://b/churn@5", "version"),
            ("s3://b/churn/4", "s3://b/churn/5", "version"),
            ("hdfs://b/churn:v4", "hdfs://b/churn:v5", "version"),
            ("s3://b/churn", "s3a://b/churn", "scheme"),
            ("s3://b/churn", "s3://b//churn/", "slashes"),
            ("s3://b/Churn", "s3://b/churn", "case"),
            ("s3://b/Churn/", "gs://b/churn@2", "version, scheme, slashes, case"),
        ],
    )
    def test_a_name_that_is_alike_is_named(self, written: str, read: str, differs: str, tmp_path: Path) -> None:
        lines = [native(0, "t", "Trainer", writes=[written]), native(1, "d", "Pusher", reads=[read])]

        [found] = checked(tmp_path, lines).unwritten

        assert (found.execution, found.group, found.artifact) == ("d", "deploy", read)
        assert (found.near, found.differs) == (written, differs)

    def test_what_another_pipeline_wrote_is_told(self, tmp_path: Path) -> None:
        lines = [
            native(0, "t", "Trainer", writes=["model"]),
            native(1, "d", "Pusher", reads=["model"], pipeline="release"),
        ]

        [found] = checked(tmp_path, lines).unwritten

        assert (found.pipeline, found.near, found.differs) == ("release", "model", "pipeline: p")

    def test_a_name_that_nothing_is_like_is_shown_alone(self, tmp_path: Path) -> None:
        lines = [native(0, "t", "Trainer", writes=["model"]), native(1, "d", "Pusher", reads=["other"])]

        [found] = checked(tmp_path, lines).unwritten

        assert (found.artifact, found.near) == ("other", None)

    def test_a_deploy_in_a_graphlet_is_fine(self, tmp_path: Path) -> None:
        """Though it reads a configuration that nobody wrote, too."""
        lines = [*PUSHED[:2], native(9, "d", "Pusher", reads=["model", "config"])]

        assert checked(tmp_path, lines).unwritten == []

    def test_data_from_elsewhere_is_no_fault_of_a_trainer(self, tmp_path: Path) -> None:
        """Unless a name is alike."""
        lines = [
            native(0, "g", "ExampleGen", writes=["lake/day"]),
            native(1, "t1", "Trainer", reads=["somewhere"]),
            native(2, "t2", "Trainer", reads=["lake//Day"]),
        ]

        [found] = checked(tmp_path, lines).unwritten

        assert (found.execution, found.group, found.differs) == ("t2", "train", "slashes, case")


class TestExecutions:
    """Starts, ends and clocks."""

    def test_an_execution_that_ends_under_another_id(self, tmp_path: Path) -> None:
        lines = [lineage(0, "d.train", "START", run=901), lineage(300, "d.train", "COMPLETE", writes=["m"], run=902)]

        [found] = checked(tmp_path, lines).split

        assert (found.pipeline, found.type) == ("prod/d", "Trainer")
        assert found.started_as.endswith("901 (prod/d.train)")
        assert found.ended_as.endswith("902 (prod/d.train)")

    def test_each_end_belongs_to_one_start(self, tmp_path: Path) -> None:
        """Of the same pipeline, type and run, and before it; what was cached has none."""
        lines = [
            native(0, "end before", "Trainer"),
            native(10, "s1", "Trainer", "RUNNING"),
            native(11, "s2", "Trainer", "RUNNING"),
            native(20, "e1", "Trainer"),
            native(21, "other type", "Tuner"),
            native(22, "other pipeline", "Trainer", pipeline="q"),
            native(23, "other run", "Trainer", run="r"),
            native(24, "s3", "Trainer", "RUNNING", run="r2"),
            native(25, "cached", "Trainer", "CACHED", run="r2"),
        ]

        assert [(each.started_as, each.ended_as) for each in checked(tmp_path, lines).split] == [("s1", "e1")]

    def test_a_start_and_an_end_that_were_lost_are_no_halves(self, tmp_path: Path) -> None:
        """A sender that changes ids does so more often than messages are lost."""
        whole = [native(n, f"t{n // 2}", "Trainer", ("RUNNING", "COMPLETE")[n % 2]) for n in range(60)]

        found = checked(tmp_path, [*whole, native(90, "start", "Trainer", "RUNNING"), native(91, "end", "Trainer")])

        assert found.split == []

    def test_events_that_only_end_are_no_halves(self, tmp_path: Path) -> None:
        assert checked(tmp_path, PUSHED).split == []

    def test_what_others_name_as_their_run_is_one(self, tmp_path: Path) -> None:
        """As the detector takes it: no rule is missing for it."""
        named = {
            "facets": {"parent": {**FACET, "run": {"runId": run_id(1)}, "job": {"namespace": "prod", "name": "ads"}}}
        }
        step = lineage(1, "ads.train", writes=["m"])
        step["run"] |= named
        following = lineage(3, "ads", "START", run=3)  # in which nothing runs yet

        found = checked(tmp_path, [lineage(0, "ads", "START", run=1), step, lineage(2, "ads", run=1), following])

        assert found.executions == {"run": {"ads": 1}, "train": {"Trainer": 1}, "custom": {"ads": 1}}
        assert found.jobs["prod/ads"].group == "run"
        assert found.warnings == ["1 event names no run: its graphlet stands alone"]
        assert found.rules == ""

    def test_a_dag_with_dots_that_does_not_tell_that_it_is_one(self, tmp_path: Path) -> None:
        """Its tasks name it as their pipeline; its own events are read as those of a task. A rule helps."""
        named = {
            "facets": {
                "parent": {**FACET, "run": {"runId": run_id(1)}, "job": {"namespace": "prod", "name": "team.ads"}}
            }
        }
        step = lineage(1, "team.ads.train", writes=["m"])
        step["run"] |= named
        lines = [lineage(0, "team.ads", "START", run=1), step, lineage(2, "team.ads", run=1)]

        found = checked(tmp_path, lines)

        [spread] = found.spread
        assert (spread.run, spread.pipeline, spread.other) == (run_id(1), "prod/team", "prod/team.ads")
        file = tmp_path / "rules.toml"
        file.write_text(found.rules)
        again = checked(tmp_path, lines, load(file))
        assert (again.pipelines, again.spread, again.rules) == (1, [], "")
        assert again.executions == {"run": {"PipelineRun": 1}, "train": {"Trainer": 1}}

    def test_a_run_of_which_only_some_events_name_their_parent(self, tmp_path: Path) -> None:
        """Its start and its end are in two pipelines."""
        start = lineage(0, "train", "START", run=2)
        start["run"]["facets"] = {
            "parent": {**FACET, "run": {"runId": run_id(1)}, "job": {"namespace": "prod", "name": "ads"}}
        }

        [spread] = checked(tmp_path, [start, lineage(1, "train", run=2)]).spread

        assert (spread.run, {spread.pipeline, spread.other}) == (run_id(2), {"prod/ads", "prod/train"})

    def test_ids_of_other_sources_are_unique_in_a_pipeline_only(self, tmp_path: Path) -> None:
        lines = [native(0, "t", "Trainer", pipeline=name, run="r") for name in "pq"] + [
            native(0, "r", "X", pipeline="s")
        ]

        assert checked(tmp_path, lines).spread == []

    def test_executions_without_an_end_by_type(self, tmp_path: Path) -> None:
        lines = [native(n, f"t{n}", "Trainer", "RUNNING") for n in range(3)] + [native(4, "x", "Tuner", "NEW"), *PUSHED]

        found = [(each.type, each.executions, each.example) for each in checked(tmp_path, lines).unended]

        assert found == [("Trainer", 3, "t0"), ("Tuner", 1, "x")]

    def test_a_clock_that_runs_ahead(self, tmp_path: Path) -> None:
        """Of the one event, with its place."""
        broken = {**native(0, "x", "Evaluator"), "time": "2062-03-02T00:00:00Z"}
        lines = [*PUSHED, broken, *(native(20 + n, f"t{n}", "Trainer") for n in range(9))]

        [found] = checked(tmp_path, lines).late

        assert (found.execution, found.place) == ("x", f"{tmp_path / 'e.jsonl'}:4")

    def test_a_clock_that_runs_ahead_in_a_pipeline_that_says_no_more(self, tmp_path: Path) -> None:
        """Others go on around it."""
        broken = {**native(0, "x", "Evaluator", pipeline="q"), "time": "2062-03-02T00:00:00Z"}
        lines = [*PUSHED, broken, *(native(20 + n, f"t{n}", "Trainer") for n in range(9))]

        assert [each.execution for each in checked(tmp_path, lines).late] == ["x"]

    def test_a_clock_that_runs_behind(self, tmp_path: Path) -> None:
        """By years, or by a day and a month that were swapped."""
        broken = {**native(0, "x", "Evaluator"), "time": "2026-01-03T00:00:00Z"}
        found = checked(tmp_path, [*PUSHED, broken, *(native(20 + n, f"t{n}", "Trainer") for n in range(9))])

        [event] = found.early
        assert (event.execution, event.place, found.late) == ("x", f"{tmp_path / 'e.jsonl'}:4", [])

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param([*PUSHED, native(1440 * 9, "t9", "Trainer")], id="a pause before the last event"),
            pytest.param([native(1440 * 3 * n, f"t{n}", "Trainer") for n in range(9)], id="an event every third day"),
            pytest.param(
                [native(1440 * 9 + n, f"b{n}", "Trainer") for n in range(9)] + PUSHED, id="files in the wrong order"
            ),
            pytest.param(
                [native(1440 * 7 * n, f"{name}{n}", "Trainer", pipeline=name) for name in "abc" for n in range(4)]
                + [native(1440 * 7 * n + 4000, f"d{n}", "Trainer", pipeline="d") for n in range(3)],
                id="a file for each pipeline",
            ),
            pytest.param(
                [*(native(1440 * 5 * n, f"a{n}", "Trainer", pipeline="a") for n in range(6)), *PUSHED[1:]],
                id="a longer file first",
            ),
            pytest.param(
                [
                    native(1440 * 9, "a", "Trainer", pipeline="a"),
                    *(native(1440 * 3 + n, f"t{n}", "Trainer") for n in range(9)),
                    native(0, "z", "Trainer", pipeline="z"),
                ],
                id="an older file last",
            ),
        ],
    )
    def test_pauses_are_no_broken_clocks(self, lines: list[Line], tmp_path: Path) -> None:
        """Nor is the end of a file that another one follows."""
        found = checked(tmp_path, lines)

        assert (found.late, found.early) == ([], [])

    def test_messages_that_are_repeated(self, tmp_path: Path) -> None:
        found = checked(tmp_path, [*PUSHED, *PUSHED[:2]])

        assert (found.events, found.duplicates, found.graph.executions) == (5, 2, 3)


class TestFaults:
    """What is no event."""

    @pytest.mark.parametrize(
        "prefix",
        [
            "INFO 2026-03-01 lineage: ",
            "[2026-03-01, 06:00:00 UTC] {console.py:29} INFO - ",
            "data: ",
            "prod/ads\t",
            "{lineage} [] ",
        ],
    )
    def test_a_prefix_before_the_json_is_told(self, prefix: str, tmp_path: Path) -> None:
        """As loggers, streams and consoles write it, with brackets of their own; the command takes out the events."""
        lines = [prefix.encode() + orjson.dumps(line) for line in PUSHED]

        found = checked(tmp_path, lines)

        [fault] = found.faults
        assert (found.events, fault.messages) == (0, 3)
        assert fault.kind == "not JSON alone: text stands before the object"
        assert f"got {orjson.dumps(prefix).decode()}; strip it, for instance with `grep -o " in fault.reason
        command = fault.reason.split("`")[1]
        stripped = subprocess.run(command, shell=True, input=b"\n".join(lines), stdout=subprocess.PIPE, check=True)
        assert [orjson.loads(line) for line in stripped.stdout.splitlines()] == PUSHED

    @pytest.mark.parametrize(
        ("wrap", "says"),
        [
            (
                lambda event: {"log": orjson.dumps(event).decode() + "\n"},
                "in the field \"log\" of the message; take it out, for instance with `jq -r '.log'`",
            ),
            (lambda event: {"@message": orjson.dumps(event).decode()}, "`jq -r '.[\"@message\"]'`"),
            (lambda event: {"topic": "t", "payload": event}, "`jq -c '.payload'`"),
            (lambda event: {"x'; harm '": event}, r"""`jq -c '.["x'\''; harm '\''"]'`"""),
            (lambda event: {"k" * 90: event}, "k...]'`"),
            (
                lambda event: orjson.dumps(event).decode(),
                "text in quotation marks; unquote it, for instance with `jq -r .`",
            ),
        ],
        ids=["of a container", "of a log shipper", "of a topic", "of a stranger", "of a long name", "quoted"],
    )
    @pytest.mark.parametrize("event", [PUSHED[0], lineage(0, "ads.train")], ids=["native", "OpenLineage"])
    def test_an_event_in_a_message_of_another_program_is_told(
        self, wrap: Callable[[Line], Any], says: str, event: Line, tmp_path: Path
    ) -> None:
        """With the command that takes it out, instead of a field that the other program does not have."""
        [fault] = checked(tmp_path, [wrap(event)]).faults

        assert fault.kind.startswith("the event is ")
        assert says in fault.reason

    @pytest.mark.parametrize("line", [b"oops {", b"oops", b'{"a": oops {}}', b"[{}]", b'"{"', b"   {oops"])
    def test_a_line_that_is_no_json_behind_a_prefix_is_not_told_so(self, line: bytes, tmp_path: Path) -> None:
        [fault] = checked(tmp_path, [line]).faults

        assert "alone" not in fault.kind

    @pytest.mark.parametrize("content", [b"", b"\n" * 0])
    def test_nothing_is_no_success(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "e.jsonl").write_bytes(content)

        assert checked_files([str(tmp_path / "e.jsonl")]).failed


def again(found: Checked, files: Sequence[str], tmp_path: Path, settings: str = "") -> Checked:
    """The same check with the settings that it has proposed."""
    path = tmp_path / "rules.toml"
    path.write_text(merged(settings, found.rules), encoding="utf-8")
    return checked_files(files, load(path))


UNKNOWN: Mapping[str, list[Line]] = {
    "tasks of OpenLineage": [
        lineage(0, "dag.retrain_churn_weekly", "START", run=1),
        lineage(60, "dag.retrain_churn_weekly", writes=["m"], run=1),
        lineage(120, "dag.deploy_model_to_prod", reads=["m"]),
    ],
    "jobs without a pipeline": [
        lineage(0, "churn-fit", writes=["m"]),
        lineage(9, "churn-fit", writes=["m2"]),
    ],
    "models of dbt": [
        lineage(0, "db.schema.features", writes=["f"]),
        lineage(1, "db.schema.churn_train", reads=["f"], writes=["m"]),
        lineage(2, "db.schema.promote_churn", reads=["m"]),
    ],
    "names with what expressions and TOML escape": [
        lineage(0, 'd.train "ö"\\ [x]+$', writes=["m"]),
        lineage(1, "d.deploy 'it' (now)", reads=["m"]),
    ],
    "native types": [
        native(0, "a", "LoadData", writes=["data"]),
        native(1, "b", "FitClassifier", reads=["data"], writes=["model"]),
        native(2, "c", "PromoteToProd", reads=["model"]),
    ],
    "a type that only its output tells": [
        native(1, "b", "step_7", writes=["model"]),
        native(2, "c", "Pusher", reads=["model"]),
    ],
    "a type whose output an unknown deploy reads": [
        native(1, "b", "step_7", writes=["model"]),
        native(2, "c", "rollout_step", reads=["model"]),
    ],
}


class TestRules:
    """The settings that are proposed make the same check find what it did not."""

    @pytest.mark.parametrize("kind", UNKNOWN)
    def test_with_the_rules_there_are_trainers(self, kind: str, tmp_path: Path) -> None:
        first = checked(tmp_path, UNKNOWN[kind])

        found = again(first, [str(tmp_path / "e.jsonl")], tmp_path)

        assert (first.graph.graphlets == 0) == ("train" not in first.types) == ('"train"' in first.rules)
        assert found.graph.graphlets >= 1
        assert "train" in found.types
        if kind != "jobs without a pipeline":
            assert found.graph.outcomes == {"pushed": 1}
        assert found.rules == ""

    def test_only_a_guess_that_helps_is_made(self, tmp_path: Path) -> None:
        """Names about trainings that train nothing are left alone."""
        names = (
            "train_test_split",
            "wait_for_training",
            "training_data",
            "check_deployment",
            "push_metrics",
            "Resolver",
        )

        found = checked(tmp_path, [native(n, f"e{n}", name) for n, name in enumerate(names)])

        assert tomllib.loads(found.rules) == {"operators": {"groups": {}}}

    def test_where_no_name_tells_the_names_are_listed(self, tmp_path: Path) -> None:
        """For a person to choose the one that trains, in words of any language."""
        lines = [lineage(0, "ads.modell_bauen", writes=["m"]), lineage(1, "ads.hochladen", reads=["m"])]
        rules = checked(tmp_path, lines).rules

        assert tomllib.loads(rules) == {}
        chosen = rules.replace(
            '# [[openlineage.jobs]]\n# name = "(.*\\\\.)?modell_bauen"\n# group',
            '[[openlineage.jobs]]\nname = "(.*\\\\.)?modell_bauen"\ngroup',
        )
        file = tmp_path / "rules.toml"
        file.write_text(chosen)
        assert "train" in checked(tmp_path, lines, load(file)).executions

    def test_a_type_that_the_settings_name_is_not_guessed(self, tmp_path: Path) -> None:
        """Its group may be custom on purpose."""
        options = load(flags={"operators.groups": {"FitScaler": "custom"}})

        assert checked(tmp_path, [native(0, "s", "FitScaler")], options).rules == ""

    def test_the_settings_that_there_are_stay(self, tmp_path: Path) -> None:
        """With their comments, and in the table that is there."""
        settings = '# ours\n[operators.groups]\n"Other" = "ingest"  # kept\n\n[detector]\nmode = "enforce"\n'
        first = checked(tmp_path, UNKNOWN["native types"])

        text = merged(settings, first.rules)
        found = again(first, [str(tmp_path / "e.jsonl")], tmp_path, settings)

        assert text.count("[operators.groups]") == 1
        assert "# ours" in text
        assert '"Other" = "ingest"  # kept' in text
        assert load(tmp_path / "rules.toml").detector.mode == "enforce"
        assert found.graph.outcomes == {"pushed": 1}

    def test_a_store_whose_types_are_of_another_library(self, tmp_path: Path) -> None:
        """Types of ML Metadata are mapped as native ones are."""
        with StoreWriter(tmp_path / "store.sqlite") as writer:
            model = writer.artifact(0)
            writer.done(0, 5, "acme.FitStep", writes=[model])
            writer.done(20, 25, "acme.RolloutStep", reads=[model])
        first = checked_files([str(tmp_path / "store.sqlite")])

        found = again(first, [str(tmp_path / "store.sqlite")], tmp_path)

        assert (first.graph.graphlets, found.graph.graphlets) == (0, 1)

    def test_a_store_whose_executions_are_in_no_pipeline(self, tmp_path: Path) -> None:
        """They are read as one pipeline then, which has the name of the file."""
        with StoreWriter(tmp_path / "churn.sqlite") as writer:
            writer.done(0, 5, "Trainer", pipeline=None, run=None)
        files = [str(tmp_path / "churn.sqlite")]
        first = checked_files(files)

        found = again(first, files, tmp_path)

        assert (first.events, first.failed) == (0, True)
        assert any("in no context" in warning for warning in first.warnings)
        assert first.rules == '[mlmd]\npipeline = "churn"\n'
        assert (found.pipelines, found.graph.graphlets) == (1, 1)


def test_acts_of_people_are_no_events_of_a_pipeline(tmp_path: Path) -> None:
    """They are counted by themselves: their types need no operator group."""
    word = event_to_dict(acts.keep(ActOn("p", run="r1"), "alice", "needed", 1_772_323_200_000))
    found = checked(tmp_path, [native(0, "t", "Trainer", "RUNNING"), word, native(2, "t", "Trainer")])

    assert (found.events, found.acts, list(found.types)) == (2, 1, ["train"])
    assert "note: 1 act of a person is no event of a pipeline" in list(lines_of(found))
