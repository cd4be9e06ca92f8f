"""How a run of MLflow is read, and how far a cursor remembers, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING, Event
from stream_app.core.operators import Operators
from stream_app.errors import StateError
from stream_app.sources.mlflow import Cursor, Rules
from stream_app.sources.mlflow.runs import events_of
from stream_app.sources.native import decode
from tests.sources.final_graphlets import as_dicts
from tests.support.builders import at


def run(
    status: str = "FINISHED",
    tags: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
    params: dict[str, str] | None = None,
    **info: Any,
) -> Run:
    """A run from minute 0 to 9."""
    fields = {"start_time": at(0), "end_time": at(9) if status in ("FINISHED", "FAILED", "KILLED") else None, **info}
    return Run(
        RunInfo("t1", "1", "someone", status, lifecycle_stage="active", **fields),
        RunData(
            [Metric(key, value, at(1), 0) for key, value in (metrics or {}).items()],
            [Param(key, value) for key, value in (params or {}).items()],
            [RunTag(key, value) for key, value in (tags or {}).items()],
        ),
    )


def told(found: Run, rules: Rules | None = None, *, root: str | None = None, is_parent: bool = False) -> list[Event]:
    """Its events in pipeline p."""
    return events_of(found, "p", root, is_parent=is_parent, rules=rules or Rules())


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("SCHEDULED", [NEW]),
        ("RUNNING", [RUNNING]),
        ("FINISHED", [RUNNING, COMPLETE]),
        ("FAILED", [RUNNING, FAILED]),
        ("KILLED", [RUNNING, CANCELED]),
        ("SOMETHING_NEW", [RUNNING]),
    ],
)
def test_states(status: str, states: list[str]) -> None:
    assert [event.state for event in told(run(status))] == states


def test_a_run_that_ended_at_no_time_ended_when_it_started() -> None:
    assert [event.time_ms for event in told(run(end_time=None))] == [at(0), at(0)]


@pytest.mark.parametrize("start_time", [0, -5, 1 << 62])
def test_a_run_from_no_possible_time_is_ignored(start_time: int) -> None:
    assert told(run(start_time=start_time)) == []


def test_values_are_final_and_bounded_and_mlflows_own_tags_stay_its_own() -> None:
    found = run(
        tags={"mlflow.runName": "x", "mlflow.user": "ann", "team": "ads", "node_seconds": "2.5", "mlflow.log": "[]"},
        metrics={"auc": 0.9, "loss": float("nan"), "huge": 1e300, "system/cpu": 3.0},
        params={"depth": "3", "long": "x" * 9000},
    )

    first, last = told(found)

    assert (first.properties, first.node_ms) == ({"owner": "ann"}, None)
    assert last.properties == {"depth": "3", "owner": "ann", "team": "ads", "auc": 0.9}
    assert last.node_ms == 2500


def test_a_pruned_run_says_so() -> None:
    assert told(run("KILLED", {"pruned_by": "p/t1#2"}))[-1].properties == {"pruned_by": "p/t1#2"}


@pytest.mark.parametrize(
    ("type_", "outputs"), [(None, ["t1/model"]), ("Evaluator", []), ("Fit", ["t1/model"]), ("Other", [])]
)
def test_a_tag_names_the_operator_and_a_training_writes_a_model(type_: str | None, outputs: list[str]) -> None:
    rules = Rules(Operators(groups={"Fit": "train"}), type_tag="step")

    last = told(run(tags={"step": type_} if type_ else {}), rules)[-1]

    assert (last.execution_type, [ref.id for ref in last.outputs]) == (type_ or "Trainer", outputs)


def test_a_failed_training_writes_nothing() -> None:
    assert told(run("FAILED"))[-1].outputs == ()


def test_a_parent_at_the_top_is_the_run_itself_and_below_it_a_group() -> None:
    """Told a millisecond earlier than as a training, so that it is the parent whichever was told first."""
    assert [(e.execution_type, e.run, e.time_ms) for e in told(run("RUNNING"), is_parent=True)] == [
        ("PipelineRun", "t1", at(0) - 1)
    ]
    assert [(e.execution_type, e.run, e.time_ms) for e in told(run("RUNNING"), is_parent=True, root="r")] == [
        ("NestedRun", "r", at(0))
    ]


def test_events_are_native_events_whatever_names_hold() -> None:
    events = told(run(tags={"stream_app.operator": "a\x00b", "k\n": "v", "mlflow.user": "u" * 9000}))

    assert as_dicts(decode(orjson.dumps(each)) for each in as_dicts(events)) == as_dicts(events)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "started_ms": "x"}'])
def test_a_cursor_that_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(StateError, match="cursor"):
        Cursor.from_json(text)
