"""Files of events are read message by message, whatever form they have; broken ones are told in one line."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import OptionsError
from stream_app.replay import reading
from stream_app.replay.reading import InputError, MessageReader

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(path: Path, content: bytes) -> list[tuple[bytes, str]]:
    """The messages of a file with this content, each with its line."""
    path.write_bytes(content)
    found = MessageReader([str(path)])
    return [(message, found.place.rpartition(":")[2]) for message in found]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        pytest.param(b'{"a":1}\n{"b":2}\n', [(b'{"a":1}', "1"), (b'{"b":2}', "2")], id="lines"),
        pytest.param(b'{"a":1}\n{"b":2}', [(b'{"a":1}', "1"), (b'{"b":2}', "2")], id="no newline at the end"),
        pytest.param(b'{"a":1}\r\n{"b":2}\r\n', [(b'{"a":1}', "1"), (b'{"b":2}', "2")], id="Windows line ends"),
        pytest.param(b"1\n\n2\n", [(b"1", "1"), (b"", "2"), (b"2", "3")], id="an empty line is a message"),
        pytest.param(b"[1,2]\n", [(b"[1,2]", "1")], id="an array on a line is one message"),
        pytest.param(b"\xff\xfe\n", [(b"\xff\xfe", "1")], id="bad UTF-8 is for the decoder to refuse"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_a_file_of_lines_has_a_message_a_line(tmp_path: Path, content: bytes, messages: list[Any]) -> None:
    """Lines lose their ends and nothing else; each has its number."""
    assert read(tmp_path / "events.jsonl", content) == messages


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        pytest.param(b'{"a":\n 1}\n', [(b'{"a":\n 1}', "1")], id="one document over lines"),
        pytest.param(b'\n\n{"a":\n 1}', [(b'{"a":\n 1}', "3")], id="a document after empty lines"),
        pytest.param(b'{"a":1}\n{"b":2}\n', [(b'{"a":1}', "1"), (b'{"b":2}', "2")], id="lines"),
        pytest.param(b'[{"a":1},{"b":2}]', [(b'{"a":1}', "1"), (b'{"b":2}', "1")], id="an array on one line"),
        pytest.param(
            b'[\n  {"a": 1},\n  {"b":\n    2}\n]\n', [(b'{"a": 1}', "2"), (b'{"b":\n    2}', "3")], id="over lines"
        ),
        pytest.param(b'[{"a":"],[{\\"}"}, 7]', [(b'{"a":"],[{\\"}"}', "1"), (b"7", "1")], id="brackets in strings"),
        pytest.param(b"[1,,2]", [(b"1", "1"), (b"", "1"), (b"2", "1")], id="a missing element is a message"),
        pytest.param(b"[]", [], id="an empty array"),
        pytest.param(b"[1]\n oops", [(b"1", "1"), (b"oops", "2")], id="what follows an array is a message"),
        pytest.param(b" \n\n", [], id="blank"),
    ],
)
def test_a_json_file_may_be_a_document_an_array_or_lines(tmp_path: Path, content: bytes, messages: list[Any]) -> None:
    """Each element of an array is a message as it stands in the text, with the line it begins on."""
    assert read(tmp_path / "events.json", content) == messages


@given(st.lists(_JSON, max_size=8), st.integers(1, 40), st.sampled_from([None, 1]))
def test_an_array_is_cut_where_a_parser_cuts_it(elements: list[Any], chunk: int, indent: int | None) -> None:
    """However small the pieces it is read in: the messages are the elements."""
    text = json.dumps(elements, indent=indent, ensure_ascii=False).encode(errors="replace")
    first, rest = text[:1], io.BytesIO(text[1:])

    class Pieces(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return rest.read(min(size, chunk) if size >= 0 else chunk)

    found = [message for _, message in reading._elements(Pieces(), first, 1)]  # type: ignore[arg-type]

    assert [json.loads(message) for message in found] == json.loads(text)


def test_gzip_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    """Told by its first bytes, so a name without .gz does not matter."""
    packed = gzip.compress(b"[1,\n2]")

    assert read(tmp_path / "events.json.gz", packed) == [(b"1", "1"), (b"2", "2")]
    assert read(tmp_path / "events.jsonl", gzip.compress(b"1\n2\n")) == [(b"1", "1"), (b"2", "2")]


def test_standard_input_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` stands for it, its messages have the place stdin, and its length is not known."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"1\n2\n"))))

    found = MessageReader(["-"])

    assert [(message, found.place) for message in found] == [(b"1", "stdin:1"), (b"2", "stdin:2")]
    assert found.bytes_total is None


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    """Lines are numbered within their file; the bytes add up."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(b"1\n2\n")
    second.write_bytes(b"3\n")

    found = MessageReader([str(first), str(second)])

    assert [(message, found.place) for message in found] == [
        (b"1", f"{first}:1"),
        (b"2", f"{first}:2"),
        (b"3", f"{second}:1"),
    ]
    assert found.bytes_read == found.bytes_total == 6


def test_an_endless_line_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the longest message that is kept; the next line is whole again."""
    monkeypatch.setattr(reading, "MESSAGE_MAX", 10)

    assert read(tmp_path / "events.jsonl", b"x" * 35 + b"\nab\n") == [(b"x" * 10, "1"), (b"ab", "2")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("e.jsonl.gz", gzip.compress(b"1\n" * 5000)[:-20], "cut off gzip data", id="cut off gzip"),
        pytest.param("e.jsonl.gz", b"\x1f\x8b" + b"?" * 40, "gzip data", id="damaged gzip"),
        pytest.param("e.jsonl.gz", b'{"a":1}\n', "is not gzip data", id="gzip by name only"),
        pytest.param("e.jsonl", b"SQLite format 3\0" + b"\0" * 90, "is binary data", id="a database"),
        pytest.param("e.json", b"[1,\n2", "breaks off at line 2", id="an array that never closes"),
        pytest.param("e.json", b'[1,"abc', "breaks off", id="a string that never closes"),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """Whatever was read of it before, a file that breaks off is an error."""
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path / name, content)

    assert str(tmp_path / name) in str(caught.value)


def test_a_value_in_an_array_may_not_be_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be held in memory whole."""
    monkeypatch.setattr(reading, "MESSAGE_MAX", 10)
    monkeypatch.setattr(reading, "_CHUNK", 8)

    with pytest.raises(InputError, match="does not end within"):
        read(tmp_path / "e.json", b"[1," + b"[" * 100)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "no file given"),
        (["-", "-"], "only once"),
        (["missing.jsonl"], "no such file"),
        (["."], "is a directory"),
    ],
)
def test_files_that_cannot_be_read_are_refused_before_anything_is_read(files: list[str], says: str) -> None:
    """The line says what to do."""
    with pytest.raises(OptionsError, match=says):
        MessageReader(files)
