"""How one execution of a store is read, by what its rows say and what the rules say of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, RUNNING, Event, Scalar
from stream_app.core.operators import Operators
from stream_app.core.properties import is_true
from stream_app.sources.mlmd.events import events_of
from stream_app.sources.mlmd.records import ABANDONED, ArtifactRecord, Record
from stream_app.sources.mlmd.rules import Rules
from tests.support.builders import at

IN_A_RUN = [("pipeline", "p"), ("pipeline_run", "r1"), ("node", "p.Trainer")]


def record(type_: str = "Trainer", state: str | None = COMPLETE, **fields: Any) -> Record:
    """An execution made at minute 0 and changed last at minute 9."""
    fields.setdefault("contexts", list(IN_A_RUN))
    return Record(7, type_, state, at(0), at(9), **fields)


def artifact(key: int, minute: float = 9, state: int = 2, /, **properties: Scalar) -> ArtifactRecord:
    """An artifact last changed at a minute."""
    return ArtifactRecord(key, "Thing", state, at(minute), properties)


def pushes(record: Record, rules: Rules | None = None) -> list[Scalar]:
    """What the outputs of the execution's end say of `pushed`."""
    end = next(event for event in events_of(record, rules or Rules()) if event.state == COMPLETE)
    return [output.properties["pushed"] for output in end.outputs if "pushed" in output.properties]


def told(events: list[Event]) -> list[tuple[str, float]]:
    """State and minute of events."""
    return [(event.state, (event.time_ms - at(0)) / 60_000) for event in events]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (NEW, [(NEW, 0)]),
        (RUNNING, [(RUNNING, 0)]),
        (COMPLETE, [(RUNNING, 0), (COMPLETE, 9)]),
        (FAILED, [(RUNNING, 0), (FAILED, 9)]),
        (CACHED, [(NEW, 0), (CACHED, 9)]),
        (CANCELED, [(NEW, 0), (CANCELED, 9)]),
        (None, [(RUNNING, 0)]),
    ],
)
def test_an_execution_began_when_it_was_made_and_ended_when_it_was_last_changed(
    state: str | None, expected: list[tuple[str, float]]
) -> None:
    """A cached one, or one whose precondition was not met, never ran; a hung one never ends."""
    events = events_of(record(state=state, contexts=IN_A_RUN[:2]), Rules())

    assert told(events) == expected


def test_who_never_sets_a_state_is_complete_once_something_was_written() -> None:
    events = events_of(record(state=None, outputs=[artifact(1)], wrote_ms=at(12)), Rules())

    assert told(events) == [(RUNNING, 0), (COMPLETE, 12)]


def test_pipeline_run_and_node_come_from_the_contexts() -> None:
    event = events_of(record(), Rules())[-1]

    assert (event.pipeline, event.run, event.execution_id) == ("p", "r1", "7")
    assert event.properties["node"] == "p.Trainer"


def test_the_first_of_several_pipelines_counts() -> None:
    """In TFX the executions of an inner pipeline are in the contexts of the outer one too."""
    contexts = [("pipeline", "outer"), ("pipeline", "inner"), ("pipeline_run", "r1")]

    assert {event.pipeline for event in events_of(record(contexts=contexts), Rules())} == {"outer"}


@pytest.mark.parametrize(
    ("contexts", "type_", "properties", "expected"),
    [
        # Kubeflow Pipelines: one type for all executions, the task is a property.
        (
            [("system.Pipeline", "p"), ("system.PipelineRun", "r1")],
            "system.ContainerExecution",
            {"task_name": "Trainer"},
            ("p", "r1", "7", "Trainer"),
        ),
        # The orchestrator of TFX keeps an execution for the run itself.
        ([("__ORCHESTRATOR__", "p")], "__ORCHESTRATOR__", {"pipeline_run_id": "r1"}, ("p", "r1", "r1", "PipelineRun")),
        # So may any pipeline, with an execution of group run in the run's context.
        (IN_A_RUN, "PipelineRun", {}, ("p", "r1", "r1", "PipelineRun")),
        # A run's execution that names no run stands for itself.
        ([("pipeline", "p")], "PipelineRun", {}, ("p", None, "7", "PipelineRun")),
    ],
)
def test_other_systems_names(
    contexts: list[tuple[str, str]],
    type_: str,
    properties: Mapping[str, Scalar],
    expected: tuple[str, str | None, str, str],
) -> None:
    event = events_of(record(type_, contexts=contexts, properties=dict(properties)), Rules())[0]

    assert (event.pipeline, event.run, event.execution_id, event.execution_type) == expected


