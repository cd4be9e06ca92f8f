"""The fields that are read are found in any message; what nobody reads costs no event, no memory and no time."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import MalformedEvent
from stream_app.sources import OPENLINEAGE, detect, native, tolerant_json
from stream_app.sources.documents import check, read
from stream_app.sources.openlineage import decode
from stream_app.sources.tolerant_json import MAP, RAW, VALUE, clean, scan
from tests.sources.bad_input import VALID
from tests.sources.openlineage_events import dataset, message, run_event
from tests.sources.openlineage_streams import JUNK

SCHEMA: dict[str, Any] = {"a": VALUE, "b": {"c": VALUE, "d": {"e": VALUE}}, "l": [{"x": VALUE}], "m": MAP}
MEBIBYTE = 1 << 20

TEXTS = st.sampled_from(
    ["a", "b", "c", "d", "e", "l", "m", "x", "", '"', "\\", "é", '{"a":1}', "]]", "\n", "\U0001f600"]
)
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        TEXTS | st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    ),
    max_size=6,
)


def chosen(value: Any, schema: Any) -> Any:
    """What a schema reads of a document, computed from the parsed document."""
    if isinstance(value, dict):
        if schema is MAP:
            return {key: chosen(inner, VALUE) for key, inner in value.items()}
        return (
            {key: chosen(value[key], schema[key]) for key in value if key in schema} if isinstance(schema, dict) else {}
        )
    if isinstance(value, list):
        return [chosen(inner, schema[0]) for inner in value] if isinstance(schema, list) else []
    return value


@given(DOCUMENTS, st.sampled_from([None, 2]), st.booleans())
def test_a_scan_reads_what_a_parser_reads(document: dict[str, Any], indent: int | None, is_ascii: bool) -> None:
    """Of any document, in any layout, the fields of the schema and nothing else; nothing is dropped."""
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)

    assert scan(text.encode(), SCHEMA) == (chosen(document, SCHEMA), 0)


@given(DOCUMENTS, st.sampled_from(sorted(JUNK)))
def test_junk_in_what_nobody_reads_is_dropped_and_counted(document: dict[str, Any], junk: str) -> None:
    """What is read is the same as without it."""
    expected = chosen(document, SCHEMA)
    document = {**document, "z": junk}
    text = json.dumps(document).replace(f'"{junk}"', JUNK[junk]).encode()

    assert scan(text, SCHEMA) == (expected, 1)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\a1 ', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    """Whatever a parser reads, a scan reads; nothing but `MalformedEvent` comes out."""
    try:
        is_object = isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        is_object = False
    with suppress(MalformedEvent):
        assert isinstance(scan(text, SCHEMA)[0], dict)
        return
    assert not is_object or b"a" in text  # a field that is read may appear twice


BRACKETS = st.lists(
    st.sampled_from(["[", "]", "{", "}", '"a"', r'"\""', r'"\\"', '"[{"', "1,", r'"]\\\""']), max_size=40
)


@given(BRACKETS, st.integers(1, 9), st.integers(0, 5))
def test_windows_of_bytes_end_where_single_brackets_do(tokens: list[str], window: int, steps: int) -> None:
    """Strings and escapes may be cut by the end of a window."""
    text = ('{"z":[' + "".join(tokens) + "]" * 60).encode()

    def end_of_brackets() -> tuple[bool, int]:
        scanner = tolerant_json._Scanner(text)
        scanner._at = 5
        try:
            return True, scanner._end_of_brackets()
        except MalformedEvent:
            return False, -1

    expected = end_of_brackets()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tolerant_json, "_TOKENS", steps)
        patch.setattr(tolerant_json, "_WINDOW", window)
        assert end_of_brackets() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": NaN}', "a: the key appears twice"),
        ('{"z": NaN, "l": [{"x": 1}, {"x": 1, "x": 2}]}', "l[1].x: the key appears twice"),
        ('{"m": {"k": 1, "k": 2}}', "m.k: the key appears twice"),
        ('{"\\u0061": 1, "a": 2}', "a: the key appears twice"),
        ("[NaN]", "expected a JSON object, got a list"),
        ("NaN", "expected a JSON object, got NaN"),
        ('{"a": NaN', "not JSON: unexpected end, line 1 column 10"),
        ('{"a": NaN}{}', "not JSON: unexpected content after the document"),
        ('{"a": NaN,}', "not JSON: expected a key"),
        ('{"a": NaN "b": 1}', "not JSON: expected a comma or the end"),
        ('{"l": [NaN,]}', "not JSON: expected a value"),
        ('{"a" NaN}', "not JSON: expected a colon"),
        ('{\n "a": undefined}', 'not JSON: unexpected character, line 2 column 7, at "undefined}", after the key "a"'),
        ('{"z": [1, "}', "not JSON: a string that is not closed"),
        ('{"z": [1', "not JSON: an object, list or string that is not closed"),
    ],
)
def test_what_is_read_must_be_right(text: str, reason: str) -> None:
    """With the place of the fault."""
    with pytest.raises(MalformedEvent) as caught:
        scan(text.encode(), SCHEMA)

    assert reason in str(caught.value)


def test_values_that_are_no_json_are_read_where_they_can_be() -> None:
    """Their reader decides; lone surrogates stand for what is not UTF-8."""
    document, dropped = scan(b'{"a": -Infinity, "l": [{"x": "\\ud800"}, {"x": "\xff\tb"}], "m": {"k": 1e999}}', SCHEMA)

    assert document == {
        "a": float("-inf"),
        "l": [{"x": "\ud800"}, {"x": "\udcff\tb"}],
        "m": {"k": float("inf")},
    }
    assert dropped == 0
    assert clean("é\ud800\udcff") == "é\ufffd\ufffd"


def test_bytes_of_a_value_are_taken_as_they_stand() -> None:
    """So that what is in an envelope is read only once."""
    assert scan(b'{"d":  {"a" : NaN} , "e": 1}', {"d": RAW})[0] == {"d": b'{"a" : NaN}'}


def test_a_usual_message_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With facets that nobody reads, escapes and strings that look like JSON."""
    event = run_event(outputs=[dataset("m", "1", schema={"fields": [{"name": 'a":"b', "type": "é"}]})])
    texts = [message(event), json.dumps(event).encode(), json.dumps(event, indent=2).encode(), orjson.dumps(VALID)]
    monkeypatch.setattr("stream_app.sources.documents.scan", lambda *_: pytest.fail("scanned"))

    for text in texts[:2]:
        assert decode(text) is not None
    assert native.decode(texts[3]).dropped == 0


