"""Files of events are read message by message, whatever form they have; broken ones are told in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zlib
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
        pytest.param(b"\n1\n\n \t\r\n2\n\n", [(b"1", "2"), (b"2", "5")], id="blank lines hold nothing"),
        pytest.param(b'{"a":1},\n{"b":2},\n', [(b'{"a":1}', "1"), (b'{"b":2}', "2")], id="a comma ends each line"),
        pytest.param(b"[oops\n[1, 2 \n", [(b"[oops", "1"), (b"[1, 2 ", "2")], id="a bracket begins no array"),
        pytest.param(
            b'{"a":"}{"}\n{"a" }{', [(b'{"a":"}{"}', "1"), (b'{"a" }', "2"), (b"{", "2")], id="braces in text"
        ),
        pytest.param(b"\xff\xfe\n", [(b"\xff\xfe", "1")], id="bad UTF-8 is for the decoder to refuse"),
        pytest.param(b"", [], id="empty"),
    ],
)
def test_a_file_of_lines_has_a_message_a_line(tmp_path: Path, content: bytes, messages: list[Any]) -> None:
    """Lines lose their ends and nothing else; each has its number."""
    assert read(tmp_path / "events.jsonl", content) == messages


TWO = [(b'{"a": 1}', "1"), (b'{"b": {}}', "1")]


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        pytest.param(b'{"a": 1}{"b": {}}\n{"c": 3}\n', [*TWO, (b'{"c": 3}', "2")], id="objects without a newline"),
        pytest.param(b'{"a": 1} {"b": {}}', TWO, id="objects between spaces"),
        pytest.param(b'{"a": 1}\r{"b": {}}\r', [TWO[0], (b'{"b": {}}', "1")], id="line ends of old Macs"),
        pytest.param(b'[{"a": 1}, {"b": {}}]\n', TWO, id="an array on a line"),
        pytest.param(b'[{"a": 1}]\n[]\n[{"b": {}}]\n', [TWO[0], (TWO[1][0], "3")], id="an array on each line"),
        pytest.param(b'[\n{"a": 1},\n{"b": {}}\n]\n', [(TWO[0][0], "2"), (TWO[1][0], "3")], id="an array of lines"),
        pytest.param(
            b'{\n "a": "}{"\n}\n{\n "b": [\n{}]\n}\n',
            [(b'{\n "a": "}{"\n}', "1"), (b'{\n "b": [\n{}]\n}', "4")],
            id="documents over lines",
        ),
    ],
)
@pytest.mark.parametrize("name", ["events.jsonl", "events.json", "events.log"])
def test_the_content_tells_the_form(tmp_path: Path, name: str, content: bytes, messages: list[Any]) -> None:
    """Whatever the name says: collectors leave newlines out, exporters write arrays, `jq` writes over lines."""
    assert read(tmp_path / name, content) == messages
    assert read(tmp_path / name, gzip.compress(content)) == messages


@pytest.mark.parametrize("content", [b'[{"a": 1},\n {"b": {}}]', b'{\n"a": 1\n}\n{\n"b": {}}'])
def test_standard_input_may_be_an_array_or_documents(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """It has no name that would tell."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))

    assert [json.loads(message) for message in MessageReader(["-"])] == [{"a": 1}, {"b": {}}]


