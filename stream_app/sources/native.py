"""The native event (docs/events.md, schemas/event.schema.json): one JSON object, checked field by field.

An event returned from here is valid; the core does not check it again. Fields that this version does not know are
not read, so that senders may be newer than the detector. In `properties` all keys are the sender's.

The usual message (ASCII, no escapes, at most 1,024 bytes) cannot hold a control character or an over-long id. The two
checks for these, which read every string, are made only for other messages.
"""

from __future__ import annotations

from typing import Any

from stream_app.core.events import STATES, ArtifactRef, Event, Properties
from stream_app.errors import MalformedEvent
from stream_app.sources.documents import check, read
from stream_app.sources.strict_json import shown
from stream_app.sources.tolerant_json import MAP, VALUE, clean
from stream_app.times import EARLIEST_MS, LATEST_MS, text_to_time, time_to_text

#: Characters in an id, a type or the name of a property, and in the text of a property.
MAX_ID = 1_024
MAX_TEXT = 8_192
#: Entries of `inputs`, of `outputs`, and of one `properties`.
MAX_ARTIFACTS = 10_000
MAX_PROPERTIES = 1_000
#: Numbers in properties lie within plus and minus this; doubles are exact integers up to here.
MAX_NUMBER = 1e15
MAX_NODE_SECONDS = 1e12

_ID = "a non-empty string"
_NUMBER = f"a number from -{MAX_NUMBER:.0e} to {MAX_NUMBER:.0e}".replace("+", "")
_NODE_SECONDS = f"a number from 0 to {MAX_NODE_SECONDS:.0e}".replace("+", "")
_TIME = "an RFC 3339 time, such as 2026-03-01T12:34:56Z"
_STATE = "one of " + ", ".join(STATES)
_STATES = frozenset(STATES)
_ARTIFACTS = [{"id": VALUE, "type": VALUE, "properties": MAP, "versioned": VALUE}]
#: What is read.
_FIELDS = {
    "time": VALUE,
    "pipeline": VALUE,
    "run": VALUE,
    "execution": {"id": VALUE, "type": VALUE, "state": VALUE},
    "inputs": _ARTIFACTS,
    "outputs": _ARTIFACTS,
    "cost": {"node_seconds": VALUE},
    "properties": MAP,
    "id": VALUE,
}


def decode(message: bytes, latest_ms: int | None = None) -> Event:
    """Reads the event in a message.

    Parameters
    ----------
    message
        One JSON object in UTF-8, or a CloudEvent of structured mode whose data is one.
    latest_ms
        The latest time that it may bear, in ms since 1970 UTC; None for no bound but the year 9999.

    Returns
    -------
    Event
        The event.

    Raises
    ------
    MalformedEvent
        With a reason that names the field and says what is expected there.
    """
    read_message = read(message, _FIELDS)
    document = read_message.fields
    time_ms = time_of(document, "time", latest_ms)
    pipeline = _id(document, "pipeline")
    execution = document.get("execution")
    if type(execution) is not dict:
        raise wrong(document, "execution", "an object")
    execution_id = _id(execution, "id", "execution.")
    execution_type = _id(execution, "type", "execution.")
    state = execution.get("state")
    if type(state) is not str or state not in _STATES:
        raise wrong(execution, "state", _STATE, "execution.")
    keys = len(document) + len(execution)
    run = _id(document, "run") if "run" in document else None
    inputs: tuple[ArtifactRef, ...] = ()
    outputs: tuple[ArtifactRef, ...] = ()
    properties: Properties = {}
    node_ms = None
    if "inputs" in document:
        inputs, count = _artifacts(document, "inputs")
        keys += count
    if "outputs" in document:
        outputs, count = _artifacts(document, "outputs")
        keys += count
    if "cost" in document:
        node_ms = _node_ms(document)
        keys += len(document["cost"])
    if "properties" in document:
        properties = properties_of(document)
        keys += len(properties)
    sender_id = _id(document, "id") if "id" in document else None
    dropped = check(read_message, _FIELDS, keys)
    event = Event(time_ms, pipeline, execution_id, execution_type, state, run, inputs, outputs, node_ms, properties)
    event.id, event.dropped = sender_id, dropped
    text = read_message.message  # an envelope may hide in base64 what is looked for here
    if read_message.dropped is not None or len(text) > MAX_ID or 0x5C in text or 0x7F in text or not text.isascii():
        _check_strings(event)
    return event


def time_of(document: dict[str, Any], key: str, latest_ms: int | None) -> int:
    """The time in a field, in ms since 1970 UTC. Raises MalformedEvent unless it is within bounds."""
    text = document.get(key)
    if type(text) is not str:
        raise wrong(document, key, _TIME)
    try:
        time_ms = text_to_time(text)
    except ValueError:
        raise wrong(document, key, _TIME) from None
    return check_time(document, key, time_ms, latest_ms)


def check_time(document: dict[str, Any], key: str, time_ms: int, latest_ms: int | None) -> int:
    """The time, unless it is not within bounds. Raises MalformedEvent."""
    if time_ms < EARLIEST_MS:
        raise wrong(document, key, "a time in 1990 or after")
    if latest_ms is not None and time_ms > latest_ms:
        raise wrong(document, key, f"a time not after {time_to_text(latest_ms)}")
    if time_ms >= LATEST_MS:
        raise wrong(document, key, "a time before the year 9999")
    return time_ms


def _id(holder: dict[str, Any], key: str, prefix: str = "") -> str:
    value = holder.get(key)
    if type(value) is not str or not value:
        raise wrong(holder, key, _ID, prefix)
    return value


