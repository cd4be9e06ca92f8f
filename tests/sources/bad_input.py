"""Messages that are no events, each with a part of the reason its sender is given.

The native decoder refuses every one of them; whoever reads events must put them with the dead letters and
go on.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

#: A valid event with every field; the table below breaks it in one place at a time.
VALID: dict[str, Any] = {
    "time": "2026-03-01T06:12:40.250Z",
    "pipeline": "ads",
    "run": "ads-1",
    "execution": {"id": "train-1", "type": "Trainer", "state": "COMPLETE"},
    "inputs": [{"id": "examples-1", "type": "Examples", "versioned": False}],
    "outputs": [{"id": "model-1", "type": "Model", "properties": {"size_mb": 412.5}}],
    "cost": {"node_seconds": 14400},
    "properties": {"owner": "ads", "auc": 0.8, "epochs": 3, "warm_start": True},
    "id": "e-1",
}

_MISSING = object()


class BadInput(NamedTuple):
    name: str
    message: bytes
    #: Part of the reason.
    reason: str


def with_field(path: str, value: Any) -> dict[str, Any]:
    """The valid event with one field, given by a path such as `outputs.0.id`, set to a value."""
    event: dict[str, Any] = json.loads(json.dumps(VALID))
    *holders, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = event
    for step in holders:
        holder = holder[step]
    if value is _MISSING:
        del holder[last]
    else:
        holder[last] = value
    return event


def _field(path: str, value: Any, reason: str, name: str = "") -> BadInput:
    return BadInput(f"{path} {name or json.dumps(value)}", json.dumps(with_field(path, value)).encode(), reason)


def _missing(path: str) -> BadInput:
    return BadInput(f"{path} missing", json.dumps(with_field(path, _MISSING)).encode(), f"{path}: missing")


_WHOLE = json.dumps(VALID).encode()


def _replaced(name: str, old: str, new: bytes, reason: str) -> BadInput:
    assert _WHOLE.count(old.encode()) == 1
    return BadInput(name, _WHOLE.replace(old.encode(), new), reason)


_NOT_AN_EVENT = [
    BadInput("empty", b"", "empty message"),
    BadInput("only spaces", b" \n\t", "empty message"),
    BadInput("not JSON", b"hello", "not JSON"),
    BadInput("null", b"null", "expected a JSON object, got null"),
    BadInput("a number", b"17", "expected a JSON object, got 17"),
    BadInput("a string", b'"event"', 'expected a JSON object, got "event"'),
    BadInput("a list of events", b"[" + _WHOLE + b"]", "expected a JSON object, got a list"),
    BadInput("an empty object", b"{}", "time: missing"),
    BadInput("two objects", _WHOLE + _WHOLE, "not JSON"),
    BadInput("cut off", _WHOLE[:200], "not JSON"),
    BadInput("a trailing comma", _WHOLE[:-1] + b",}", "not JSON"),
    BadInput("single quotes", _WHOLE.replace(b'"', b"'"), "not JSON"),
    BadInput("a comment", b"/* event */" + _WHOLE, "not JSON"),
    BadInput("UTF-16", _WHOLE.decode().encode("utf-16"), "UTF-16, which is not read here: send it as JSON in UTF-8"),
    BadInput("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "compressed with gzip, which is not read here"),
    BadInput("zero bytes", bytes(64), "not JSON"),
    BadInput("over 16 MiB", _WHOLE.ljust((16 << 20) + 1), "expected at most 16,777,216"),
    _replaced("bad UTF-8", '"ads-1"', b'"\xff"', "run: expected text in UTF-8"),
    _replaced("an overlong encoding", '"ads-1"', b'"\xc0\xaf"', "run: expected text in UTF-8"),
    _replaced("a surrogate in UTF-8", '"ads-1"', b'"\xed\xa0\x80"', "run: expected text in UTF-8"),
    _replaced("a lone surrogate", '"ads-1"', b'"\\ud800"', "run: expected text in UTF-8"),
    _replaced("a raw control character", '"ads-1"', b'"a\x01"', "run: expected no control characters"),
    _replaced("a raw DEL", '"ads-1"', b'"a\x7f"', "run: expected no control characters"),
    _replaced("a raw C1 control", '"ads-1"', b'"a\xc2\x85"', "run: expected no control characters"),
    _replaced("NaN", "0.8", b"NaN", "properties.auc: expected a number from -1e15 to 1e15, got NaN"),
    _replaced("Infinity", "14400", b"Infinity", "cost.node_seconds: expected a number from 0 to 1e12, got Infinity"),
    _replaced("beyond a double", "412.5", b"1e400", "size_mb: expected a number from -1e15 to 1e15, got Infinity"),
    _replaced("a number of 400 digits", "412.5", b"9" * 400, "size_mb: expected a number from -1e15 to 1e15"),
    _replaced("a hexadecimal number", "14400", b"0x10", 'after the key "node_seconds"'),
]

_STRUCTURE = [
    BadInput("2,000 levels", b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "time: missing"),
    BadInput("100,000 levels, open", b"[" * 100_000, "expected a JSON object, got a list"),
    BadInput("100,000 levels in an object, open", b'{"a":' + b"[" * 100_000, "not JSON: an object, list or string"),
    _replaced("a deep property", "0.8", b"[" * 2000 + b"]" * 2000, "properties.auc: expected a string, a number"),
    _replaced(
        "pipeline twice",
        '"pipeline": ',
        b'"pipeline": "other", "pipeline": ',
        "pipeline: the key appears twice",
    ),
    _replaced(
        "time twice, alike",
        '"time"',
        b'"time": "2026-03-01T06:12:40.250Z", "time"',
        "time: the key appears twice",
    ),
    _replaced("state twice", '"state"', b'"state" : "NEW", "state"', "execution.state: the key appears twice"),
    _replaced("cost twice", '"cost"', b'"cost":{},"cost"', "cost: the key appears twice"),
    _replaced(
        "node_seconds twice",
        '"node_seconds"',
        b'"node_seconds":1,"node_seconds"',
        "cost.node_seconds: the key",
    ),
    _replaced("artifact id twice", '"id": "model-1"', b'"id":"m","id":"model-1"', "outputs[0].id: the key appears"),
    _replaced("property twice", '"auc"', b'"auc"\n:0,"auc"', "properties.auc: the key appears twice"),
    _replaced("property twice, escaped", '"auc"', b'"a\\u0075c":0,"auc"', "properties.auc: the key appears twice"),
    _replaced(
        "property twice beside a string that looks like a key",
        '"owner"',
        b'"note":"\\":","owner":0,"owner"',
        "properties.owner: the key appears twice",
    ),
]

_TIMES = [
    _missing("time"),
    _field("time", None, "time: expected an RFC 3339 time"),
    _field("time", 1_772_345_560_250, "time: expected an RFC 3339 time"),
    _field("time", "", "time: expected an RFC 3339 time"),
    _field("time", "yesterday", 'an RFC 3339 time, such as 2026-03-01T12:34:56Z, got "yesterday"'),
    _field("time", "2026-03-01", "time: expected an RFC 3339 time"),
    _field("time", "2026-03-01 06:12:40Z", "time: expected an RFC 3339 time"),
    _field("time", "2026-02-30T06:12:40Z", "time: expected an RFC 3339 time"),
    _field("time", "2026-03-01T24:00:00Z", "time: expected an RFC 3339 time"),
    _field("time", "2026-03-01T06:12:61Z", "time: expected an RFC 3339 time"),
    _field("time", "2026-03-01T06:12:40+0100", "time: expected an RFC 3339 time"),
    _field("time", "2026-03-01T06:12:40Z\n", "time: expected an RFC 3339 time"),
    _field("time", "٢٠٢٦-03-01T06:12:40Z", "time: expected an RFC 3339 time"),
    _field("time", "1989-12-31T23:59:59.999Z", "time: expected a time in 1990 or after"),
    _field("time", "9999-12-31T23:59:59Z", "time: expected a time before the year 9999"),
]

_IDS = [
    bad
    for path in ("pipeline", "execution.id", "execution.type", "inputs.0.id", "outputs.0.type", "run", "id")
    for shown in [path.replace(".0", "[0]")]
    for bad in (
        _field(path, 7, f"{shown}: expected a non-empty string, got 7"),
        _field(path, None, f"{shown}: expected a non-empty string, got null"),
        _field(path, ["a"], f"{shown}: expected a non-empty string, got a list"),
        _field(path, "", f'{shown}: expected a non-empty string, got ""'),
        _field(path, "é" * 1025, f"{shown}: expected at most 1,024 characters, got 1,025", "over-long"),
        _field(path, "a\nb", f"{shown}: expected no control characters"),
        _field(path, "a\x7f", f"{shown}: expected no control characters"),
        _field(path, "a\x85b", f"{shown}: expected no control characters"),
    )
]

_FIELDS = [
    _missing("pipeline"),
    _missing("execution"),
    _missing("execution.id"),
    _missing("execution.type"),
    _missing("execution.state"),
    _field("execution", "train-1", 'execution: expected an object, got "train-1"'),
    _field("execution", [], "execution: expected an object, got a list"),
    _field(
        "execution.state",
        "DONE",
        'execution.state: expected one of NEW, RUNNING, COMPLETE, FAILED, CANCELED, CACHED, got "DONE"',
    ),
    _field("execution.state", "complete", "execution.state: expected one of"),
    _field("execution.state", 3, "execution.state: expected one of"),
    _field("execution.state", ["NEW"], "execution.state: expected one of"),
    _field("inputs", None, "inputs: expected a list of artifacts, got null"),
    _field("inputs", {"id": "a"}, "inputs: expected a list of artifacts, got an object"),
    _field("inputs", ["examples-1"], 'inputs[0]: expected an object, got "examples-1"'),
    _field("inputs", [{"id": "a"}], "inputs[0].type: missing"),
    _field("inputs", [{"id": "a", "type": "T"}, {"type": "T"}], "inputs[1].id: missing"),
    _field("inputs", [{"id": "a", "type": "T"}] * 10_001, "inputs: expected at most 10,000", "too many"),
    _field("inputs.0.versioned", "no", 'inputs[0].versioned: expected true or false, got "no"'),
    _field("inputs.0.versioned", None, "inputs[0].versioned: expected true or false, got null"),
    _field("outputs", "model-1", 'outputs: expected a list of artifacts, got "model-1"'),
    _field("outputs.0.properties", [], "outputs[0].properties: expected an object, got a list"),
    _field("outputs.0.properties", {"a": {}}, "outputs[0].properties.a: expected a string, a number, true or"),
    _field("cost", 3, "cost: expected an object, got 3"),
    _field("cost", None, "cost: expected an object, got null"),
    _field("cost.node_seconds", "3", 'cost.node_seconds: expected a number from 0 to 1e12, got "3"'),
    _field("cost.node_seconds", True, "cost.node_seconds: expected a number from 0 to 1e12, got true"),
    _field("cost.node_seconds", None, "cost.node_seconds: expected a number from 0 to 1e12, got null"),
    _field("cost.node_seconds", -0.5, "cost.node_seconds: expected a number from 0 to 1e12, got -0.5"),
    _field("cost.node_seconds", 1e308, "cost.node_seconds: expected a number from 0 to 1e12, got 1e+308"),
    _field("cost.node_seconds", 10**12 + 1, "cost.node_seconds: expected a number from 0 to 1e12"),
    _field("cost.node_seconds", 10**30, "cost.node_seconds: expected a number from 0 to 1e12"),
    _field("properties", "owner=ads", "properties: expected an object"),
    _field("properties.auc", None, "properties.auc: expected a string, a number, true or false, got null"),
    _field("properties.auc", [0.8], "properties.auc: expected a string, a number, true or false, got a list"),
    _field("properties.auc", {"mean": 0.8}, "properties.auc: expected a string, a number, true or false"),
    _field("properties.auc", 1e308, "properties.auc: expected a number from -1e15 to 1e15, got 1e+308"),
    _field("properties.auc", 10**15 + 1, "properties.auc: expected a number from -1e15 to 1e15"),
    _field("properties.auc", -(10**16), "properties.auc: expected a number from -1e15 to 1e15"),
    _field("outputs.0.properties.size_mb", 1e300, "outputs[0].properties.size_mb: expected a number from -1e15"),
    _field("properties.note", "x" * 8193, "properties.note: expected at most 8,192 characters", "over-long"),
    _field("properties", {"": 1}, "properties: expected a non-empty string as the name of each property"),
    _field("properties", {"a\tb": 1}, "properties: the name of a property: expected no control characters"),
    _field(
        "properties",
        {"a" * 1025: 1},
        "properties: the name of a property: expected at most 1,024",
        "over-long",
    ),
    _field("properties", {f"p{i}": i for i in range(1001)}, "properties: expected at most 1,000", "too many"),
]

BAD_INPUT: list[BadInput] = [*_NOT_AN_EVENT, *_STRUCTURE, *_TIMES, *_IDS, *_FIELDS]
