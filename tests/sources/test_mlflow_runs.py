"""How a run of MLflow is read, and how far a cursor remembers, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

from stream_app.alerts.sinks.hooks.mlflow import TAG
from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING, Event
from stream_app.core.operators import Operators
from stream_app.errors import StateError
from stream_app.sources.mlflow import Cursor, Rules
from stream_app.sources.mlflow.roles import role_of
from stream_app.sources.mlflow.runs import events_of, own_node_ms
from stream_app.sources.native import decode
from tests.sources.final_graphlets import as_dicts
from tests.support.builders import MINUTE, at


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


def told(found: Run, rules: Rules | None = None, root: str | None = None, **known: Any) -> list[Event]:
    """Its events in pipeline p, from what is known of it."""
    rules = rules or Rules()
    events_know = {key: known.pop(key) for key in ("resumed", "is_unknown") if key in known}
    role = role_of(found, rules, **{"is_parent": False, "is_registered": False, "in_search": False, **known})
    return events_of(found, "p", root, role, rules, **events_know)


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
    for tag in ("pruned_by", TAG):
        assert told(run("KILLED", {tag: "p/t1#2"}))[-1].properties == {"pruned_by": "p/t1#2"}


@pytest.mark.parametrize(
    ("type_", "outputs"), [(None, ["t1/model"]), ("Evaluator", []), ("Fit", ["t1/model"]), ("Other", [])]
)
def test_a_tag_names_the_operator_and_a_training_writes_a_model(type_: str | None, outputs: list[str]) -> None:
    rules = Rules(Operators(groups={"Fit": "train"}), type_tag="step")

    last = told(run(tags={"step": type_} if type_ else {}), rules)[-1]

    assert (last.execution_type, [ref.id for ref in last.outputs]) == (type_ or "Trainer", outputs)


def test_a_failed_training_writes_nothing_unless_its_model_was_logged_or_registered() -> None:
    logged = {"mlflow.log-model.history": "[{}]"}

    assert told(run("FAILED"))[-1].outputs == ()
    assert [ref.id for ref in told(run("FAILED", logged))[-1].outputs] == ["t1/model"]
    assert [ref.id for ref in told(run("FAILED"), is_registered=True)[-1].outputs] == ["t1/model"]
    assert [ref.id for ref in told(run("RUNNING"), is_registered=True)[-1].outputs] == ["t1/model"]


def test_a_parent_without_a_model_is_the_run_itself_and_below_another_one_a_group() -> None:
    """Its type is reported before the one that it has as a training, so that it holds whichever was found first."""
    above, below = told(run("RUNNING"), is_parent=True), told(run("RUNNING", CHILD), root="r", is_parent=True)

    assert [(e.execution_type, e.run, e.state, e.time_ms - at(0)) for e in above] == [
        ("PipelineRun", "t1", NEW, -1),
        ("PipelineRun", "t1", RUNNING, 0),
    ]
    assert {(e.execution_type, e.run) for e in below} == {("NestedRun", "r")}
    assert [
        told(run(), is_parent=True)[-1].node_ms,
        told(run(tags={"node_seconds": "3"}), is_parent=True)[-1].node_ms,
    ] == [
        0,
        3000,
    ]


CHILD = {"mlflow.parentRunId": "above"}
MODEL = {"mlflow.log-model.history": "[{}]"}

#: What is known of a run, in the order in which it may become known, and the type that it has then.
ROLES: list[tuple[dict[str, str], dict[str, bool], str]] = [
    ({}, {}, "Trainer"),
    ({}, {"is_parent": True}, "NestedRun"),
    (MODEL, {"is_parent": True}, "Trainer"),
    (MODEL, {"is_parent": True, "in_search": True}, "Tuner"),
    (MODEL, {"is_parent": True, "in_search": True, "is_registered": True}, "Trainer"),
]


@pytest.mark.parametrize("first", range(len(ROLES)))
def test_what_is_known_later_is_the_type_whichever_was_reported_first(first: int) -> None:
    """The core takes the type of an execution from its earliest event."""
    for tags, known, type_ in ROLES[first:]:
        earlier = told(run(tags={**CHILD, **ROLES[first][0]}), root="above", **ROLES[first][1])
        later = told(run(tags={**CHILD, **tags}), root="above", **known)
        earliest = min((*earlier, *later), key=lambda event: event.time_ms)

        assert earliest.execution_type == type_
        assert {event.time_ms for event in (*earlier, *later) if event.state == RUNNING} == {at(0)}


@pytest.mark.parametrize(
    ("tags", "known", "type_"),
    [
        (CHILD, {"in_search": True}, "Tuner"),
        (CHILD, {"in_search": True, "is_registered": True}, "Trainer"),
        (CHILD, {"in_search": True, "is_parent": True}, "Tuner"),
        ({**CHILD, "stream_app.operator": "Evaluator"}, {"in_search": True}, "Evaluator"),
        ({**CHILD, "stream_app.operator": "Trainer"}, {"in_search": True}, "Trainer"),
        ({**MODEL, "stream_app.operator": "Sweep"}, {"is_parent": True}, "PipelineRun"),
        ({}, {"is_parent": True, "is_registered": True}, "Trainer"),
        ({**CHILD, **MODEL}, {"is_parent": True}, "Trainer"),
        (CHILD, {"is_parent": True}, "NestedRun"),
    ],
)
def test_roles(tags: dict[str, str], known: dict[str, bool], type_: str) -> None:
    assert told(run(tags=tags), **known)[-1].execution_type == type_


def test_a_trial_writes_what_its_search_reads() -> None:
    trial, search = told(run(tags=CHILD), in_search=True), told(run(tags=MODEL), is_parent=True)
    registered = told(run("RUNNING", CHILD), in_search=True, is_registered=True)

    assert [ref.id for event in registered for ref in event.outputs] == ["above/trials", "t1/model"]
    assert [ref.id for event in trial for ref in event.outputs] == ["above/trials"]
    assert [ref.id for event in search for ref in event.inputs] == ["t1/trials"]


def test_a_resumed_run_failed_between() -> None:
    """Its server keeps the first end until the second; what ran is the cost, not the time between."""
    events = told(run(), resumed=[(at(2), at(7))])

    assert [(event.state, event.time_ms) for event in events] == [
        (RUNNING, at(0)),
        (FAILED, at(2)),
        (RUNNING, at(7)),
        (COMPLETE, at(9)),
    ]
    assert own_node_ms(events, [], 2) == 2 * 4 * MINUTE


def test_the_runs_in_a_search_are_not_counted_twice() -> None:
    """Some run at once, and one outlasts the search."""
    events = told(run())

    assert own_node_ms(events, [(at(1), at(3)), (at(2), at(4)), (at(8), at(20))], 1) == 5 * MINUTE


def test_a_training_whose_outcome_is_unknown_says_so() -> None:
    for each in told(run(), is_unknown=True):
        assert each.properties == {"label_unknown": True}
    assert (
        told(run(tags={"stream_app.operator": "Evaluator"}), is_unknown=True)[-1].properties.get("label_unknown")
        is None
    )


def test_events_are_native_events_whatever_names_hold() -> None:
    events = told(run(tags={"stream_app.operator": "a\x00b", "k\n": "v", "mlflow.user": "u" * 9000}))

    assert as_dicts(decode(orjson.dumps(each)) for each in as_dicts(events)) == as_dicts(events)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 3}', b'{"version": 1, "started_ms": "x"}']
)
def test_a_cursor_that_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(StateError, match="cursor"):
        Cursor.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("started_ms", 3e37),
        ("versions_ms", "7"),
        ("open", {"r": 1.5}),
        ("said", {"r": [2e20, "digest"]}),
        ("resumed", {"r": [[1, None]]}),
        ("pushes", {"m": [True, 1]}),
        ("named", {"m": []}),
    ],
)
def test_a_number_that_no_pass_wrote_is_refused(field: str, value: object) -> None:
    """It would end the next pass, or could not be written again."""
    with pytest.raises(StateError, match="cursor that cannot be read"):
        Cursor.from_json(orjson.dumps({**orjson.loads(Cursor().to_json()), field: value}))


def test_a_cursor_of_the_first_version_is_read_as_an_empty_one() -> None:
    old = (
        b'{"version": 1, "started_ms": 5, "ended_ms": 5, "open": {}, "said": {}, "parents": [], "pushed": {"m@a": "1"}}'
    )

    assert Cursor.from_json(old) == Cursor()


def test_a_cursor_is_kept_whole() -> None:
    cursor = Cursor(
        1,
        2,
        3,
        {"a": 4},
        {"a": (5, "x")},
        ["b"],
        ["c"],
        ["d"],
        {"a": [(6, 7)]},
        {"m/1@c": (8, 9)},
        {"m/1@c": 8},
        ["@x"],
    )

    assert Cursor.from_json(cursor.to_json()) == cursor
