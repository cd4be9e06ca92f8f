"""Bad OpenLineage events are refused with the name of the field; nothing but `MalformedEvent` ever comes out."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources import OPENLINEAGE, detect, native
from stream_app.sources.openlineage import decode
from stream_app.wire import event_to_dict
from tests.sources.bad_input import BAD_INPUT, BadInput
from tests.sources.openlineage_events import dataset, message, run_event

VALID = run_event(
    "COMPLETE",
    parent=("r1", "vision"),
    root=("r0", "vision"),
    inputs=[dataset("a", "1")],
    outputs=[dataset("m", streamApp_artifact={"type": "Model", "properties": {"auc": 0.9}})],
    run_facets={"streamApp_execution": {"nodeSeconds": 5, "properties": {"loss": 0.1}}},
)
RUN_FACET, ARTIFACT = "run.facets.streamApp_execution", "outputs.0.facets.streamApp_artifact"
TEXTS = ("run.runId", "job.namespace", "job.name", "inputs.0.name", "inputs.0.namespace", "outputs.0.name")
PARENTS = ("run.facets.parent.run.runId", "run.facets.parent.root.run.runId")

BYTES = [
    bad
    for bad in BAD_INPUT
    if bad.reason.startswith(
        ("empty", "not JSON", "UTF-16", "compressed", "expected a JSON", "expected at most 16,777")
    )
]


def with_field(path: str, value: Any) -> dict[str, Any]:
    """The valid event with one field, given by a path, set to a value; `...` takes it away."""
    event: dict[str, Any] = json.loads(json.dumps(VALID))
    *holders, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = event
    for step in holders:
        holder = holder[step]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return event


def get(event: Any, path: str) -> Any:
    """The value at a path."""
    for step in path.split("."):
        event = event[int(step) if step.isdigit() else step]
    return event


def shown(path: str) -> str:
    """A path as reasons write it."""
    return path.replace(".0", "[0]")


def refused(event: dict[str, Any] | bytes) -> str:
    """The reason why something is no event."""
    with pytest.raises(MalformedEvent) as caught:
        decode(event if isinstance(event, bytes) else message(event))
    reason = str(caught.value)
    assert reason.isprintable()
    assert len(reason) < 320
    return reason


def test_the_table_starts_from_a_valid_event() -> None:
    """Otherwise every case would be refused for the same reason."""
    assert isinstance(decode(message(VALID)), Event)


@pytest.mark.parametrize("bad", BYTES, ids=lambda bad: bad.name)
def test_what_is_no_json_object_is_refused(bad: BadInput) -> None:
    """The bytes are looked at as those of native events are."""
    assert bad.reason in refused(bad.message)


@pytest.mark.parametrize("path", ["run", "job", "eventTime", "run.runId", "job.name", "job.namespace", "inputs.0.name"])
def test_what_is_missing_is_named(path: str) -> None:
    """Without a run, a job or a time there is no event."""
    assert refused(with_field(path, ...)).startswith(f"{shown(path)}: missing")


@pytest.mark.parametrize(
    "path",
    [
        "eventTime", "eventType", "run", "run.runId", "run.facets.parent.run.runId", "job", "job.name", "inputs",
        "inputs.0.name", "inputs.0.facets.version.datasetVersion", f"{RUN_FACET}.nodeSeconds", f"{ARTIFACT}.type",
    ],
)  # fmt: skip
def test_what_is_read_appears_once(path: str) -> None:
    """Which of two values holds, no one can say."""
    holder, _, last = path.rpartition(".")
    twice = json.dumps(with_field(f"{holder}.AGAIN".lstrip("."), 0)).replace("AGAIN", last)

    reason = refused(twice.encode())

    assert reason == f"{shown(path)}: the key appears twice in its object, expected once"


@pytest.mark.parametrize("path", TEXTS)
@pytest.mark.parametrize("value", [None, 7, ["a"], "", "a\nb", "a\x7f", "é" * 1025], ids=repr)
def test_ids_are_text(path: str, value: Any) -> None:
    """Of 1 to 1,024 characters, without control characters."""
    assert refused(with_field(path, value)).startswith(f"{shown(path)}: expected ")


@pytest.mark.parametrize("path", TEXTS[:3])
@pytest.mark.parametrize("value", ["${json-unit.any-string}", "{{ any(result) }}", "run-{{ ts }}", "x${env}"])
def test_no_run_is_keyed_by_a_placeholder(path: str, value: str) -> None:
    """What a template left unfilled would join everything that ever bore it."""
    reason = refused(with_field(path, value))

    assert reason.startswith(f"{path}: expected a ")
    assert "placeholder of a template" in reason


@pytest.mark.parametrize("path", PARENTS)
@pytest.mark.parametrize("value", [None, 7, ["a"], "", "a\nb", "é" * 1025, "{{ ts }}", "x${env}"], ids=repr)
def test_a_malformed_run_above_is_passed_over(path: str, value: Any) -> None:
    """The event stays, in the run that the other one names."""
    other = PARENTS[PARENTS.index(path) - 1]
    event = decode(message(with_field(path, value)))

    assert event is not None
    assert event.run == get(VALID, other)
    assert event.dropped > 0


@pytest.mark.parametrize("parent", [None, "r1", [], {}, {"run": None}, {"_producer": "p"}, {"run": {}, "job": 7}])
def test_without_a_run_above_there_is_no_run(parent: Any) -> None:
    """Half a facet is no reason to lose the event."""
    event = decode(message(with_field("run.facets.parent", parent)))

    assert event is not None
    assert (event.run, event.pipeline) == (None, "prod/vision")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("eventType", "DONE"),
        ("eventType", 7),
        ("eventType", ["START"]),
        ("eventType", "start"),
        ("eventTime", "${json-unit.any-string}"),
        ("eventTime", 1_772_345),
        ("eventTime", True),
        ("eventTime", ["2026-03-01T06:00:00Z"]),
        ("eventTime", "2026-03-01"),
        ("eventTime", "2026-03-01T06:00:00[Mars/Olympus]"),
        ("eventTime", 1e300),
        ("eventTime", "1989-12-31T23:59:59Z"),
        ("eventTime", "9999-12-31T23:59:59.123456+00:00"),
        ("eventTime", "2026-03-01T06:00:00.12x456+00:00"),
        ("run", "r1"),
        ("job", ["vision"]),
        ("inputs", {"name": "a"}),
        ("inputs", "a"),
        ("inputs", ["a"]),
        ("outputs", [[]]),
        (f"{RUN_FACET}.operatorGroup", "training"),
        (f"{RUN_FACET}.operatorGroup", ["train"]),
        (f"{RUN_FACET}.nodeSeconds", -1),
        (f"{RUN_FACET}.nodeSeconds", "5"),
        (f"{RUN_FACET}.nodeSeconds", True),
        (f"{RUN_FACET}.nodeSeconds", 1e13),
        (f"{RUN_FACET}.codeVersion", 7),
        (f"{RUN_FACET}.prunedBy", ""),
        (f"{RUN_FACET}.properties", "auc=1"),
        (f"{RUN_FACET}.properties.auc", [1]),
        (f"{RUN_FACET}.properties.auc", 1e300),
        (f"{ARTIFACT}.type", 7),
        (f"{ARTIFACT}.blessed", 1),
        (f"{ARTIFACT}.pushed", "yes"),
        (f"{ARTIFACT}.span", 1.5),
        (f"{ARTIFACT}.properties.note", "x" * 8193),
        ("outputs.0.facets.version", {"datasetVersion": "a\nb"}),
    ],
)
def test_the_wrong_field_is_named(path: str, value: Any) -> None:
    """This project's own facets are as strict as its events; standard ones only where they identify."""
    assert refused(with_field(path, value)).startswith(shown(path))


