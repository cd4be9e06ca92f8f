"""The native decoder: every field arrives, what may be left out may be, and time is bounded where asked."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from stream_app.core.events import STATES, ArtifactRef, Event
from stream_app.errors import MalformedEvent
from stream_app.sources.native import MAX_ARTIFACTS, MAX_ID, MAX_PROPERTIES, MAX_TEXT, decode
from tests.sources.bad_input import VALID, with_field

SMALLEST: dict[str, Any] = {
    "time": "2026-03-01T06:12:40Z",
    "pipeline": "ads",
    "execution": {"id": "train-1", "type": "Trainer", "state": "NEW"},
}
TIME_MS = 1_772_345_560_000


def _decode(event: dict[str, Any], latest_ms: int | None = None) -> Event:
    return decode(orjson.dumps(event), latest_ms)


def test_every_field_arrives() -> None:
    """An event with all fields becomes the core's event with all of them."""
    expected = Event(
        time_ms=TIME_MS + 250,
        pipeline="ads",
        execution_id="train-1",
        execution_type="Trainer",
        state="COMPLETE",
        run="ads-1",
        inputs=(ArtifactRef("examples-1", "Examples", {}, versioned=False),),
        outputs=(ArtifactRef("model-1", "Model", {"size_mb": 412.5}),),
        node_ms=14_400_000,
        properties={"owner": "ads", "auc": 0.8, "epochs": 3, "warm_start": True},
        id="e-1",
    )

    assert expected == _decode(VALID)


def test_three_fields_are_enough() -> None:
    """What is not required has the core's defaults."""
    assert Event(TIME_MS, "ads", "train-1", "Trainer", "NEW") == _decode(SMALLEST)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_known(state: str) -> None:
    """The six states of ML Metadata are accepted."""
    assert state == _decode(with_field("execution.state", state)).state


def test_unknown_fields_are_ignored() -> None:
    """A newer sender's fields change nothing, on any level."""
    newer = json.loads(json.dumps(VALID))
    newer["region"] = {"name": "eu", "zones": [1, [2, {"a": None}]]}
    newer["execution"]["attempt"] = 2
    newer["inputs"][0]["uri"] = "gs://bucket/examples"
    newer["cost"]["gpu_seconds"] = None

    assert _decode(VALID) == _decode(newer)


@pytest.mark.parametrize("indent", [None, 0, 4])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\r\n", "\t:\n ")])
def test_layout_does_not_matter(indent: int | None, separators: tuple[str, str]) -> None:
    """Spaces between the tokens, before a colon too, change nothing."""
    assert _decode(VALID) == decode(json.dumps(VALID, indent=indent, separators=separators).encode())


@pytest.mark.parametrize("text", ['":', '" :', '{"a":1,"a":2}', ":::", "a\\", '"', "[[[[", "[" * 40, 'owner": "x'])
def test_strings_that_look_like_json_are_strings(text: str) -> None:
    """What stands in a string is no duplicate key and no nesting."""
    event = with_field("pipeline", text)
    event["properties"] = {text: text}

    decoded = _decode(event)

    assert (text, {text: text}) == (decoded.pipeline, decoded.properties)


def test_text_of_any_script_passes() -> None:
    """Ids are Unicode; escapes and the characters they stand for are the same id."""
    event = with_field("pipeline", "広告-é-🚀-\u00a0-\u200b")

    assert decode(json.dumps(event).encode()) == _decode(event)
    assert event["pipeline"] == _decode(event).pipeline


def test_limits_are_inclusive() -> None:
    """An event exactly at each limit passes."""
    event = with_field("pipeline", "é" * MAX_ID)
    event["inputs"] = [{"id": str(index), "type": "Examples"} for index in range(MAX_ARTIFACTS)]
    event["properties"] = {str(index): 1e15 for index in range(MAX_PROPERTIES - 1)} | {"note": "x" * MAX_TEXT}
    event["cost"] = {"node_seconds": 1e12}
    message = orjson.dumps(event).ljust(1 << 20)

    decoded = decode(message)

    assert (
        len(decoded.pipeline),
        len(decoded.inputs),
        len(decoded.properties),
        decoded.node_ms,
    ) == (MAX_ID, MAX_ARTIFACTS, MAX_PROPERTIES, 10**15)


def test_thirty_two_levels_pass() -> None:
    """Nesting is counted from the event itself."""
    nested: Any = 0
    for _ in range(31):
        nested = [nested]

    assert _decode(SMALLEST) == _decode(SMALLEST | {"extra": nested})


def test_lists_may_be_empty() -> None:
    """Empty lists and objects say what leaving them out says."""
    assert _decode(SMALLEST) == _decode(SMALLEST | {"inputs": [], "outputs": [], "properties": {}, "cost": {}})


@pytest.mark.parametrize(
    ("node_seconds", "node_ms"),
    [("0", 0), ("-0.0", 0), ("1.5", 1500), ("0.0005", 0), ("0.0015", 2), ("0.0025", 2), ("1E2", 100_000)],
)
def test_node_seconds_become_whole_milliseconds(node_seconds: str, node_ms: int) -> None:
    """Halves go to the even neighbour."""
    message = orjson.dumps(with_field("cost.node_seconds", 14400)).replace(b"14400", node_seconds.encode())

    assert node_ms == decode(message).node_ms


def test_an_event_may_not_be_later_than_the_bound() -> None:
    """The bound itself passes; a millisecond more does not, and without a bound any year up to 9998 does."""
    assert _decode(SMALLEST, TIME_MS).time_ms == TIME_MS
    with pytest.raises(MalformedEvent, match=r"time: expected a time not after 2026-03-01T06:12:39\.999Z"):
        _decode(SMALLEST, TIME_MS - 1)
    assert _decode(SMALLEST | {"time": "9998-12-31T23:59:59.999Z"}).time_ms > TIME_MS


def test_the_first_moment_of_1990_passes() -> None:
    """Times are instants: an offset that puts the year before 1990 does not make it too early."""
    assert _decode(SMALLEST | {"time": "1989-12-31T20:00:00-04:00"}).time_ms == 631_152_000_000
