"""Reads messages from files and stores: JSON lines, JSON arrays and documents, gzipped or not, `-` for stdin.

The first line tells the form: the beginning of an array, the beginning of a document over lines, else lines. A line may
hold an array, or objects one after the other, as some collectors write them; blank lines hold nothing.

A message is bytes that a source decodes. Faults of single messages are found by the decoder; errors here concern whole
files. Memory is bounded by the longest message, which is bounded by `MESSAGE_MAX`.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, cast

import orjson

from stream_app.errors import OptionsError, StreamAppError
from stream_app.replay.file_kinds import HEAD, byte_order_mark, unreadable
from stream_app.replay.gunzip import MAGIC, Gunzip
from stream_app.sources.strict_json import MAX_BYTES

#: A longer message is truncated; the decoder refuses all messages longer than MAX_BYTES.
MESSAGE_MAX = 2 * MAX_BYTES
STDIN = "-"

#: The messages of a store, given its address; None for what is no store but a file of events.
Stores = Callable[[str], Iterator[bytes] | None]

#: Bytes that are read at once, and of an array while little of it was read: arrays may follow one another.
_CHUNK, _FIRST_CHUNK = 1 << 20, 1 << 14
_SPACE = b" \t\r\n"
#: User and password in an address.
_LOGIN = re.compile(r"(?<=://)[^/@]*@")


class InputError(StreamAppError):
    """Events are missing, or a file breaks off or is not text; the message says where."""


class MessageReader:
    """The messages of some files and stores, one after the other; it can be iterated once.

    A file that breaks off does not end the iteration: what came before is read, and `faults` says where it broke off.

    Parameters
    ----------
    files
        Paths, `-` for standard input, or addresses of stores. Files contain one message a line, documents over lines,
        or arrays.
    stores
        Reads stores; None: only files are read.

    Raises
    ------
    OptionsError
        A file is missing, is a directory or may not be read; or an address is of no known store.
    InputError
        While iterating: a file is not text.
    """

    def __init__(self, files: Sequence[str], stores: Stores | None = None) -> None:
        self.files = tuple(files)
        self._stores = {
            name: messages
            for name in self.files
            if stores is not None and name != STDIN and (messages := stores(name)) is not None
        }
        #: Bytes to read; None when there is a pipe or a store among the files.
        self.bytes_total = _size(self.files, self._stores)
        #: Each file that breaks off, where and why.
        self.faults: list[str] = []
        #: The file and the line of the last message.
        self._file, self._line = "", 0
        self._bytes_before = 0
        self._stream: IO[bytes] | None = None

    @property
    def place(self) -> str:
        """`file:line` of the last message."""
        return f"{self._file}:{self._line}"

    @property
    def bytes_read(self) -> int:
        """Bytes taken from the files so far, compressed where they are."""
        return self._bytes_before + (self._stream.tell() if self._stream is not None else 0)

    def __iter__(self) -> Iterator[bytes]:
        for name in self.files:
            self._file, self._line = "stdin" if name == STDIN else _LOGIN.sub("", name), 0
            if name in self._stores:
                for number, message in enumerate(self._stores[name], 1):
                    self._line = number
                    yield message
            else:
                yield from self._file_messages(name)

    def _file_messages(self, name: str) -> Iterator[bytes]:
        try:
            with _opened(name) as raw:
                self._stream = raw if self.bytes_total is not None else None
                text = _Text(self._file, raw)
                fault = ""
                try:
                    for self._line, message in text.messages():
                        yield message
                except _BrokenOffError as error:
                    fault = f"{self._file}: {error}"
                if text.fault is not None:
                    after = f"{self.place}: {text.fault} after this line"
                    fault = after if self._line else f"{self._file}: {text.fault} before the end of its first line"
                if fault:
                    self.faults.append(fault)
                self._bytes_before = self.bytes_read
                self._stream = None
        except _UnreadableError as error:
            raise InputError(f"{self._file}: {error}") from None
        except OSError as error:
            raise InputError(f"{self.place}: reading failed after this line: {error.strerror}") from None


class _UnreadableError(Exception):
    """A file is not text."""


class _BrokenOffError(Exception):
    """A text breaks off, or cannot be followed further."""


def _size(files: Sequence[str], stores: Mapping[str, object]) -> int | None:
    if not files:
        raise OptionsError("no file given; name files of events, or - for standard input")
    if files.count(STDIN) > 1:
        raise OptionsError("standard input (-) can be read only once")
    total: int | None = 0
    for name in files:
        if name == STDIN or name in stores:
            total = None
            continue
        try:
            found = os.stat(name)
        except OSError as error:
            raise OptionsError(f"{name}: {(error.strerror or 'cannot be read').lower()}") from None
        if stat.S_ISDIR(found.st_mode):
            raise OptionsError(f"{name}: is a directory; name the files in it, such as {os.path.join(name, '*.jsonl')}")
        if not os.access(name, os.R_OK):
            raise OptionsError(f"{name}: permission denied")
        total = total + found.st_size if total is not None and stat.S_ISREG(found.st_mode) else None
    return total


@contextmanager
def _opened(name: str) -> Iterator[io.BufferedReader]:
    if name == STDIN:
        yield cast(io.BufferedReader, sys.stdin.buffer)
    else:
        with open(name, "rb") as file:
            yield file


class _Text:
    """The text of an opened file, decompressed if it is gzipped.

    Raises
    ------
    _UnreadableError
        It is not text.
    """

    def __init__(self, name: str, raw: io.BufferedReader) -> None:
        self._name = name
        self._gunzip: Gunzip | None = None
        self._stream = raw
        if raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
            self._gunzip = Gunzip(raw)
            self._stream = io.BufferedReader(self._gunzip, _CHUNK)
        elif name.endswith(".gz") and raw.peek(1):
            raise _UnreadableError("is not gzip data, although its name ends in .gz")
        # Decompressed bytes come in pieces of any size; a pipe of plain text is not waited for.
        head = self._stream.read(HEAD) if self._gunzip is not None else self._stream.peek(HEAD)[:HEAD]
        reason = unreadable(head, name, self._gunzip is not None)
        if reason is not None:
            raise _UnreadableError(reason)
        self._text = _Ahead(self._stream)
        if self._gunzip is not None:
            self._text.put_back(head)
        self._text.read(byte_order_mark(head))

    @property
    def fault(self) -> str | None:
        """Why the text ended before its end; None where it did not."""
        return self._gunzip.fault if self._gunzip is not None else None

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """The messages, each with the number of its (first) line; half a last line of a text that broke off is none."""
        is_json = self._name.removesuffix(".gz").endswith(".json")
        half: tuple[int, bytes] | None = None
        for number, message in _messages(self._text, is_json):
            if half is not None:  # another follows, so it was whole
                yield half
                half = None
            if self.fault is not None and not _is_json(message):
                half = number, message
            else:
                yield number, message


class _Ahead:
    """A stream of which something may be read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._again = io.BytesIO()

    def put_back(self, text: bytes) -> None:
        """Has the end of what was read read again."""
        if text:
            self._again = io.BytesIO(text + self._again.read())

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        return self._again.read(size) or self._stream.read(size)

    def readline(self, size: int) -> bytes:
        """A line, or as many bytes of it."""
        line = self._again.readline(size)
        return line if line[-1:] == b"\n" or len(line) == size else line + self._stream.readline(size - len(line))