def test_lists_and_names_are_bounded() -> None:
    """No event makes 10,001 edges, and no id outgrows what a native event may hold."""
    assert "at most 10,000 datasets" in refused(with_field("inputs", [{"namespace": "n", "name": "a"}] * 10_001))
    assert refused(with_field("inputs", [dataset("é" * 600, "v" * 600)])).startswith("inputs[0].name: expected at most")
    alone = run_event(namespace="é" * 1020)
    assert refused(alone).startswith("job.name: expected a name whose pipeline")
    many = {f"p{index}": index for index in range(1000)}
    assert "at most 1,000 properties" in refused(with_field(f"{RUN_FACET}.properties", many))


def test_a_run_event_without_its_run_is_no_job_event() -> None:
    """It has a type, or its schema says that it is one."""
    bare = with_field("run", ...)
    del bare["eventType"]

    assert refused(bare).startswith("run: missing")
    bare["schemaURL"] = "https://openlineage.io/spec/1-0-0/OpenLineage.json#/definitions/JobEvent"
    assert decode(message(bare)) is None


def test_broken_openlineage_is_still_openlineage() -> None:
    """The reason then speaks of the fields that its sender knows."""
    assert detect(message(with_field("job", 7))) == OPENLINEAGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    *TEXTS, *PARENTS, "run.facets", "run.facets.parent", "run.facets.parent.root", "job.facets", "inputs", "outputs",
    "inputs.0", "inputs.0.facets", "inputs.0.facets.version", "outputs.0.facets", RUN_FACET, f"{RUN_FACET}.properties",
    ARTIFACT, f"{ARTIFACT}.properties", "eventType", "eventTime", "run", "job",
]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_an_event_or_has_a_reason(path: str, value: Any) -> None:
    """And what is an event stays one on its way through Kafka in its native form."""
    text = json.dumps(with_field(path, value), ensure_ascii=False).encode()
    try:
        event = decode(text)
    except MalformedEvent:
        return
    if event is not None:
        assert native.decode(orjson.dumps(event_to_dict(event))) == event
