"""Reads the fields of a message that a decoder needs, and passes over everything else.

It is for messages that a parser refuses or that are large. A value that nobody reads may be of any size and depth, and
may hold NaN, a lone surrogate or a key twice: it is never built, and costs the event nothing. Memory is bounded by what
is read, time by the length of the message: values are passed over by their brackets alone, without recursion.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import orjson

from stream_app.errors import MalformedEvent
from stream_app.sources.strict_json import MAX_DEPTH, check_structure, not_json, shown

#: Bytes that may be read of one message, and bytes of a part that is passed over without being counted as dropped.
READ_BYTES, PART_BYTES = 1 << 20, 1 << 16
#: Bytes of a text that count towards what is read, since readers cut or hash a longer one; and bytes of a list's entry.
_TEXT_BYTES, _ENTRY_BYTES = 1 << 10, 16
#: Entries that are read of one list: one more than decoders accept.
_ENTRIES = 10_001
#: Keys nobody reads that are remembered in one object, to find those that appear twice.
_KEYS = 1_000


class Leaf:
    """A kind of value without a form of its own in a schema."""


#: A value that is not an object or a list; an object whose keys are the sender's; and the bytes of a value.
VALUE, MAP, RAW = Leaf(), Leaf(), Leaf()

#: What is read: of an object these fields, of a list its entries (a list of one schema), else a kind of value.
Schema = Mapping[str, Any] | list[Any] | Leaf

_SPACE = re.compile(rb"[ \t\r\n]*+")
#: A string, which may lack its closing quotation mark.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
#: A number or a word.
_SCALAR = re.compile(rb'[^\s\[\]{}:,"]++')
#: What matters when a value is passed over: strings, since brackets in them do not count, and runs of brackets.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[{]++|[\]}]++', re.DOTALL)
_QUOTE, _COLON, _COMMA, _OPEN_LIST, _OPEN_OBJECT = b'":,[{'
_CLOSE = dict(zip(b"[{", b"]}", strict=True))
#: Brackets and strings that are looked at one by one; behind them, a window of bytes is looked at at once.
_TOKENS, _WINDOW = 200, 1 << 20
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
#: Byte -> what it adds to the depth.
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_SURROGATE = re.compile("[\ud800-\udfff]")


def scan(message: bytes, schema: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Reads the fields of a schema from a message.

    Parameters
    ----------
    message
        A JSON object in UTF-8.
    schema
        The fields to read.

    Returns
    -------
    tuple of dict and int
        The document with these fields alone, and the number of parts that were dropped: larger than 64 KiB, nested
        deeper than 32 levels, with a key twice, or not valid JSON. Texts may hold lone surrogates, which also stand for
        bytes that are not UTF-8. A list or an object where another value is read is empty.

    Raises
    ------
    MalformedEvent
        The message is not a JSON object, a field that is read appears twice, or its fields exceed 1 MiB without what
        is passed over.
    """
    return _Scanner(message).document(schema)


