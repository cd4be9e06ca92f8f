"""A dataset is one however its events name it, with and without its version."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.sources.openlineage import OpenLineage, decode
from stream_app.sources.openlineage_datasets import dataset_id
from stream_app.sources.openlineage_rules import DatasetRule, Rules
from tests.sources.openlineage_events import dataset, message, run_event

HIVE = {"namespace": "hive://metastore:9083", "name": "ml.model"}


def decoded(event: dict[str, Any], rules: Rules | None = None) -> Event:
    """The event, which must be one."""
    found = OpenLineage(rules).decode(message(event))
    assert found is not None
    return found


def written(*outputs: dict[str, Any], event_type: str = "COMPLETE") -> list[tuple[str, bool]]:
    """Ids of what an event writes, and whether each names a version."""
    event = decoded(run_event(event_type, outputs=outputs))
    return [(artifact.id, artifact.versioned) for artifact in event.outputs]


def read(*inputs: dict[str, Any]) -> list[tuple[str, bool]]:
    """Ids of what an event reads, and whether each names a version."""
    return [(artifact.id, artifact.versioned) for artifact in decoded(run_event(inputs=inputs)).inputs]


def readers_of_training(*events: dict[str, Any]) -> list[str]:
    """Names of the jobs downstream of the first training, in the order of time."""
    detector = Detector(Settings())
    for event in events:
        detector.step(decoded(event))
    (pipeline,) = detector.pipelines.values()
    first = min(detector.graphlets(), key=lambda each: pipeline.executions[each["trainer"]].start_ms)
    executions = sorted((pipeline.executions[each] for each in first["down"]), key=lambda each: each.start_ms)
    return [str(execution.value_of("job")).rpartition(".")[2] for execution in executions]


def trains(run: str, hour: int, version: str | None, *, end: str = "COMPLETE") -> list[dict[str, Any]]:
    """A training of one hour that writes the model."""
    times = [f"2026-03-01T{hour + each:02}:00:00Z" for each in (0, 1)]
    outputs = [dataset("model", version)]
    return [
        run_event("START", "d.train", run, time=times[0]),
        run_event(end, "d.train", run, time=times[1], outputs=outputs),
    ]


def reads_model(job: str, hour: int, version: str | None) -> dict[str, Any]:
    """A job that reads the model."""
    time = f"2026-03-01T{hour:02}:00:00Z"
    return run_event("COMPLETE", f"d.{job}", job, time=time, inputs=[dataset("model", version)])


class TestNames:
    """By which names a dataset is known."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("s3://b", "m"), ("s3a://b", "m")),
            (("s3://b", "m"), ("s3n://b/", "/m/")),
            (("s3://b", "m"), ("S3://b", "m//")),
            (("s3://b", "m"), ("s3a://b", "s3a://b/m")),
            (("gs://b", "m/x"), ("gs://b/", "/m/x/")),
            (("gs://b", "m"), ("gcs://b", "m")),
            (("abfss://c@acc.dfs.core.windows.net", "m"), ("wasbs://c@acc.blob.core.windows.net", "m/")),
            (("abfss://c@acc.dfs.core.windows.net", "m"), ("abfs://c@acc.dfs.core.windows.net/", "/m")),
            (("file", "/tmp/m"), ("file:", "/tmp/m/")),
            (("file", "/tmp/m"), ("file://", "file:///tmp/m")),
            (("file", "/tmp/m"), ("file:///", "file:/tmp/m")),
            (("file:/tmp", "m"), ("file:///tmp/", "m")),
            (("file", "/tmp/m"), ("file:///", "tmp/m")),
            (("dbfs", "/m"), ("dbfs:", "dbfs:/m")),
        ],
    )
    def test_one_place_has_one_id(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Schemes of one store, slashes at the end, and paths that are written as URIs."""
        assert dataset_id(*one) == dataset_id(*other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("s3://b", "m"), ("s3://b", "M")),
            (("s3://b", "m"), ("gs://b", "m")),
            (("s3://b", "m"), ("s3://b2", "m")),
            (("file", "/tmp/m"), ("file", "tmp/m")),
            (("hdfs://a:8020", "/m"), ("hdfs://b:8020", "/m")),
            (("postgres://a:5432", "db.s.t"), ("postgres://a:5433", "db.s.t")),
            (("n", "a"), ("n", "a@")),
        ],
    )
    def test_other_places_have_other_ids(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Only what is certain to be the same is joined."""
        assert dataset_id(*one) != dataset_id(*other)

    def test_a_name_is_not_taken_for_a_version(self) -> None:
        """An `@` in a name is escaped."""
        assert not set(written(dataset("m@7"))) & set(written(dataset("m", "7")))

    def test_a_dataset_has_every_name_that_an_event_gives(self) -> None:
        """Its own and those of symlinks; what is no name is passed over and counted."""
        links = {"identifiers": [HIVE | {"type": "TABLE"}, 7, {"namespace": "x"}, {"namespace": "", "name": "y"}]}
        event = decoded(run_event(inputs=[dataset("model", "3", symlinks=links)]))

        assert [(artifact.id, artifact.versioned) for artifact in event.inputs] == [
            ("s3://bucket/model@3", True),
            ("s3://bucket/model@", False),
            ("hive://metastore:9083/ml.model@3", True),
            ("hive://metastore:9083/ml.model@", False),
        ]
        assert event.dropped == 3

    def test_names_are_bounded(self) -> None:
        """A dataset with thousands of names does not fill the state."""
        links = {"identifiers": [{"namespace": "n", "name": f"m{number}"} for number in range(5000)]}
        event = decoded(run_event(inputs=[dataset("model", symlinks=links)]))

        assert (len(event.inputs), event.dropped) == (17, 5000 - 16)

    def test_a_name_too_long_costs_the_name(self) -> None:
        """But its own name must fit."""
        links = {"identifiers": [{"namespace": "n" * 600, "name": "m" * 600}]}
        event = decoded(run_event(inputs=[dataset("model", symlinks=links)]))

        assert ([artifact.id for artifact in event.inputs], event.dropped) == (["s3://bucket/model"], 1)

    def test_the_type_is_told_by_any_of_the_names(self) -> None:
        """A rule for the table's name holds for the folder of the table."""
        links = {"identifiers": [HIVE]}
        event = decoded(
            run_event(inputs=[dataset("warehouse/x", symlinks=links)]),
            Rules(datasets=[DatasetRule("Model", name="ml.*")]),
        )

        assert [artifact.type for artifact in event.inputs] == ["Model", "Model"]

    def test_properties_are_told_once(self) -> None:
        """Of the first name; the others are the same data."""
        output = dataset("m", "1", symlinks={"identifiers": [HIVE]})
        output["outputFacets"] = {"outputStatistics": {"rowCount": 7}}
        event = decoded(run_event("COMPLETE", outputs=[output]))

        assert [artifact.properties for artifact in event.outputs] == [{"rows": 7}, {}, {}, {}]


class TestVersions:
    """With a version on both sides it holds; with one side without, what was written last is read."""

    def test_what_events_read_and_write(self) -> None:
        """With a version, and without one at the start and at the end."""
        assert written(dataset("m", "7")) == [("s3://bucket/m@7", True), ("s3://bucket/m", False)]
        assert written(dataset("m")) == [("s3://bucket/m", False), ("s3://bucket/m@", False)]
        for event_type in ("START", "RUNNING", "FAIL", "ABORT", "OTHER"):
            assert written(dataset("m"), event_type=event_type) == [("s3://bucket/m", False)]
        assert read(dataset("m", "7")) == [("s3://bucket/m@7", True), ("s3://bucket/m@", False)]
        assert read(dataset("m")) == [("s3://bucket/m", False)]

    def test_a_version_may_be_a_number(self) -> None:
        """Delta counts them."""
        numbered = dataset("m")
        numbered["facets"]["version"] = {"datasetVersion": 7}

        assert read(numbered) == read(dataset("m", "7"))

    @pytest.mark.parametrize("written_version", ["v1", None])
    @pytest.mark.parametrize("read_version", ["v1", None])
    def test_a_version_on_one_side_is_enough(self, written_version: str | None, read_version: str | None) -> None:
        """Or on neither, or on both."""
        events = [*trains("t1", 1, written_version), reads_model("push", 3, read_version)]

        assert readers_of_training(*events) == ["push"]

    def test_an_older_version_is_read_where_it_is_named(self) -> None:
        """A rollback reads no newer model, also when writers tell the version only at the end."""
        for at_start in ([], [dataset("model")]):
            first, second = trains("t1", 1, "v1"), trains("t2", 3, "v2")
            first[0]["outputs"] = second[0]["outputs"] = at_start
            events = [*first, *second, reads_model("evaluate", 6, "v2"), reads_model("push", 7, "v1")]

            assert readers_of_training(*events) == ["push"]

    def test_a_training_that_failed_wrote_nothing_that_a_version_could_be_of(self) -> None:
        """Its outputs without a version are not those that a later reader names."""
        events = [*trains("t1", 1, None, end="FAIL"), *trains("t2", 3, "v2"), reads_model("push", 6, "v2")]

        assert readers_of_training(*events) == []


def test_a_list_that_is_null_is_empty() -> None:
    """As is one that is missing."""
    event = run_event("COMPLETE")
    event["inputs"] = None
    del event["outputs"]
    found = decode(message(event))

    assert found is not None
    assert (found.inputs, found.outputs) == ((), ())


def test_a_null_in_a_list_is_as_good_as_nothing() -> None:
    """The datasets beside it are read."""
    event = run_event("COMPLETE", inputs=[dataset("examples")])
    event["inputs"].insert(0, None)
    event["outputs"] = [None]
    found = decode(message(event))

    assert found is not None
    assert ([each.id for each in found.inputs], found.outputs) == (["s3://bucket/examples"], ())