@given(st.lists(st.dictionaries(st.text(), _JSON), max_size=8), st.integers(1, 40), st.sampled_from([None, 1]))
def test_documents_are_cut_where_a_parser_cuts_them(documents: list[Any], chunk: int, indent: int | None) -> None:
    """However small the pieces they are read in."""
    text = b"".join(json.dumps(each, indent=indent, ensure_ascii=False).encode(errors="replace") for each in documents)
    rest = io.BytesIO(text[1:])

    class Pieces(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return rest.read(min(size, chunk) if size >= 0 else chunk)

    found = [message for _, message in reading._documents(Pieces(), text[:1], 1)]  # type: ignore[arg-type]

    assert b"".join(found) == text.strip()
    assert len(found) == len(documents)


def test_a_line_of_objects_may_be_longer_than_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Firehose writes them: only each of the objects is bounded."""
    monkeypatch.setattr(reading, "MESSAGE_MAX", 20)
    objects = [b'{"a":%d}' % number for number in range(10, 60)]

    assert [message for message, _ in read(tmp_path / "e.jsonl", b"".join(objects) + b"\n")] == objects


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
        pytest.param(b"[1]\n oops", [(b"1", "1"), (b" oops", "2")], id="what follows an array is a message"),
        pytest.param(b" \n\n", [], id="blank"),
    ],
)
def test_a_json_file_may_be_a_document_an_array_or_lines(tmp_path: Path, content: bytes, messages: list[Any]) -> None:
    """Each element of an array is a message as it stands in the text, with the line it begins on."""
    assert read(tmp_path / "events.json", content) == messages


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("content", "messages"),
    [
        pytest.param(
            b'[{"a":NaN}]\n[{"b":1},{"c":2}]\n\n{"d":3}\n',
            [(b'{"a":NaN}', "1"), (b'{"b":1}', "2"), (b'{"c":2}', "2"), (b'{"d":3}', "4")],
            id="lines with arrays, of which the first is odd",
        ),
        pytest.param(
            b'[\n{"a":1}\n]\n[\n{"b":2}]\n[{"c":\n3}]{"d":4}\n{"e":5}',
            [(b'{"a":1}', "2"), (b'{"b":2}', "5"), (b'{"c":\n3}', "6"), (b'{"d":4}', "7"), (b'{"e":5}', "8")],
            id="arrays over lines",
        ),
        pytest.param(b'[{"a":1}], x\ny\n', [(b'{"a":1}', "1"), (b", x", "1"), (b"y", "2")], id="what is no event"),
    ],
)
def test_what_follows_an_array_is_read_as_another_text(
    tmp_path: Path, content: bytes, messages: list[Any], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Message by message with its line, however much was read at once."""
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    monkeypatch.setattr(reading, "_FIRST_CHUNK", chunk)

    assert read(tmp_path / "events.jsonl", content) == messages


def test_nothing_behind_an_array_is_lost(tmp_path: Path) -> None:
    """Whatever its size: one odd event at the beginning costs itself alone."""
    line = b'[{"a": "%s"}]\n' % (b"x" * 1000)

    assert len(read(tmp_path / "events.jsonl", b'[{"a": NaN}]\n' + line * 3000)) == 3001


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


def read_off(path: Path, content: bytes) -> tuple[list[bytes], list[str]]:
    """The messages of a file that breaks off, and its faults."""
    path.write_bytes(content)
    found = MessageReader([str(path)])
    return list(found), found.faults


LINES = b"".join(b'{"a":%d}\n' % number for number in range(5000))


@pytest.mark.parametrize("kept", [-9, -20, 200])
def test_what_comes_before_the_cut_of_an_archive_is_read(tmp_path: Path, kept: int) -> None:
    """To the last whole line: half a line is none. The fault says after which."""
    archive = gzip.compress(LINES)[:kept]

    messages, faults = read_off(tmp_path / "e.jsonl.gz", archive)

    before = zlib.decompressobj(31).decompress(archive)
    assert messages == before.splitlines()[: before.count(b"\n")] != []
    assert faults == [f"{tmp_path / 'e.jsonl.gz'}:{len(messages)}: the gzip archive is cut off after this line"]


def test_the_last_line_before_a_cut_may_be_whole_without_its_end(tmp_path: Path) -> None:
    """Then it is a message."""
    messages, faults = read_off(tmp_path / "e.jsonl.gz", gzip.compress(b'{"a":1}\n{"b":2}')[:-8])

    assert messages == [b'{"a":1}', b'{"b":2}']
    assert len(faults) == 1


def test_the_files_after_one_that_breaks_off_are_read(tmp_path: Path) -> None:
    """One fault a file."""
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"
    first.write_bytes(gzip.compress(b"1\n2\n")[:-8])
    second.write_bytes(b"3\n")

    found = MessageReader([str(first), str(second)])

    assert (list(found), len(found.faults)) == ([b"1", b"2", b"3"], 1)
    assert found.bytes_read == found.bytes_total


@pytest.mark.parametrize(
    ("name", "content", "messages", "says"),
    [
        pytest.param(
            "e.jsonl.gz",
            b"\x1f\x8b" + b"?" * 40,
            [],
            ": the gzip archive is damaged before the end of its first line",
            id="damaged from its beginning",
        ),
        pytest.param(
            "e.jsonl.gz",
            gzip.compress(b"1\n2\n") + b"oops",
            [b"1", b"2"],
            ":2: other data follows the end of the gzip archive after this line",
            id="something else follows",
        ),
        pytest.param("e.json", b"[1,\n2", [b"1"], "breaks off at line 2", id="an array that never closes"),
        pytest.param("e.json", b'[1,"abc', [b"1"], "breaks off", id="a string that never closes"),
        pytest.param(
            "e.json.gz", gzip.compress(b"[1,\n2,\n3]")[:-8], [b"1", b"2", b"3"], ":3: the gzip", id="a cut array"
        ),
        pytest.param("e.json.gz", gzip.compress(b"[1,\n2,\n3")[:-8], [b"1", b"2"], ":2: the gzip", id="an array cut"),
        pytest.param("e.json.gz", gzip.compress(b'{"a":\n 1')[:-8], [], "the gzip archive is cut", id="a cut document"),
    ],
)
def test_a_file_that_breaks_off_is_told_with_its_place(
    tmp_path: Path, name: str, content: bytes, messages: list[bytes], says: str
) -> None:
    """What came before is read."""
    found, faults = read_off(tmp_path / name, content)

    assert found == messages
    assert len(faults) == 1
    assert faults[0].startswith(str(tmp_path / name))
    assert says in faults[0]


def test_what_comes_before_damage_is_read(tmp_path: Path) -> None:
    """Also in the same piece of the archive; the check sum at its end comes after all."""
    archive = gzip.compress(LINES)
    damaged = archive[:-8] + b"\0\0\0\0" + archive[-4:]

    messages, faults = read_off(tmp_path / "e.jsonl.gz", damaged)

    assert messages == LINES.splitlines()
    assert faults == [f"{tmp_path / 'e.jsonl.gz'}:{len(messages)}: the gzip archive is damaged after this line"]


def test_a_line_before_damage_that_is_no_json_is_for_the_decoder(tmp_path: Path) -> None:
    """Only the last line may be half of one."""
    archive = gzip.compress(b'oops\n{"a":NaN}\n{"b":')[:-8]

    assert read_off(tmp_path / "e.jsonl.gz", archive)[0] == [b"oops", b'{"a":NaN}']


@pytest.mark.parametrize("padding", [b"", b"\0" * 700])
def test_archives_that_were_appended_are_one(tmp_path: Path, padding: bytes) -> None:
    """As log rotation does; zero bytes between them are padding."""
    archive = padding.join(gzip.compress(b'{"a":%d}\n' % number) for number in range(3)) + padding

    assert read_off(tmp_path / "e.jsonl.gz", archive) == ([b'{"a":0}', b'{"a":1}', b'{"a":2}'], [])


TEXT = '{"time": "2026-03-01T00:00:00Z", "pipeline": "größe"}\r\n'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(TEXT.encode("utf-16"), "is text in UTF-16LE (Windows PowerShell writes it)", id="UTF-16"),
        pytest.param(b"\xfe\xff" + TEXT.encode("utf-16-be"), "is text in UTF-16BE", id="UTF-16, big end first"),
        pytest.param(TEXT.encode("utf-16-le"), "`iconv -f UTF-16LE -t UTF-8 ", id="UTF-16 without a mark"),
        pytest.param(TEXT.encode("utf-16-be"), "`iconv -f UTF-16BE -t UTF-8 ", id="UTF-16, big, without a mark"),
        pytest.param(TEXT.encode("utf-32"), "is text in UTF-32LE", id="UTF-32"),
        pytest.param(b"PK\x03\x04\x14\0\0", "is a zip archive; `unzip -p ", id="zip"),
        pytest.param(bz2.compress(TEXT.encode()), "is compressed with bzip2; `bzcat ", id="bzip2"),
        pytest.param(lzma.compress(TEXT.encode()), "is compressed with xz; `xzcat ", id="xz"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04\x88\x01", "is compressed with zstd; `zstdcat ", id="zstd"),
        pytest.param(b"PAR1\x15\0\x15\x10", "is a Parquet file; write its rows as JSON lines", id="Parquet"),
        pytest.param(b"Obj\x01\x04\x14avro.codec\0", "is an Avro file", id="Avro"),
        pytest.param(b"e.jsonl" + b"\0" * 250 + b"ustar\0" + b"\0" * 200, "is a tar archive", id="tar"),
        pytest.param(b"SQLite format 3\0" + b"\0" * 90, "is a database of SQLite", id="SQLite"),
        pytest.param(b"\0\0\0\0\x2a{}", "is framed for a Schema Registry (schema 42)", id="Schema Registry"),
        pytest.param(b"\x7fELF\x02\x01\x01\0", "is binary data", id="something else"),
    ],
)
@pytest.mark.parametrize("name", ["e.jsonl", "e.json"])
def test_a_file_that_is_no_text_in_utf8_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """The line says how to get at the text."""
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content)

    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (TEXT.encode("utf-16"), "convert it: `zcat {} | iconv -f UTF-16LE -t UTF-8 > utf8.jsonl`"),
        (b"PK\x03\x04\x14\0\0", "is a zip archive, gzipped; unpack it with gunzip first"),
        (gzip.compress(b"1"), "is gzipped twice; `zcat {} | stream-app replay -`"),
        (b"e.jsonl" + b"\0" * 250 + b"ustar\0" + b"\0" * 200, "`tar -xOf {} | stream-app replay -`"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_text_in_an_archive_is_named(tmp_path: Path, content: bytes, says: str, size: int) -> None:
    """The command takes it out of the archive first; of archives that were appended, the first may hold one byte."""
    archives = [gzip.compress(content[start : start + size]) for start in range(0, len(content), size)]
    with pytest.raises(InputError) as caught:
        read(tmp_path / "e.jsonl.gz", b"".join(archives))

    assert says.format(tmp_path / "e.jsonl.gz") in str(caught.value)


def test_a_file_that_is_gzip_by_its_name_alone_is_refused(tmp_path: Path) -> None:
    """Somebody has unpacked it already, or packed it otherwise."""
    with pytest.raises(InputError, match="is not gzip data, although its name"):
        read(tmp_path / "e.jsonl.gz", b'{"a":1}\n')


@pytest.mark.parametrize("line", [b"BZh, he said", b"PAR1 is a word", b"ORCs"])
def test_text_that_begins_like_an_archive_is_text(tmp_path: Path, line: bytes) -> None:
    """It is for the decoder to refuse."""
    assert read(tmp_path / "e.jsonl", line + b"\n") == [(line, "1")]


@pytest.mark.parametrize("name", ["e.jsonl", "e.json"])
def test_the_mark_of_utf8_is_not_part_of_the_text(tmp_path: Path, name: str) -> None:
    """Editors on Windows write it."""
    assert read(tmp_path / name, b'\xef\xbb\xbf{"a":1}\n') == [(b'{"a":1}', "1")]


def test_a_store_is_read_in_the_order_of_the_files(tmp_path: Path) -> None:
    """Its messages are numbered; its place has no password."""
    (tmp_path / "e.jsonl").write_bytes(b"1\n")
    address = "mysql+pymysql://reader:secret@host/metadb"

    found = MessageReader(
        [address, str(tmp_path / "e.jsonl")], lambda name: iter([b"a", b"b"]) if name == address else None
    )

    assert [(message, found.place) for message in found] == [
        (b"a", "mysql+pymysql://host/metadb:1"),
        (b"b", "mysql+pymysql://host/metadb:2"),
        (b"1", f"{tmp_path / 'e.jsonl'}:1"),
    ]
    assert found.bytes_total is None


def test_a_value_in_an_array_may_not_be_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be held in memory whole."""
    monkeypatch.setattr(reading, "MESSAGE_MAX", 10)
    monkeypatch.setattr(reading, "_CHUNK", 8)

    messages, [fault] = read_off(tmp_path / "e.json", b"[1," + b"[" * 100)

    assert (messages, "does not end within" in fault) == ([b"1"], True)


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