#: A text without anything behind a line.
_NOTHING = _Ahead(io.BytesIO())


def _messages(text: _Ahead, is_json: bool) -> Iterator[tuple[int, bytes]]:
    """The messages of a text, by the form of its first line; `is_json`: the name of the file says JSON.

    What follows an array is read as another text.
    """
    number = 0
    while first := text.readline(MESSAGE_MAX):
        number += 1
        if not first.strip(_SPACE):
            continue
        begins_document = _BEGIN.match(first) if not is_json else first.lstrip(_SPACE)[:1] in (b"[", b"{")
        if not begins_document or (first[-1:] == b"\n" and _is_json(first)):
            yield from _lines(text, first, number)
        elif first.lstrip(_SPACE)[:1] == b"[":
            rest, line = yield from _elements(text, first, number)
            text.put_back(rest)
            number = line - 1
        else:
            yield from _documents(text, first, number)


def _lines(stream: _Ahead, line: bytes, number: int) -> Iterator[tuple[int, bytes]]:
    """The messages of lines, from one that was read on."""
    while line:
        is_cut = len(line) == MESSAGE_MAX and line[-1:] != b"\n"
        line = line.rstrip(b"\r\n")
        if _SEAM.search(line) and not _is_json(line):
            yield from _documents(stream if is_cut else _NOTHING, line, number)
        elif line[:1] == b"[" and _is_json(line):
            yield from _elements(_NOTHING, line, number)
        elif line.strip(_SPACE):
            yield number, line[:-1] if line[-2:] == b"}," else line
        while is_cut and (rest := stream.readline(MESSAGE_MAX)):
            is_cut = rest[-1:] != b"\n"
        line = stream.readline(MESSAGE_MAX)
        number += 1


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


