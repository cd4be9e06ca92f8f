"""Stores of Kubeflow Pipelines: DAG executions contain others, the outermost one is the run, tasks are repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.core.events import CACHED, COMPLETE, FAILED, NEW, RUNNING
from stream_app.core.operators import Operators
from stream_app.sources.mlmd import Cursor, Rules, Store, follow
from tests.sources.mlmd_store import OUTPUT, StoreWriter
from tests.support.builders import at
from tests.support.mlmd_results import Result, detector_of, events_in, outcomes_in, results, results_in

CONTEXTS = ("system.Pipeline", "system.PipelineRun")
#: As the driver writes it, and as it is also met.
DAGS = ("system.DAGExecution", "system.DagExecution")


class KfpWriter(StoreWriter):
    """Writes what the driver and the launcher of Kubeflow Pipelines write."""

    dag_type = DAGS[0]

    def dag(self, minute: float, *, parent: int | None = None, run: str = "r1", **properties: Any) -> int:
        """Begins a DAG; without a parent it is the root of its run."""
        if parent is not None:
            properties["parent_dag_id"] = parent
        return self.execution(minute, self.dag_type, "RUNNING", run=run, kinds=CONTEXTS, **properties)

    def task(
        self, start: float, end: float | None, task: str, state: str = "COMPLETE", *, run: str = "r1", **fields: Any
    ) -> int:
        """A container execution, which runs on where it has no end."""
        fields |= {"task_name": task, "run": run, "kinds": CONTEXTS}
        return self.done(start, end, "system.ContainerExecution", state, **fields)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[KfpWriter]:
    """A store of Kubeflow Pipelines."""
    with KfpWriter(tmp_path / "store.sqlite") as writer:
        yield writer


def states_of(path: Path, execution: str, rules: Rules | None = None) -> list[tuple[str, float]]:
    """State and minute of the events of an execution."""
    events = (event for event in events_in(path, rules) if event.execution_id == execution)
    return [(event.state, (event.time_ms - at(0)) / 60_000) for event in events]


class TestDags:
    """They cost nothing, and only the outermost one is an execution at all."""

    @pytest.fixture(params=DAGS)
    def nested(self, writer: KfpWriter, request: pytest.FixtureRequest) -> Path:
        """A run whose tasks are in an inner DAG."""
        writer.dag_type = request.param
        root = writer.dag(0)
        inner = writer.dag(1, parent=root)
        data, model = writer.artifact(60, "system.Dataset"), writer.artifact(182, "system.Model")
        writer.edge(1, inner, data, 3, "data")
        writer.task(2, 60, "prep", parent_dag_id=inner, writes=[data])
        writer.task(61, 181, "train-model", parent_dag_id=inner, reads=[data], writes=[model])
        writer.update(182, inner, "COMPLETE")
        writer.update(183, root, "COMPLETE")
        return writer.path

    @pytest.mark.parametrize("dag_group", [None, "run", "custom", "train"])
    def test_they_add_nothing_to_the_compute_whatever_the_settings_map_them_to(
        self, nested: Path, dag_group: str | None
    ) -> None:
        groups = {"prep": "preprocess", "train-model": "train"}
        groups |= dict.fromkeys(DAGS, dag_group) if dag_group else {}
        rules = Rules(Operators(groups))

        detector = detector_of(events_in(nested, rules), rules)

        expected = Result("not_pushed", "run_ended", {"preprocess": 58, "train": 120}, ("3",))
        assert results(detector) == {"digits/4": expected}
        ledger = detector.ledger("digits")
        assert ledger.wasted == (58 + 120) * 60_000
        assert (ledger.useful, ledger.pending, ledger.unattributed) == (0, 0, 0)

    def test_the_outermost_one_is_the_run(self, nested: Path) -> None:
        assert states_of(nested, "r1") == [(RUNNING, 0), (COMPLETE, 183)]

    def test_inner_ones_have_no_events(self, nested: Path) -> None:
        assert {event.execution_id for event in events_in(nested)} == {"r1", "3", "4"}

    def test_the_first_is_the_outermost_where_none_names_a_parent(self, writer: KfpWriter) -> None:
        """As stores are met that were copied without their properties."""
        root = writer.dag(0)
        inner = writer.dag(1)
        writer.task(2, 9, "train-model")
        writer.update(10, inner, "FAILED")
        writer.update(12, root, "COMPLETE")

        assert states_of(writer.path, "r1") == [(RUNNING, 0), (COMPLETE, 12)]

    def test_a_parent_of_zero_is_none(self, writer: KfpWriter) -> None:
        root = writer.dag(0, parent=0)
        writer.dag(1, parent=root)
        writer.update(12, root, "COMPLETE")

        assert states_of(writer.path, "r1") == [(RUNNING, 0), (COMPLETE, 12)]

    @pytest.mark.parametrize("state", ["COMPLETE", "FAILED"])
    def test_an_inner_one_that_ends_does_not_end_the_run(self, writer: KfpWriter, state: str) -> None:
        root = writer.dag(0)
        inner = writer.dag(1, parent=root)
        writer.task(2, 9, "train-model", parent_dag_id=inner)
        writer.update(10, inner, state)

        assert outcomes_in(writer.path) == {"digits/3": ("open", None)}

    def test_one_that_is_in_no_run_is_ignored(self, writer: KfpWriter) -> None:
        writer.execution(0, DAGS[0], "COMPLETE", run=None, kinds=CONTEXTS)
        writer.task(1, 2, "train-model")

        assert {event.execution_id for event in events_in(writer.path)} == {"2"}


class TestStaleStates:
    """A run that is retried keeps the FAILED of its first try."""

    def test_a_retried_run_is_not_ended_by_its_first_try(self, writer: KfpWriter) -> None:
        root, model = writer.dag(0), writer.artifact(150)
        writer.task(1, 61, "train-model", "FAILED")
        writer.update(62, root, "FAILED")
        writer.task(90, 150, "train-model", writes=[model])
        writer.task(151, 155, "deploy-model", reads=[model])

        assert results_in(writer.path) == {
            "digits/2": Result("not_pushed", "failed", {"train": 60}),
            "digits/3": Result("pushed", None, {"train": 60, "deploy": 4}, (), ("4",)),
        }

    def test_a_retry_that_trains_again_is_open(self, writer: KfpWriter) -> None:
        root = writer.dag(0)
        writer.task(1, 61, "train-model", "FAILED")
        writer.update(62, root, "FAILED")
        writer.task(90, 150, "train-model")

        assert outcomes_in(writer.path) == {"digits/2": ("not_pushed", "failed"), "digits/3": ("open", None)}

    @pytest.mark.parametrize("state", ["COMPLETE", "FAILED", "CANCELED"])
    def test_the_run_begins_again_with_what_began_after_its_end(self, writer: KfpWriter, state: str) -> None:
        root = writer.dag(0)
        writer.task(1, 61, "train-model")
        writer.update(62, root, state)
        writer.task(90, 150, "train-model")

        assert states_of(writer.path, "r1")[1:] == [(RUNNING, 90)]

    def test_a_failed_run_with_something_in_flight_has_not_ended(self, writer: KfpWriter) -> None:
        root = writer.dag(0)
        writer.task(1, None, "train-model")
        writer.task(1, 5, "send-mail", "FAILED")
        writer.update(6, root, "FAILED")

        assert states_of(writer.path, "r1") == [(RUNNING, 0)]

    def test_a_task_that_is_not_triggered_begins_nothing(self, writer: KfpWriter) -> None:
        """The driver still goes through the conditions of a run that has failed."""
        root = writer.dag(0)
        writer.task(1, 5, "train-model", "FAILED")
        writer.update(6, root, "FAILED")
        writer.task(7, 7, "deploy-model", "CANCELED")

        assert states_of(writer.path, "r1")[-1] == (FAILED, 6)

    @pytest.mark.parametrize("state", ["COMPLETE", "CANCELED"])
    def test_other_ends_hold_whatever_is_left_in_flight(self, writer: KfpWriter, state: str) -> None:
        """A container whose pod was killed stays RUNNING for ever."""
        root = writer.dag(0)
        writer.task(1, None, "train-model")
        writer.update(6, root, state)

        assert states_of(writer.path, "r1")[-1] == (state, 6)

    def test_a_run_that_never_ends_is_open(self, writer: KfpWriter) -> None:
        """The driver leaves the root RUNNING unless it counts its tasks."""
        writer.dag(0)
        writer.task(1, 61, "train-model")

        assert outcomes_in(writer.path) == {"digits/2": ("open", None)}

    def test_a_run_that_a_verdict_ended_is_pruned(self, writer: KfpWriter) -> None:
        root = writer.dag(0)
        writer.task(1, None, "train-model")
        writer.update(6, root, "CANCELED", pruned_by="digits/2#1")

        assert outcomes_in(writer.path)["digits/2"][0] == "pruned"


class TestTasks:
    """One type for all: the task names the operator."""

    def test_a_repeated_task_and_each_iteration_of_a_loop_is_a_training_of_its_own(self, writer: KfpWriter) -> None:
        root = writer.dag(0)
        loop = writer.dag(0, parent=root, iteration_count=2)
        for index in range(2):
            step = writer.dag(1, parent=loop, iteration_index=index)
            writer.task(1, 11, "fit", parent_dag_id=step, iteration_index=index)
        writer.task(12, 22, "fit-2")
        writer.update(23, root, "COMPLETE")

        found = results_in(writer.path, Rules(Operators({"fit": "train"})))

        assert [result.minutes for result in found.values()] == [{"train": 10}] * 3

    def test_the_display_name_names_a_task_without_a_name(self, writer: KfpWriter) -> None:
        writer.task(0, 10, "", display_name="train-model")

        assert [event.execution_type for event in events_in(writer.path)] == ["Trainer", "Trainer"]

    def test_a_deployment_that_ends_is_a_push(self, writer: KfpWriter) -> None:
        """No deployer of Kubeflow Pipelines writes `pushed`; one that does is heard."""
        pushed, refused = writer.artifact(10), writer.artifact(30)
        writer.task(0, 10, "train-model", writes=[pushed])
        writer.task(11, 12, "deploy-model", reads=[pushed], writes=[writer.artifact(12, "system.Artifact")])
        writer.task(20, 30, "train-model", writes=[refused], run="r2")
        told = writer.artifact(32, "system.Artifact", pushed="no")
        writer.task(31, 32, "deploy-model", reads=[refused], writes=[told], run="r2")

        found = outcomes_in(writer.path)

        assert found["digits/1"] == ("pushed", None)
        assert found["digits/3"][0] != "pushed"

    def test_the_settings_may_ask_for_a_property(self, writer: KfpWriter) -> None:
        model = writer.artifact(10)
        writer.task(0, 10, "train-model", writes=[model])
        writer.task(11, 12, "deploy-model", reads=[model])

        assert outcomes_in(writer.path, Rules(pushed_types=()))["digits/1"][0] != "pushed"

    def test_a_task_that_is_not_triggered_costs_nothing_and_pushes_nothing(self, writer: KfpWriter) -> None:
        """The driver writes it as CANCELED when its condition is false."""
        model = writer.artifact(10)
        writer.task(0, 10, "train-model", writes=[model])
        writer.task(11, 11, "deploy-model", "CANCELED", reads=[model])

        assert results_in(writer.path)["digits/1"] == Result("open", None, {"train": 10, "deploy": 0}, (), ("2",))

    @pytest.mark.parametrize("state", ["CACHED", "COMPLETE"])
    def test_a_cached_task_trains_nothing(self, writer: KfpWriter, state: str) -> None:
        """It writes the artifacts of the execution that it was cached from."""
        root, model = writer.dag(0), writer.artifact(10)
        writer.task(0, 10, "train-model", writes=[model])
        writer.task(11, 12, "deploy-model", reads=[model])
        writer.update(13, root, "COMPLETE")
        again = writer.dag(60, run="r2")
        writer.task(60, 61, "train-model", state, writes=[model], run="r2", cached_execution_id="2")
        writer.update(62, again, "COMPLETE")

        detector = detector_of(events_in(writer.path))

        assert {key: result.outcome for key, result in results(detector).items()} == {"digits/2": "pushed"}
        assert detector.ledger("digits").wasted == 0
        assert states_of(writer.path, "5") == [(NEW, 60), (CACHED, 61)]

    def test_a_task_that_will_be_cached_does_not_run_before_it_is(self, writer: KfpWriter) -> None:
        """The driver writes it as RUNNING first, with what it is cached from."""
        writer.task(0, None, "train-model", cached_execution_id="2")

        assert {state for state, _ in states_of(writer.path, "1")} == {NEW}


class TestFollowing:
    """A DAG's end holds by what the other executions of its run do, which does not touch it."""

    @pytest.fixture
    def cursor(self) -> Cursor:
        return Cursor()

    def test_a_pass_over_an_unchanged_store_says_nothing(self, writer: KfpWriter, cursor: Cursor) -> None:
        root = writer.dag(0)
        writer.task(1, 61, "train-model")
        writer.update(62, root, "FAILED")
        writer.task(90, 150, "train-model")
        with Store(str(writer.path)) as store:
            passes = [len(list(follow(store, cursor))) for _ in range(3)]

        assert passes[1:] == [0, 0]
        assert passes[0] > 0

    def test_a_retry_hours_later_begins_the_run_again(self, writer: KfpWriter, cursor: Cursor) -> None:
        root = writer.dag(0)
        writer.task(1, 61, "train-model", "FAILED")
        writer.update(62, root, "FAILED")
        with Store(str(writer.path)) as store:
            before = list(follow(store, cursor))
            writer.task(600, None, "train-model")
            after = list(follow(store, cursor))

        root_states = [(event.state, event.time_ms) for event in before + after if event.execution_id == "r1"]
        assert (FAILED, at(62)) in root_states[:2]
        assert (RUNNING, at(600)) in root_states[2:]
        assert results(detector_of(before + after))["digits/3"].outcome == "open"

    def test_an_end_that_waited_for_what_was_in_flight_is_reported_with_it(
        self, writer: KfpWriter, cursor: Cursor
    ) -> None:
        root = writer.dag(0)
        trainer = writer.task(1, None, "train-model")
        writer.update(6, root, "FAILED")
        writer.execution(300, "system.ContainerExecution", run="r9", kinds=CONTEXTS, task_name="other")
        with Store(str(writer.path)) as store:
            first = [event.state for event in follow(store, cursor) if event.execution_id == "r1"]
            writer.update(310, trainer, "FAILED")
            second = [event.state for event in follow(store, cursor) if event.execution_id == "r1"]

        assert (first, second) == ([RUNNING], [RUNNING, FAILED])

    def test_a_root_that_ends_later_ends_the_run(self, writer: KfpWriter, cursor: Cursor) -> None:
        root = writer.dag(0)
        writer.task(1, 61, "train-model")
        with Store(str(writer.path)) as store:
            events = list(follow(store, cursor))
            writer.update(200, root, "COMPLETE")
            events += follow(store, cursor)

        assert results(detector_of(events)) == results(detector_of(events_in(writer.path)))
        assert results(detector_of(events))["digits/2"].cause == "run_ended"

    @pytest.mark.parametrize("every", [1, 3, 7])
    def test_passes_while_runs_grow_give_what_one_reading_gives(
        self, writer: KfpWriter, cursor: Cursor, every: int
    ) -> None:
        calls, events, write = 0, [], writer.sql
        with Store(str(writer.path)) as store:

            def write_and_follow(statement: str, *values: object) -> int:
                nonlocal calls
                row = write(statement, *values)
                calls += 1
                if calls % every == 0:
                    events.extend(follow(store, cursor))
                return row

            writer.sql = write_and_follow  # type: ignore[method-assign]
            root, model = writer.dag(0), writer.artifact(1)
            inner = writer.dag(1, parent=root)
            writer.task(1, 61, "train-model", "FAILED", parent_dag_id=inner)
            writer.update(61, inner, "FAILED")
            writer.update(62, root, "FAILED")
            writer.task(90, 150, "train-model", writes=[model])
            deployer = writer.task(151, None, "deploy-model", reads=[model])
            writer.edge(155, deployer, writer.artifact(155, "system.Artifact"), OUTPUT)
            writer.update(155, deployer, "COMPLETE")
            events.extend(follow(store, cursor))

        assert results(detector_of(events)) == results(detector_of(events_in(writer.path)))