def _artifacts(document: dict[str, Any], field: str) -> tuple[tuple[ArtifactRef, ...], int]:
    """The artifacts of a list, and the number of keys in it."""
    entries = document[field]
    if type(entries) is not list:
        raise wrong(document, field, "a list of artifacts")
    if len(entries) > MAX_ARTIFACTS:
        raise MalformedEvent(f"{field}: expected at most {MAX_ARTIFACTS:,} artifacts, got {len(entries):,}")
    keys = 0
    artifacts: list[ArtifactRef] = []
    for entry in entries:
        if type(entry) is not dict:
            raise MalformedEvent(f"{field}[{len(artifacts)}]: expected an object, got {shown(entry)}")
        artifact_id, artifact_type = entry.get("id"), entry.get("type")
        if type(artifact_id) is not str or not artifact_id:
            raise wrong(entry, "id", _ID, f"{field}[{len(artifacts)}].")
        if type(artifact_type) is not str or not artifact_type:
            raise wrong(entry, "type", _ID, f"{field}[{len(artifacts)}].")
        keys += len(entry)
        if len(entry) == 2:
            artifacts.append(ArtifactRef(artifact_id, artifact_type, {}))
            continue
        prefix = f"{field}[{len(artifacts)}]."
        properties: Properties = {}
        if "properties" in entry:
            properties = properties_of(entry, prefix)
            keys += len(properties)
        versioned = entry.get("versioned", True)
        if type(versioned) is not bool:
            raise wrong(entry, "versioned", "true or false", prefix)
        artifacts.append(ArtifactRef(artifact_id, artifact_type, properties, versioned))
    return tuple(artifacts), keys


def _node_ms(document: dict[str, Any]) -> int | None:
    cost = document["cost"]
    if type(cost) is not dict:
        raise wrong(document, "cost", "an object")
    if "node_seconds" not in cost:
        return None
    seconds = cost["node_seconds"]
    if (type(seconds) is not float and type(seconds) is not int) or not 0 <= seconds <= MAX_NODE_SECONDS:
        raise wrong(cost, "node_seconds", _NODE_SECONDS, "cost.")
    return round(seconds * 1000)


def properties_of(holder: dict[str, Any], prefix: str = "") -> Properties:
    """The field `properties`, flat and with numbers in range; `check_properties` checks its texts.

    Raises MalformedEvent.
    """
    properties = holder["properties"]
    if type(properties) is not dict:
        raise wrong(holder, "properties", "an object", prefix)
    if len(properties) > MAX_PROPERTIES:
        raise MalformedEvent(f"{prefix}properties: expected at most {MAX_PROPERTIES:,}, got {len(properties):,}")
    for value in properties.values():
        kind = type(value)
        if kind is str or kind is bool:
            continue
        if kind is not int and kind is not float:
            expected = "a string, a number, true or false"
        elif not -MAX_NUMBER <= value <= MAX_NUMBER:
            expected = _NUMBER
        else:
            continue
        key = next(key for key, other in properties.items() if other is value)
        raise wrong(properties, key, expected, f"{prefix}properties.")
    if "" in properties:
        raise MalformedEvent(f"{prefix}properties: expected {_ID} as the name of each property, got an empty one")
    return properties


def _check_strings(event: Event) -> None:
    """Refuses over-long strings, and control characters in ids, types and names of properties."""
    check_id("pipeline", event.pipeline)
    check_id("execution.id", event.execution_id)
    check_id("execution.type", event.execution_type)
    if event.run is not None:
        check_id("run", event.run)
    if event.id is not None:
        check_id("id", event.id)
    check_properties("properties", event.properties)
    for field, artifacts in (("inputs", event.inputs), ("outputs", event.outputs)):
        for index, artifact in enumerate(artifacts):
            check_id(f"{field}[{index}].id", artifact.id)
            check_id(f"{field}[{index}].type", artifact.type)
            if artifact.properties:
                check_properties(f"{field}[{index}].properties", artifact.properties)


def check_properties(path: str, properties: Properties) -> None:
    """Refuses over-long texts, and control characters in names of properties. Raises MalformedEvent.

    Lone surrogates in texts are replaced in place.
    """
    for name, value in properties.items():
        check_id(f"{path}: the name of a property", name)
        if type(value) is str:
            if len(value) > MAX_TEXT:
                field = f"{path}.{shown(name)[1:-1]}"
                raise MalformedEvent(f"{field}: expected at most {MAX_TEXT:,} characters, got {len(value):,}")
            properties[name] = clean(value)


def check_id(path: str, value: str) -> None:
    """Refuses an over-long text, and one with control characters or lone surrogates. Raises MalformedEvent."""
    if len(value) > MAX_ID:
        raise MalformedEvent(f"{path}: expected at most {MAX_ID:,} characters, got {len(value):,}")
    if value.isprintable():
        return
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in value):
        raise MalformedEvent(f"{path}: expected no control characters, got {shown(value)}")
    if clean(value) != value:
        raise MalformedEvent(f"{path}: expected text in UTF-8, got {shown(value)}")


def wrong(holder: dict[str, Any], key: str, expected: str, prefix: str = "") -> MalformedEvent:
    """The error of a field, with its path and what is expected there."""
    path = prefix + (key if key.isidentifier() and len(key) < 80 else shown(key))
    if key not in holder:
        return MalformedEvent(f"{path}: missing, expected {expected}")
    return MalformedEvent(f"{path}: expected {expected}, got {shown(holder[key])}")
