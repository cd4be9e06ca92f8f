"""Strict JSON (RFC 8259) for untrusted messages: bounded, and nothing is dropped silently.

orjson already refuses bad UTF-8, lone surrogates, NaN, Infinity and numbers beyond a double. This module checks the
rest: size, depth, and keys that appear twice in one object, of which every parser silently keeps one.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from stream_app.errors import MalformedEvent

#: Bytes of the largest message, of any format.
MAX_BYTES = 16 << 20
MAX_DEPTH = 32
#: The most characters of a value that a reason repeats.
MAX_SHOWN = 80

_SPACE = b" \t\r\n"
_INDENT = b" " * (2 * MAX_DEPTH)
#: The reason for a message without content.
EMPTY = "empty message: expected a JSON object"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def parse(message: bytes) -> Any:
    """Reads the document in a message of at most 16 MiB; `check_structure` checks the rest.

    Parameters
    ----------
    message
        The message.

    Returns
    -------
    object
        The document.

    Raises
    ------
    MalformedEvent
        The message is too large or not JSON.
    """
    check_size(message)
    return _loads(message)


def check_size(message: bytes) -> None:
    """Refuses a message of more than 16 MiB.

    Parameters
    ----------
    message
        The message.

    Raises
    ------
    MalformedEvent
        The message is too large.
    """
    if len(message) > MAX_BYTES:
        raise MalformedEvent(f"message of {len(message):,} bytes: expected at most {MAX_BYTES:,} (16 MiB)")


def parse_batch(message: bytes, entries_max: int) -> list[Any]:
    """Reads the documents in an array of any size, which the caller has bounded.

    Parameters
    ----------
    message
        A JSON array.
    entries_max
        The most documents that it may have.

    Returns
    -------
    list
        The documents.

    Raises
    ------
    MalformedEvent
        It is not a JSON array, or has too many documents.
    """
    documents = _loads(message)
    if type(documents) is not list:
        raise MalformedEvent(f"expected a JSON array of events, got {shown(documents)}")
    if len(documents) > entries_max:
        raise MalformedEvent(f"expected at most {entries_max:,} events, got {len(documents):,}")
    return documents


def _loads(message: bytes) -> Any:
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise MalformedEvent(_why_not_json(message, error)) from None


def check_structure(message: bytes, document: Any, known_keys: int = 0) -> None:
    """Refuses nesting deeper than 32 levels and keys that appear twice in one object.

    The bytes hold at least as many `":` (spaces aside) as there are keys in the text. When that is also the number of
    known keys, no key was lost and no unknown object is hidden deeper. Only when it differs, because of unknown
    objects, a `":` inside a string, or a duplicate, is the document checked in full.

    Parameters
    ----------
    message
        The message.
    document
        The document that was read from it.
    known_keys
        Number of keys in the objects of the document that the caller has walked through, none of them deeper than level
        8; 0 when unknown.

    Raises
    ------
    MalformedEvent
        The document is nested too deep, or a key appears twice.
    """
    if known_keys and message.count(b"[") <= MAX_DEPTH - 10 and _count_colons(message) == known_keys:
        return
    if not _is_whole(message, document) and _count_colons(message) != _count_keys(document):
        _find_duplicate(message)


def _is_whole(message: bytes, document: Any) -> bool:
    r"""Whether a document is certainly flat enough and has every key of the message.

    Written again it has as many quotation marks as the message, less those of keys that were dropped (and more only
    where an escape such as `\u0022` stood for one); and at level 32 its lines begin with 64 spaces.
    """
    if b"\\" in message and b"\\u" in message:
        return False
    try:
        again = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # deeper than it writes
        return False
    return _INDENT not in again and again.count(b'"') == message.count(b'"')


def _count_colons(message: bytes) -> int:
    return message.translate(None, _SPACE).count(b'":')


def shown(value: object) -> str:
    r"""A value as a reason repeats it.

    Parameters
    ----------
    value
        A value of a document.

    Returns
    -------
    str
        JSON on one line, at most 80 characters.

    Examples
    --------
    >>> shown([1]), shown("a\tb")
    ('a list', '"a\\tb"')
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value[:MAX_SHOWN] if isinstance(value, str) else value, ensure_ascii=False)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _count_keys(document: Any) -> int:
    """Counts the keys of all objects, level by level."""
    keys, depth, level = 0, 0, [document]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise MalformedEvent(_TOO_DEEP)
        below = []
        for container in level:
            if type(container) is dict:
                keys += len(container)
                container = container.values()
            below += [value for value in container if type(value) is dict or type(value) is list]
        level = below
    return keys


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all of its keys, duplicates included."""


def _find_duplicate(message: bytes) -> None:
    try:  # numbers stay text: their values do not matter here, and long ones are refused by int()
        document = json.loads(message.decode(), object_pairs_hook=_Pairs, parse_int=str, parse_float=str)
    except RecursionError:  # a deep value behind a duplicate key, which orjson dropped
        raise MalformedEvent(_TOO_DEEP) from None
    stack: list[tuple[_Trail, Any]] = [(None, document)]
    while stack:
        trail, value = stack.pop()
        if type(value) is _Pairs:
            seen: set[str] = set()
            for key, inner in value:
                if key in seen:
                    raise MalformedEvent(f"{_path((trail, key))}: the key appears twice in its object, expected once")
                seen.add(key)
                stack.append(((trail, key), inner))
        elif type(value) is list:
            stack += [((trail, index), inner) for index, inner in enumerate(value)]


#: A path in a document: its holder's path and the key or index there. Written out only when there is a
#: fault, since a stranger's long key would be repeated for all that is below it.
_Trail = tuple[Any, str | int] | None


def _path(trail: _Trail) -> str:
    steps: list[str] = []
    while trail is not None:
        trail, step = trail
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step[:MAX_SHOWN]}")
    return _one_line("".join(reversed(steps)).removeprefix("."))


def _one_line(text: str) -> str:
    return text if len(text) <= MAX_SHOWN and text.isprintable() else shown(text)[1:-1]


_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t\r\n]*:')
#: How far before a fault its key is searched, in characters: the search is quadratic in the worst case.
_KEY_WITHIN = 500


def _why_not_json(message: bytes, error: orjson.JSONDecodeError) -> str:
    if not message.strip(_SPACE):
        return EMPTY
    try:
        text = message.decode()
    except UnicodeDecodeError as fault:
        after = _last_key(message[: fault.start].decode())
        return f"not UTF-8: byte 0x{message[fault.start]:02x} at offset {fault.start}{after}"
    if "limit" in error.msg:
        return _TOO_DEEP
    return not_json(message, len(text[: error.pos].encode()), error.msg)


def not_json(message: bytes, offset: int, fault: str) -> str:
    """The reason for a message that is not JSON, with the place of its fault.

    Parameters
    ----------
    message
        The message.
    offset
        Where the fault is, in bytes.
    fault
        What is wrong there.

    Returns
    -------
    str
        The reason, with line, column, the text at that place and the key before it.
    """
    before = message[:offset]
    line, column = before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    here = message[offset : offset + 64].decode(errors="replace")[:16]
    at = f", at {shown(here)}" if here else ""
    after = _last_key(message[max(0, offset - 4 * _KEY_WITHIN) : offset + 1].decode(errors="replace"))
    return f"not JSON: {fault}, line {line} column {column}{at}{after}"


def _last_key(text: str) -> str:
    keys = _KEY.findall(text[-_KEY_WITHIN:])
    return f', after the key "{_one_line(keys[-1])}"' if keys else ""
