"""CloudEvents are opened in every mode; what is not JSON is named, with what to do."""

from __future__ import annotations

import base64
import gzip
import json

import orjson
import pytest

from stream_app.errors import MalformedEvent
from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES, detect
from stream_app.sources.envelopes import foreign_format, opened
from tests.sources.bad_input import VALID
from tests.sources.openlineage_events import message, run_event

MESSAGES = {NATIVE: orjson.dumps(VALID), OPENLINEAGE: message(run_event())}
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/airflow", "type": "io.openlineage.event", "time": "noon"}


def structured(source: str, form: str) -> bytes:
    """An event in an envelope."""
    data = MESSAGES[source]
    if form == "object":
        return orjson.dumps(ATTRIBUTES | {"datacontenttype": "application/json", "data": orjson.loads(data)})
    if form == "text":
        return json.dumps(ATTRIBUTES | {"data": data.decode()}).encode()
    encode = base64.encodebytes if form == "base64 in lines" else base64.b64encode
    return orjson.dumps({"data_base64": encode(data).decode()} | ATTRIBUTES)


@pytest.mark.parametrize("source", [NATIVE, OPENLINEAGE])
@pytest.mark.parametrize("form", ["object", "text", "base64", "base64 in lines"])
def test_structured_mode_is_opened(source: str, form: str) -> None:
    """The format is that of the data."""
    envelope = structured(source, form)

    assert detect(envelope) == source
    assert SOURCES[source](envelope, None) == SOURCES[source](MESSAGES[source], None)


@pytest.mark.parametrize("source", [NATIVE, OPENLINEAGE])
def test_binary_mode_and_a_byte_order_mark_need_nothing(source: str) -> None:
    """The message is the event itself."""
    for text in (MESSAGES[source], b"\xef\xbb\xbf" + MESSAGES[source], b" \n" + MESSAGES[source] + b"\n"):
        assert detect(text) == source
        assert SOURCES[source](text, None) == SOURCES[source](MESSAGES[source], None)


def test_what_costs_nothing_in_an_event_costs_nothing_in_an_envelope() -> None:
    """Junk in the data, and beside it."""
    event = orjson.dumps(VALID | {"new": 1}).replace(b'"new":1', b'"new":[NaN]')
    envelope = b'{"odd": [NaN], "data": %s, "specversion": "1.0"}' % event

    assert SOURCES[NATIVE](envelope, None) == SOURCES[NATIVE](MESSAGES[NATIVE], None)


def test_a_field_of_this_name_is_no_envelope() -> None:
    """In properties, or of another type."""
    for event in (VALID | {"properties": {"specversion": "1.0"}}, VALID | {"specversion": 1}):
        text = orjson.dumps(event)

        assert opened(text) == text
        assert SOURCES[NATIVE](text, None) is not None


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        ({}, "data: missing, expected the event as the data of the CloudEvent"),
        ({"data": None}, "data: missing, expected the event as the data of the CloudEvent"),
        ({"data_base64": "%%"}, 'data_base64: expected base64, got "%%"'),
        ({"data_base64": 7}, "data_base64: expected base64, got 7"),
        ({"data": 7}, "expected a JSON object, got 7"),
        ({"data": {}}, "time: missing"),
        ({"data_base64": base64.b64encode(gzip.compress(b"{}")).decode()}, "compressed with gzip"),
    ],
)
def test_an_envelope_without_an_event_is_refused(envelope: dict[str, object], reason: str) -> None:
    """With what is wrong in it."""
    text = orjson.dumps(ATTRIBUTES | envelope)

    assert detect(text) == NATIVE
    with pytest.raises(MalformedEvent) as caught:
        SOURCES[NATIVE](text, None)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (b"a\x7f", "run: expected no control characters"),
        (b"a\xc2\x85", "run: expected no control characters"),
        (b"a\\n", "run: expected no control characters"),
        (b"a" * 1025, "run: expected at most 1,024 characters"),
    ],
    ids=["DEL", "C1", "escaped", "over-long"],
)
@pytest.mark.parametrize("enclosed", [False, True], ids=["alone", "in base64"])
def test_base64_hides_nothing(run: bytes, reason: str, enclosed: bool) -> None:
    """What an id may not hold is refused in an envelope as outside of one."""
    small = {"time": VALID["time"], "pipeline": "p", "run": "r", "execution": VALID["execution"]}
    text = orjson.dumps(small).replace(b'"r"', b'"%s"' % run)
    if enclosed:
        text = orjson.dumps({"specversion": "1.0", "data_base64": base64.b64encode(text).decode()})

    with pytest.raises(MalformedEvent, match=reason):
        SOURCES[NATIVE](text, None)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"\0\0\0\0\x07\x02\x06ads", "framed for a Schema Registry (schema 7)"),
        (b"\0\0\0\0\x07" + MESSAGES[NATIVE], "framed for a Schema Registry (schema 7)"),
        (b"Obj\x01\x04\x14avro.codec", "an Avro object container file"),
        (b"\xc3\x01" + bytes(8) + b"\x06ads", "an Avro single-object message"),
        (b"\x0a\x03ads\x12\x05train\x18\x07", "perhaps a Protobuf message"),
        (b"\x08\x96\x01\x15\0\0\0\0", "perhaps a Protobuf message"),
        (b"\x80\x01\x00\x01\0\0\0\x04ping", "a Thrift message (binary protocol)"),
        (b"\x82\x21\x01\x04ping", "a Thrift message (compact protocol)"),
        (b"\x0b\x00\x01\0\0\0\x03ads\0", "a Thrift struct"),
        (gzip.compress(MESSAGES[NATIVE]), "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd"),
        (b"\x82SNAPPY\x00\0\0\0\x01", "compressed with snappy"),
        (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy"),
        (b"\x04\x22\x4d\x18\x64", "compressed with lz4"),
        (MESSAGES[NATIVE].decode().encode("utf-16"), "UTF-16"),
        (MESSAGES[NATIVE].decode().encode("utf-16-be"), "UTF-16"),
        (MESSAGES[NATIVE].decode().encode("utf-16-le"), "UTF-16"),
        (MESSAGES[NATIVE].decode().encode("utf-32"), "UTF-32"),
        (b"\xac\xed\x00\x05sr\x00", "a serialized Java object"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ],
)
@pytest.mark.parametrize("source", [NATIVE, OPENLINEAGE])
def test_another_format_is_named(text: bytes, name: str, source: str) -> None:
    """And its sender learns what to send."""
    assert detect(text) == NATIVE
    with pytest.raises(MalformedEvent) as caught:
        SOURCES[source](text, None)
    assert str(caught.value).startswith(f"{name}")
    assert "which is not read here: " in str(caught.value)
    assert "JSON" in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"hello", b"\n{", b"\n", b'\n{"a": 1,}', b"\x08", b"\x0a\xff", bytes(64), b"{'a'}"]
)
def test_other_text_is_no_format(text: bytes) -> None:
    """It is broken JSON."""
    assert foreign_format(text) is None
