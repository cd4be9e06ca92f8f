"""What an execution did, read from the state of a detector."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import orjson
import pytest

from stream_app.analysis.redundancy import DATA, EXACT, TRAINING, RedundancyIndex, Work, affected_by, work_of
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CACHED, FAILED, RUNNING, ArtifactRef, Event, Scalar
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from tests.analysis.redundancy.oracle import figures_of
from tests.support.builders import artifact, ended, happened, ran, started


class Followed:
    """A detector, and the index of its only pipeline."""

    def __init__(self, *events: Event | Iterable[Event]) -> None:
        self.detector = Detector(Settings())
        self.index = RedundancyIndex()
        for given in events:
            for event in [given] if isinstance(given, Event) else given:
                self.step(event)

    def step(self, event: Event) -> None:
        """Applies an event and puts in what it may have changed."""
        self.detector.step(event)
        pipeline = self.detector.pipelines[event.pipeline]
        execution = pipeline.executions[event.execution_id]
        for each in (execution, *affected_by(pipeline, execution)):
            found = work_of(pipeline, each, each.node_ms(1.0), None)
            if found is None:
                self.index.remove(each.id)
            else:
                self.index.put(found)

    def works(self) -> list[Work]:
        """The works of all executions."""
        return [
            found
            for pipeline in self.detector.pipelines.values()
            for each in pipeline.executions.values()
            if (found := work_of(pipeline, each, each.node_ms(1.0), None)) is not None
        ]

    def work(self, execution_id: str) -> Work:
        """The work of one execution."""
        return {each.execution_id: each for each in self.works()}[execution_id]

    def kinds(self) -> dict[tuple[str, str], int]:
        """Executions by kind and operator."""
        return {(row.kind, row.type): row.executions for row in self.index.figures().rows}


def data(name: str, type_: str = "Examples") -> ArtifactRef:
    """An artifact of a type."""
    return ArtifactRef(name, type_)


def parameters_of(properties: Mapping[str, Scalar], at_end: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The parameters of an execution `execution-1` of the run `2026-03-01`."""
    found = Followed(
        started(0, "execution-1", "Trainer", run="2026-03-01", properties=properties),
        ended(9, "execution-1", "Trainer", run="2026-03-01", properties=at_end),
    )
    return dict(found.work("execution-1").parameters)


def test_texts_and_booleans_are_parameters_and_numbers_that_come_with_the_start() -> None:
    """Numbers that come later are measurements."""
    found = parameters_of({"rate": 0.1, "layers": 3}, {"module": "train.py", "shuffle": True, "auc": 0.8, "rows": 9})

    assert found == {"rate": 0.1, "layers": 3, "module": "train.py", "shuffle": True}


@pytest.mark.parametrize(
    "properties",
    [
        {"owner": "ads"},
        {"code_version": "9f2c"},
        {"keep": True},
        {"blessed": True},
        {"error": "out of memory"},
        {"pod_name": "train-x7"},
        {"attempt": 2},
        {"rows_read": 100},
        {"output": "s3://models/2026-03-01/model"},
        {"log": "execution-1.log"},
    ],
    ids=lambda properties: next(iter(properties)),
)
def test_what_says_who_where_and_how_is_no_parameter(properties: dict[str, Scalar]) -> None:
    """Nor is a text with the id of the execution or of its run."""
    assert parameters_of(properties, {}) == {}


def test_a_short_id_does_not_occur_in_texts() -> None:
    """Stores number their executions."""
    found = Followed(ran(0, "1", "Trainer", run="2"), ended(1, "1", "Trainer", run="2", properties={"steps": "12"}))

    assert dict(found.work("1").parameters) == {"steps": "12"}


def test_cached_executions_and_runs_did_no_work() -> None:
    """They repeat nothing, and are no original."""
    found = Followed(
        happened(0, "c", "Transform", CACHED, reads=[data("d")]),
        ran(1, "r1", "PipelineRun", reads=[data("d")]),
        ran(2, "t", "Transform", reads=[data("d")]),
    )

    assert [each.execution_id for each in found.works()] == ["t"]
    assert not found.kinds()


def test_an_execution_that_proves_to_be_cached_is_taken_out() -> None:
    """Its end says so."""
    found = Followed(ran(0, "a", "Transform", reads=[data("d")]), ran(2, "b", "Transform", reads=[data("d")]))
    assert found.kinds() == {(EXACT, "Transform"): 1}

    found.step(happened(9, "b", "Transform", CACHED))

    assert not found.kinds()


def test_an_execution_that_another_names_as_its_run_is_taken_out() -> None:
    """It is a run, whatever its type."""
    found = Followed(happened(0, "dag", "Dag", RUNNING, run=None))
    assert len(found.index) == 1

    found.step(started(2, "t", "Trainer", run="dag"))

    assert [each.execution_id for each in found.works()] == ["t"]
    assert len(found.index) == 1


def test_tries_before_the_first_success_are_no_repeats() -> None:
    """What failed before is a failed try; what comes after is a repeat, whether it fails or not."""
    found = Followed(
        *(
            [started(minute, name, "Trainer", reads=[data("d")]), ended(minute + 1, name, "Trainer", state=state)]
            for minute, name, state in (
                (0, "t1", FAILED),
                (2, "t2", "COMPLETE"),
                (4, "t3", FAILED),
                (6, "t4", "COMPLETE"),
            )
        )
    )

    [group] = found.index.figures().groups
    assert (group.original, group.examples, group.row.node_ms) == ("t2", ("t4", "t3"), 120_000)


