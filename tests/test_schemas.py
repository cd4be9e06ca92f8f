"""The JSON Schemas and the code say the same.

A schema cannot express duplicate keys, size and depth, nor whether a day exists and where a time lies.
Everything else that the decoder refuses the schema refuses, and the other way round.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from stream_app.core.decisions.policy import LEFT_SHARE_MIN, Decision, Policy, Question, hold_out, score_of
from stream_app.core.events import STATES
from stream_app.core.outputs import CONTINUE, PRUNE
from stream_app.errors import MalformedEvent
from stream_app.sources.native import decode
from stream_app.times import EARLIEST_MS, LATEST_MS, text_to_time
from tests.sources.bad_input import BAD_INPUT, VALID, BadInput

SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "schemas").glob("*.schema.json"))
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)

#: The way to a value in a document: keys and indices.
Place = tuple[str | int, ...]

#: What the reason holds when no schema could have given it.
NOT_EXPRESSIBLE = ("appears twice", "expected at most 16,777,216")


def validator(name: str) -> Draft202012Validator:
    """The validator of a schema, which may refer to the others."""
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


EVENT = validator("event")


def _reason(message: bytes) -> str | None:
    try:
        decode(message)
    except MalformedEvent as error:
        return str(error)
    return None


def _outside_the_calendar(document: Any) -> bool:
    """Whether the time has the form of a time and yet is none, or lies outside of the years 1990 to 9998."""
    try:
        return not EARLIEST_MS <= text_to_time(document["time"]) < LATEST_MS
    except ValueError:
        return True


@pytest.mark.parametrize("name", ["event", "example", "finding", "flag", "graphlet", "outcome", "verdict"])
def test_schemas_are_valid_and_so_are_their_examples(name: str) -> None:
    """Each schema conforms to JSON Schema 2020-12 and shows at least one document of its kind."""
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["examples"]
    for example in SCHEMAS[name]["examples"]:
        validator(name).validate(example)


@pytest.mark.parametrize("example", SCHEMAS["event"]["examples"], ids=lambda example: example["execution"]["id"])
def test_examples_of_events_decode(example: dict[str, Any]) -> None:
    """What the schema shows, the decoder takes."""
    assert example["pipeline"] == decode(orjson.dumps(example)).pipeline


_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
_IDS = _NAMES.filter(lambda text: len(text) <= 1024) | st.just("x" * 1024)
_PROPERTIES = st.dictionaries(
    _IDS,
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15),
    max_size=4,
)
_ARTIFACTS = st.lists(
    st.fixed_dictionaries({"id": _IDS, "type": _IDS}, optional={"versioned": st.booleans(), "properties": _PROPERTIES}),
    max_size=3,
)
_OFFSETS = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-23:59"])
_TIMES = st.builds(
    lambda time, offset: time.isoformat() + offset,
    st.datetimes(min_value=datetime(1990, 1, 3), max_value=datetime(9998, 12, 29)),
    _OFFSETS,
)
_NODE_SECONDS = st.floats(0, 1e12) | st.integers(0, 10**12)
VALID_EVENTS = st.fixed_dictionaries(
    {
        "time": _TIMES,
        "pipeline": _IDS,
        "execution": st.fixed_dictionaries(
            {
                "id": _IDS,
                "type": _IDS,
                "state": st.sampled_from(STATES),
            }
        ),
    },
    optional={
        "run": _IDS,
        "inputs": _ARTIFACTS,
        "outputs": _ARTIFACTS,
        "cost": st.fixed_dictionaries({}, optional={"node_seconds": _NODE_SECONDS}),
        "properties": _PROPERTIES,
        "id": _IDS,
        "another field": st.none() | st.lists(st.dictionaries(_NAMES, st.none(), max_size=2), max_size=2),
    },
)


@given(VALID_EVENTS)
def test_valid_events_pass_both(event: dict[str, Any]) -> None:
    """Whatever the schema describes is decoded."""
    EVENT.validate(event)
    assert _reason(orjson.dumps(event)) is None


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    | st.sampled_from(["NEW", "x" * 1025, "\n"])
    | st.sampled_from(["2026-03-01T06:12:40Z", "2026-02-31T06:12:40Z", "0001-01-01T00:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "node_seconds", "versioned", "", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any, trail: Place = ()) -> list[Place]:
    """The way to every value in a document, the document itself first."""
    inner: Any = ()
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [trail, *(place for key, below in inner for place in _places(below, (*trail, key)))]


def _broken(event: Any, place: Place, change: Any) -> Any:
    """The event with the value at a place replaced by another, or left out where `change` is `...`."""
    if not place:
        return None if change is ... else change
    event = copy.deepcopy(event)
    with suppress(KeyError, IndexError, TypeError):  # an earlier change may have taken the place away
        holder = event
        for step in place[:-1]:
            holder = holder[step]
        if change is ...:
            del holder[place[-1]]
        elif isinstance(holder, list) or isinstance(place[-1], str):  # an object has no indices
            holder[place[-1]] = change
    return event


_PLACES = st.sampled_from([*_places(VALID), ("properties", "new"), ("inputs", 0, "properties"), ("cost", "more")])


@given(st.lists(st.tuples(_PLACES, _VALUES | st.just(...)), min_size=1, max_size=2))
def test_broken_events_are_refused_by_both_or_neither(changes: list[tuple[Place, Any]]) -> None:
    """With any value anywhere, or a field left out, decoder and schema agree, but for the calendar."""
    event: Any = VALID
    for place, change in changes:
        event = _broken(event, place, change)
    message = orjson.dumps(event)
    document = orjson.loads(message)  # large integers become doubles, for both

    if EVENT.is_valid(document):
        assert (_reason(message) is not None) == _outside_the_calendar(document)
    else:
        assert _reason(message) is not None


def _is_json(message: bytes) -> bool:
    try:
        orjson.loads(message)
    except orjson.JSONDecodeError:
        return False
    return True


@pytest.mark.parametrize("bad", [bad for bad in BAD_INPUT if _is_json(bad.message)], ids=lambda bad: bad.name)
def test_bad_input_fails_the_schema_where_a_schema_can_tell(bad: BadInput) -> None:
    """Every kind of bad input that is JSON is refused by the schema too, or for what no schema expresses."""
    document = orjson.loads(bad.message)
    reason = _reason(bad.message) or ""

    if any(fragment in reason for fragment in NOT_EXPRESSIBLE):
        assert EVENT.is_valid(document)
    elif EVENT.is_valid(document):
        assert reason.startswith("time: ")
        assert _outside_the_calendar(document)


def _said() -> list[tuple[float, dict[str, Any]]]:
    """What was said at a stage in each example of a schema, with the probability."""
    verdicts = [*SCHEMAS["verdict"]["examples"]]
    flags = [event["data"] for event in SCHEMAS["flag"]["examples"] if "graphlets" in event["data"]]
    # A record says nothing of the draw.
    drawn = {"decision": CONTINUE, "propensity": 1.0}
    verdicts += [{**graphlet, **drawn} for flag in flags for graphlet in flag["graphlets"]]
    stages = [
        stage for example in SCHEMAS["example"]["examples"] for stage in (*example["inherited"], *example["stages"])
    ]
    return [*((verdict["p_push"], verdict) for verdict in verdicts), *((stage["p"], stage) for stage in stages)]


@pytest.mark.parametrize(("p", "said"), _said())
def test_what_examples_say_could_have_been_said(p: float, said: dict[str, Any]) -> None:
    """Scores follow from their parts, guards would have let them through, and only what is flagged is drawn for."""
    assert said["score"] == pytest.approx(score_of(p, said["cost_left"]), rel=0.01)
    assert said["propensity"] == 1.0 or said["decision"] == PRUNE or said.get("holdout", True)
    assert said["cost_left"] > LEFT_SHARE_MIN * (said["cost"] + said["cost_left"])
    if said["decision"] == PRUNE and "threshold" in said:
        held_out = Decision(PRUNE, said["threshold"], None, [])
        hold_out(held_out, Policy(), Question(said["stage"], said["score"], None, False, "p", "s", 0))
        assert said["propensity"] == pytest.approx(held_out.propensity, rel=0.01)