class TestPushes:
    """`pushed` decides; neither the presence of a PushedModel nor a COMPLETE Pusher does."""

    @pytest.mark.parametrize(("said", "expected"), [(1, True), (0, False), ("", False), (True, True)])
    def test_the_property_decides(self, said: Scalar, expected: bool) -> None:
        (found,) = pushes(record("Pusher", outputs=[artifact(1, pushed=said)]))

        assert is_true(found) is expected  # type: ignore[arg-type]

    def test_a_pushed_model_that_does_not_say_was_not_pushed(self) -> None:
        assert pushes(record("Pusher", outputs=[artifact(1)])) == [False]

    def test_a_complete_pusher_without_output_did_not_push(self) -> None:
        assert pushes(record("Pusher")) == [False]

    def test_the_execution_itself_may_say(self) -> None:
        assert pushes(record("mlmd.Deploy", properties={"pushed": 1})) == [1]

    def test_an_abandoned_output_was_not_pushed(self) -> None:
        assert pushes(record("Pusher", outputs=[artifact(1, 9, ABANDONED, pushed=1)])) == [False]

    def test_rules_may_name_types_whose_end_is_a_push(self) -> None:
        """Then the event says nothing, and COMPLETE counts."""
        rules = Rules(Operators(groups={"Release": "deploy"}), pushed_types=("Release",))

        assert pushes(record("Release", outputs=[artifact(1)]), rules) == []

    def test_rules_may_name_another_property(self) -> None:
        rules = Rules(properties={"went_live": "pushed"})

        assert pushes(record("Pusher", outputs=[artifact(1, went_live=1)]), rules) == [1]

    def test_others_need_not_say(self) -> None:
        assert pushes(record("Trainer", outputs=[artifact(1)])) == []


class TestWhatIsToldWhen:
    """Nothing is told before it was so, as far as the store can tell."""

    def test_properties_are_final_values_and_told_at_the_end_but_for_those_known_at_the_start(self) -> None:
        first, last = events_of(record(properties={"owner": "ads", "auc": 0.9, "node_seconds": 3.5}), Rules())

        assert first.properties == {"owner": "ads"}
        assert last.properties == {"owner": "ads", "auc": 0.9, "node": "p.Trainer"}
        assert (first.node_ms, last.node_ms) == (None, 3500)

    def test_inputs_are_told_at_the_start_and_outputs_at_the_end(self) -> None:
        first, last = events_of(record(inputs=[artifact(1)], outputs=[artifact(2)]), Rules())

        assert ([ref.id for ref in first.inputs], first.outputs) == (["1"], ())
        assert ([ref.id for ref in last.outputs], last.inputs) == (["2"], ())

    def test_an_input_that_changed_since_is_told_without_its_properties(self) -> None:
        inputs = [artifact(1, -1, span=1), artifact(2, 1, span=2)]

        first = events_of(record(inputs=inputs), Rules())[0]

        assert [ref.properties for ref in first.inputs] == [{"span": 1}, {}]

    def test_an_output_that_changed_later_is_told_then_but_for_its_labels(self) -> None:
        events = events_of(record("Evaluator", outputs=[artifact(2, 90, auc=0.9, blessed=1)]), Rules())

        assert told(events) == [(RUNNING, 0), (COMPLETE, 9), (NEW, 90)]
        assert [ref.properties for event in events[1:] for ref in event.outputs] == [
            {"blessed": 1},
            {"auc": 0.9, "blessed": 1},
        ]

    def test_outputs_of_what_runs_are_told_when_they_were_registered(self) -> None:
        """Not as a second RUNNING: that would be a heartbeat, and a store has none."""
        events = events_of(record(state=RUNNING, outputs=[artifact(2)], wrote_ms=at(20)), Rules())

        assert told(events) == [(RUNNING, 0), (NEW, 20)]


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("complete", [(RUNNING, 0), (COMPLETE, 9)]),
        ("cached", [(NEW, 0), (CACHED, 9)]),
        ("new", [(NEW, 0), (NEW, 9)]),
        ("odd", [(RUNNING, 0), (NEW, 9)]),
    ],
)
def test_the_state_of_early_releases_of_tfx_is_a_property(reported: str, expected: list[tuple[str, float]]) -> None:
    """Before 0.25 they left the column empty."""
    assert told(events_of(record(state=None, properties={"state": reported}), Rules())) == expected


def test_the_column_holds_before_a_property_of_its_name() -> None:
    assert told(events_of(record(state=FAILED, properties={"state": "complete"}), Rules()))[-1] == (FAILED, 9)


@pytest.mark.parametrize("created_ms", [0, -1, 1 << 62])
def test_an_execution_from_no_possible_time_is_ignored(created_ms: int) -> None:
    found = record()
    found.created_ms = created_ms

    assert events_of(found, Rules()) == []