def test_a_schema_that_every_run_reads_is_no_span() -> None:
    """Windows overlap by their data alone."""
    found = Followed()
    for day in range(3):
        reads = [data("schema", "Schema"), *(data(f"d{span}") for span in range(day, day + 7))]
        for event in ran(day * 9, f"s{day}", "Transform", reads=reads):
            found.step(event)

    assert found.kinds() == {(DATA, "Transform"): 2}
    assert found.index.figures().rows[0].node_ms == 2 * (60_000 * 6 // 7)


def test_results_of_other_operators_are_no_spans() -> None:
    """By their writer, where the type of the artifact says nothing."""
    found = Followed(
        ran(0, "s", "StatisticsGen", writes=[artifact("profile")]),
        ran(2, "i", "ExampleGen", writes=[artifact("data")]),
        ran(4, "t", "Trainer", reads=[artifact("profile"), artifact("data"), artifact("upload")]),
    )

    assert found.work("t").spans == ("data", "upload")
    assert found.work("t").inputs == ("data", "profile", "upload")


def test_a_warm_started_training_has_no_overlap() -> None:
    """Also when the writer of the model becomes known after its reader."""
    found = Followed(
        ran(4, "t2", "Trainer", reads=[artifact("d1"), artifact("m0")]),
        ran(2, "t1", "Trainer", reads=[artifact("d1")]),
    )
    assert found.kinds() == {(TRAINING, "Trainer"): 1}

    for event in ran(0, "t0", "Trainer", reads=[artifact("d0")], writes=[artifact("m0")]):
        found.step(event)

    assert not found.kinds()


def test_a_transform_that_reads_a_cache_is_incremental_already() -> None:
    """It has no overlap."""
    found = Followed(
        ran(0, "t1", "Transform", reads=[data("d1")]),
        ran(2, "t2", "Transform", reads=[data("d1"), data("d2"), data("c", "TransformCache")]),
    )

    assert found.work("t2").warm
    assert not found.kinds()


def test_readers_of_an_unversioned_artifact_read_the_same_if_nobody_wrote_it_in_between() -> None:
    """The writer whose version they read tells; a late writer changes that."""
    table = artifact("table", versioned=False)
    found = Followed(
        ran(0, "w1", "ExampleGen", writes=[table]),
        *(ran(minute, f"t{minute}", "Transform", reads=[table]) for minute in (10, 20, 30)),
    )
    assert found.kinds() == {(EXACT, "Transform"): 2}

    for event in ran(25, "w2", "ExampleGen", writes=[table]):
        found.step(event)

    assert found.kinds() == {(EXACT, "Transform"): 1}


def test_an_unversioned_artifact_without_a_writer_is_not_known() -> None:
    """Nothing says that two readers read the same, nor that a span was read before."""
    table = artifact("table", versioned=False)
    found = Followed(*(ran(minute, f"t{minute}", "Transform", reads=[table, artifact("d")]) for minute in (0, 10)))

    assert found.work("t0").unknown == 1
    assert found.kinds() == {(DATA, "Transform"): 1}
    assert found.index.figures().rows[0].node_ms == 30_000


def test_a_version_of_openlineage_is_known_although_nobody_wrote_it() -> None:
    """A reader that names a version reads `name@` too, for writers that name none."""
    reads = [artifact("s3://b/t@v1"), artifact("s3://b/t@", versioned=False)]
    found = Followed(*(ran(minute, f"t{minute}", "Transform", reads=reads) for minute in (0, 10)))

    assert found.kinds() == {(EXACT, "Transform"): 1}


def test_what_an_execution_passes_on_is_no_input() -> None:
    """A resolver reads and writes the same artifact in each run, and computes nothing from it."""
    found = Followed(
        *(ran(minute, f"r{minute}", "Resolver", reads=[artifact("m")], writes=[artifact("m")]) for minute in (0, 10))
    )

    assert not found.kinds()


def test_executions_without_inputs_repeat_nothing() -> None:
    """Nothing says that they ingested the same."""
    assert not Followed(*(ran(minute, f"i{minute}", "ExampleGen") for minute in (0, 10))).kinds()


def test_without_code_versions_the_same_code_is_assumed_and_the_figures_say_so() -> None:
    """One that is known is not the same as one that is not."""
    found = Followed(
        *(ran(minute, f"t{minute}", "Transform", reads=[data("d")]) for minute in (0, 10)),
        started(20, "t20", "Transform", reads=[data("d")], properties={"code_version": "c1"}),
        ended(21, "t20", "Transform"),
    )

    [row] = found.index.figures().rows
    assert (row.executions, row.node_ms, row.assumed_ms) == (1, 60_000, 60_000)


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_fleet_are_those_of_the_definition_in_any_order(seed: int) -> None:
    """Several trainers a run, retries, caches, warm starts; events shuffled and doubled."""
    events = [decode(orjson.dumps(event)) for event in Fleet(FleetOptions(pipelines=6, days=5, seed=seed)).events()]
    chance = random.Random(seed)
    for name in sorted({event.pipeline for event in events}):
        ordered = [event for event in events if event.pipeline == name]
        shuffled = [*ordered, *chance.sample(ordered, len(ordered) // 4)]
        chance.shuffle(shuffled)
        found = [Followed(ordered), Followed(shuffled)]

        assert found[0].index.figures() == found[1].index.figures() == figures_of(found[0].works())