#: The first line of an array or of a document over lines. Loggers begin their lines with a bracket, too.
_BEGIN = re.compile(rb"\s*(\{\s*$|\[\s*(\{|\]|$))")
#: What stands between objects on one line, and in valid JSON only in strings.
_SEAM = re.compile(rb"\}[ \r]?\{")
#: A string (with its closing quote, unless the buffer ends first), or a character that delimits values.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[\]{},]', re.DOTALL)


def _elements(stream: _Ahead, buffer: bytes, line: int) -> Generator[tuple[int, bytes], None, tuple[bytes, int]]:
    """The elements of an array that begins in `buffer`, as they stand in the text.

    Returns what was read of the text behind the array, and the line on which it begins.
    """
    start, depth = buffer.index(b"[") + 1, 0
    place = start - 1
    while True:
        for token in _TOKEN.finditer(buffer, place):
            mark = token[0]
            place = token.end()
            if mark[:1] == b'"':
                if not token[1]:
                    place = token.start()
                    break
            elif mark in (b"[", b"{"):
                depth += 1
            else:
                depth -= mark != b","
                if depth == 0 or (depth == 1 and mark == b","):
                    element = buffer[start : place - 1]
                    if depth == 1 or element.strip(_SPACE):
                        yield line + _newlines_before(element), element.strip(_SPACE)
                    line += element.count(b"\n")
                    start = place
                    if depth == 0:
                        return buffer[place:], line
        else:
            place = len(buffer)
        if len(buffer) - start > MESSAGE_MAX:
            raise _BrokenOffError(f"the value in the array at line {line} does not end within {MESSAGE_MAX:,} bytes")
        more = stream.read(max(_FIRST_CHUNK, min(_CHUNK, len(buffer))))
        if not more:
            line += buffer[start:].count(b"\n")
            raise _BrokenOffError(f"the array breaks off at line {line}: it is never closed")
        buffer, place, start = buffer[start:] + more, place - start, 0


def _documents(stream: _Ahead, buffer: bytes, line: int) -> Iterator[tuple[int, bytes]]:
    """Objects one after the other, each perhaps over lines, with or without commas; what is none, as it stands."""
    start = place = depth = 0
    while True:
        for token in _TOKEN.finditer(buffer, place):
            mark = token[0]
            if mark[:1] == b'"' and not token[1]:
                place = token.start()
                break
            place = token.end()
            if mark in (b"[", b"{"):
                depth += 1
            elif mark in (b"]", b"}"):
                depth -= 1
            if depth <= 0 and mark[:1] != b'"':
                element, depth = buffer[start:place], 0
                message = element.removesuffix(b",").strip(_SPACE)
                if message:
                    yield line + _newlines_before(element), message
                line += element.count(b"\n")
                start = place
        else:
            place = len(buffer)
        if len(buffer) - start > MESSAGE_MAX:
            raise _BrokenOffError(f"the document at line {line} does not end within {MESSAGE_MAX:,} bytes")
        more = stream.read(_CHUNK)
        if not more:
            if buffer[start:].strip(_SPACE):
                yield line + _newlines_before(buffer[start:]), buffer[start:].strip(_SPACE)
            return
        buffer, place, start = buffer[start:] + more, place - start, 0


def _newlines_before(element: bytes) -> int:
    return element[: len(element) - len(element.lstrip(_SPACE))].count(b"\n")
