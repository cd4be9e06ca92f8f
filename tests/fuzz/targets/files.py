"""Files of events: the same messages whatever the size of what is read at once, and whether the file is compressed."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import orjson

from stream_app.errors import MalformedEvent
from stream_app.replay import reading
from stream_app.replay.decoding import decode
from stream_app.replay.reading import InputError, MessageReader
from tests.fuzz.targets.decoders import check_reason

MAX_BYTES = 2048
DICTIONARY = "decoders"
_GZIP = b"\x1f\x8b"
#: Bytes that are read at once: the whole, and so few that values are cut anywhere.
_MANY, _FEW = 4096, 7

#: The messages with their lines, where the file breaks off, and why it cannot be read; each with the file's name away.
Read = tuple[list[tuple[str, bytes]], list[str], str]

_folder = Path(tempfile.gettempdir())


def prepare() -> None:
    """Makes a folder for the files."""
    global _folder
    _folder = Path(tempfile.mkdtemp(prefix="fuzz-"))


def check(data: bytes) -> None:
    """One file, by each of two names."""
    for name in ("events.jsonl", "events.json"):
        whole = _read(data, name, _MANY)
        assert _read(data, name, _FEW) == whole
        if not data.startswith(_GZIP):
            packed = _read(gzip.compress(data, 1, mtime=0), name, _MANY)
            assert packed[:2] == whole[:2], packed
        messages, _, _ = whole
        lines = [int(line) for line, _ in messages]
        assert lines == sorted(lines)
        for _, message in messages:
            try:
                decode(message)
            except MalformedEvent as error:
                check_reason(message, error)


def _read(data: bytes, name: str, chunk: int) -> Read:
    path = _folder / name
    path.write_bytes(data)
    reader = MessageReader([str(path)])
    messages: list[tuple[str, bytes]] = []
    fault = ""
    try:
        with patch.multiple(reading, _CHUNK=chunk, _FIRST_CHUNK=chunk):
            messages.extend((reader.place.rpartition(":")[2], message) for message in reader)
    except InputError as error:
        fault = str(error)
        assert fault.isprintable(), fault
    assert all(each.isprintable() for each in reader.faults)
    return messages, [each.replace(str(path), "") for each in reader.faults], fault


def seeds() -> Iterator[bytes]:
    """Lines, arrays, documents over lines and one after the other, with prefixes, cut off, and compressed."""
    event = {"time": "2026-03-01T06:12:40Z", "pipeline": "p", "execution": {"id": "e", "type": "T", "state": "NEW"}}
    line, pretty = orjson.dumps(event), orjson.dumps(event, option=orjson.OPT_INDENT_2)
    for text in (
        line,
        line + b"\n" + line + b"\n",
        line + b"\r\n\r\n" + line + b"\r\n",
        line + line + b" " + line + b"\n" + line,
        line + b",\n" + line + b",\n",
        b"[" + line + b", " + line + b"]\n[" + line + b"]",
        b"[\n" + line + b",\n" + line + b"\n]\n",
        b"[" + pretty + b"," + pretty + b"]",
        pretty + b"\n" + pretty,
        pretty + b",\n" + pretty + b"]",
        b"2026-03-01 INFO [main] {console.py:29} " + line + b"\n",
        b"[2026-03-01] " + line + b"\n",
        b'{"message": ' + orjson.dumps(line.decode()) + b"}\n",
        b"\xef\xbb\xbf" + line,
        line.decode().encode("utf-16"),
        b'{"a": "}{"}\n{"a": "\\"}{"}\n',
        b"[[[\n1, 2\n], {}], " + line + b"] {}",
        b"\n \n\t\n",
        b"",
    ):
        yield text
        yield text[: len(text) * 2 // 3]
    yield gzip.compress(line, mtime=0) + gzip.compress(pretty, mtime=0)
    yield gzip.compress(line * 5, mtime=0)[:-9]