class _Scanner:
    """Goes through a message once, from its beginning to its end."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = 0
        self._budget = READ_BYTES
        self._dropped = 0
        self._path: list[str | int] = []

    def document(self, schema: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        first = self._peek()
        if first != _OPEN_OBJECT:
            if first == _OPEN_LIST:
                raise MalformedEvent("expected a JSON object, got a list")
            value = self._value(VALUE)
            self._finish()
            raise MalformedEvent(f"expected a JSON object, got {shown(value)}")
        document = self._object(schema)
        self._finish()
        return document, self._dropped

    def _finish(self) -> None:
        self._space()
        if self._at != len(self._message):
            self._broken("unexpected content after the document")

    # What is read

    def _value(self, schema: Schema) -> Any:
        first = self._peek()
        if schema is RAW:
            return self._skip()
        if first == _OPEN_OBJECT and (isinstance(schema, Mapping) or schema is MAP):
            return self._object(schema)
        if first == _OPEN_LIST and isinstance(schema, list):
            return self._list(schema[0])
        if first in _CLOSE:
            self._check_part(self._skip())
            return [] if first == _OPEN_LIST else {}
        return self._scalar(self._skip())

    def _object(self, schema: Schema) -> dict[str, Any]:
        found: dict[str, Any] = {}
        unread: set[str] = set()
        fields = schema if isinstance(schema, Mapping) else None
        for start in self._entries():
            if self._peek() != _QUOTE:
                self._broken("expected a key")
            key = self._scalar(self._skip())
            self._charge(_ENTRY_BYTES)
            if self._peek() != _COLON:
                self._broken("expected a colon")
            self._at += 1
            if fields is not None and key not in fields:
                self._pass_over(key, unread)
                continue
            self._path.append(key)
            if key in found:
                raise MalformedEvent(f"{self._where()}: the key appears twice in its object, expected once")
            found[key] = self._value(VALUE if fields is None else fields[key])
            self._path.pop()
            if fields is None:
                self._charge(self._at - start)
        return found

    def _list(self, schema: Schema) -> list[Any]:
        found: list[Any] = []
        for _ in self._entries():
            if len(found) == _ENTRIES:  # its decoder refuses it
                self._at = self._end_of_brackets(depth=1)
                break
            self._charge(_ENTRY_BYTES)
            self._path.append(len(found))
            found.append(self._value(schema))
            self._path.pop()
        return found

    def _entries(self) -> Iterator[int]:
        """Moves to each entry of the object or list that begins here, and in the end behind it."""
        closing = _CLOSE[self._message[self._at]]
        self._at += 1
        following = self._peek()
        while following != closing:
            yield self._at
            following = self._peek()
            if following == _COMMA:
                self._at += 1
                self._peek()
            elif following != closing:
                self._broken("expected a comma or the end of the object or list")
        self._at += 1

    def _scalar(self, raw: bytes) -> Any:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            value = self._odd_scalar(raw)
        if isinstance(value, str):
            self._charge(min(len(raw), _TEXT_BYTES))
        return value

    def _odd_scalar(self, raw: bytes) -> Any:
        """A scalar that is not strict JSON: NaN, a number beyond a double, a text with control characters."""
        text = raw.decode("utf-8", "surrogateescape")
        try:
            return json.loads(text, strict=False, parse_int=float)
        except ValueError:
            self._at -= len(raw)
            self._broken("unexpected character")

    def _charge(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            total = len(self._message)
            raise MalformedEvent(f"message of {total:,} bytes: expected at most {READ_BYTES:,} in its fields")

    # What is passed over

    def _pass_over(self, key: str, unread: set[str]) -> None:
        if key in unread:
            self._dropped += 1
        elif len(unread) < _KEYS:
            unread.add(key)
        self._check_part(self._skip())

    def _check_part(self, raw: bytes) -> None:
        """Counts a part as dropped unless it is small, flat, strict JSON."""
        try:
            if len(raw) <= PART_BYTES:
                document = orjson.loads(raw)
                if type(document) is dict or type(document) is list:
                    check_structure(raw, document)
                return
        except (orjson.JSONDecodeError, MalformedEvent):
            pass
        self._dropped += 1

    def _skip(self) -> bytes:
        """The bytes of the value that comes next; brackets are counted and not matched by kind."""
        first = self._peek()
        start = self._at
        if first == _QUOTE:
            match = _STRING.match(self._message, self._at)
            assert match is not None
            if not match[1]:
                self._broken("a string that is not closed")
            self._at = match.end()
        elif first in _CLOSE:
            self._at = self._end_of_brackets()
        else:
            match = _SCALAR.match(self._message, self._at)
            if match is None:
                self._broken("expected a value")
            self._at = match.end()
        return self._message[start : self._at]

    def _end_of_brackets(self, depth: int = 0) -> int:
        """The offset behind the bracket that closes what is `depth` deep here."""
        message = self._message
        for token in itertools.islice(_TOKEN.finditer(message, self._at), _TOKENS):
            start, end = token.span()
            first = message[start]
            if first == _QUOTE:
                if not token[1]:
                    self._at = start
                    self._broken("a string that is not closed")
            elif first in _CLOSE:
                depth += end - start
            elif end - start < depth:
                depth -= end - start
            else:
                return start + depth
            self._at = end
        at = _end_of_many_brackets(message, self._at, depth)
        if at < 0:
            self._broken("an object, list or string that is not closed")
        return at

    # Places

    def _peek(self) -> int:
        """The byte that comes next, spaces aside."""
        self._space()
        if self._at >= len(self._message):
            self._broken("unexpected end")
        return self._message[self._at]

    def _space(self) -> None:
        match = _SPACE.match(self._message, self._at)
        if match is not None:
            self._at = match.end()

    def _where(self) -> str:
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._path[-2 * MAX_DEPTH :]]
        return shown("".join(steps).removeprefix("."))[1:-1]

    def _broken(self, what: str) -> NoReturn:
        raise MalformedEvent(not_json(self._message, self._at, what))


def _end_of_many_brackets(message: bytes, at: int, depth: int) -> int:
    """As `_end_of_brackets`, outside of strings and without a step for each bracket; -1 when it is not closed."""
    in_string = 0
    while at < len(message):
        window = message[at : at + _WINDOW]
        if window.endswith(b"\\") and at + len(window) < len(message):
            window = message[at : at + len(window) + _odd_backslashes(window)]
        characters = np.frombuffer(_ESCAPE.sub(b"  ", window), np.uint8)
        inside = (np.cumsum(characters == _QUOTE, dtype=np.int32) + in_string) & 1
        steps = np.where(inside == 1, 0, _STEPS[characters])
        depths = np.cumsum(steps, dtype=np.int32) + depth
        closed = np.flatnonzero(depths == 0)
        if len(closed):
            return at + int(closed[0]) + 1
        in_string, depth = int(inside[-1]), int(depths[-1])
        at += len(window)
    return -1


def _odd_backslashes(window: bytes) -> int:
    """1 when the last backslash escapes the byte behind the window, else 0."""
    return (len(window) - len(window.rstrip(b"\\"))) & 1


def clean(text: str) -> str:
    """Replaces lone surrogates, which cannot be written as UTF-8, by U+FFFD.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        The text as it can be written.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