def test_what_a_parser_drops_is_counted() -> None:
    """A key twice in a part that nobody reads; also deep parts that a parser takes."""
    for part in (b'{"k": 1, "k": 2}', b"[" * 40 + b"]" * 40):
        document = read(b'{"a": 1, "z": %s}' % part, SCHEMA)

        assert document.fields["a"] == 1
        assert check(document, SCHEMA) == 1


LARGE = {
    "open lists": b'{"z":' + b"[" * MEBIBYTE,
    "open objects": b'{"z":' + b'{"a":' * (MEBIBYTE // 5),
    "open lists with strings": b'{"z":[1' + b',[""' * (MEBIBYTE // 4),
    "an open string": b'{"z":"' + b'\\"' * (MEBIBYTE // 2),
    "an open string in a list": b'{"z":["' + b'\\"' * (MEBIBYTE // 2),
    "keys": b"{" + b'"":1,' * (MEBIBYTE // 5) + b'"z":1}',
    "objects that are read": b'{"l":[' + b'{"x":1},' * (MEBIBYTE // 8) + b"1]}",
    "a map": b'{"m":{' + b",".join(b'"%d":1' % number for number in range(MEBIBYTE // 10)) + b"}}",
    "lists": b'{"z":[' + b"[]," * (MEBIBYTE // 3) + b"1]}",
    "spaces": b'{"a":1' + b" " * MEBIBYTE + b"}",
}


@pytest.mark.parametrize("name", LARGE)
def test_steps_do_not_grow_with_what_nobody_reads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large message, few brackets are looked at one by one, and few values are built."""
    steps = itertools.count()
    skip, tokens = tolerant_json._Scanner._skip, tolerant_json._TOKENS

    def counted(scanner: tolerant_json._Scanner) -> bytes:
        next(steps)
        return skip(scanner)

    monkeypatch.setattr(tolerant_json._Scanner, "_skip", counted)
    with suppress(MalformedEvent):
        assert len(scan(LARGE[name], SCHEMA)[0].get("l", ())) <= 10_001
    assert tokens <= 1_000
    assert next(steps) <= 4 * tolerant_json.READ_BYTES // 16


@pytest.mark.parametrize("junk", sorted(JUNK))
def test_both_formats_count_what_they_drop(junk: str) -> None:
    """And read the rest as if it were not there."""
    plain = decode(message(run_event("COMPLETE", outputs=[dataset("m", "1")])))
    event = run_event("COMPLETE", outputs=[dataset("m", "1")])
    event["run"]["facets"]["junk"] = junk
    text = json.dumps(event).replace(f'"{junk}"', JUNK[junk]).encode()
    ours = json.dumps(VALID | {"new": junk}).replace(f'"{junk}"', JUNK[junk]).encode()
    found, own = decode(text), native.decode(ours)

    assert detect(text) == OPENLINEAGE
    assert found is not None
    assert (found, found.dropped) == (plain, 1)
    assert (own, own.dropped) == (native.decode(orjson.dumps(VALID)), 1)


@pytest.mark.parametrize("mebibytes", [2, 15])
def test_a_plan_of_many_mebibytes_is_dropped(mebibytes: int) -> None:
    """Spark's plan facet; what lies behind it is read."""
    event = run_event("COMPLETE", run_facets={"spark.logicalPlan": {"plan": "PLAN"}}, outputs=[dataset("m", "1")])
    node = b'{"class":"org.apache.spark.sql.X","num-children":1,"output":[[{"name":"a"}]]},'
    plan = b"[" + node * (mebibytes * MEBIBYTE // len(node)) + b"1]"
    found = decode(message(event).replace(b'"PLAN"', plan))

    assert found is not None
    assert [artifact.id for artifact in found.outputs] == ["s3://bucket/m@1", "s3://bucket/m"]
    assert found.dropped == 1


def test_an_error_message_with_a_broken_byte_is_kept() -> None:
    """Python escapes what it could not decode."""
    text = json.dumps(run_event("FAIL", run_facets={"errorMessage": {"message": "bad byte \udcff in path"}})).encode()
    found = decode(text)

    assert found is not None
    assert found.properties["error"] == "bad byte \ufffd in path"
