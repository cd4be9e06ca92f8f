"""Duplicate keys and depth are found wherever they are, and never where they are not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import MalformedEvent
from stream_app.sources.strict_json import MAX_DEPTH, check_structure, parse, shown

#: Keys that are often the same, and strings that look like JSON.
KEYS = st.sampled_from(["a", "b", "c", '"', '":', ":", "", "\\", "é", " :"])
SCALARS = KEYS | st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(['"a":1', '","a":', "[[[", '\\"'])
SPACES = st.sampled_from(["", "", " ", "\t", "\r\n", "  "])


class Pairs(list[tuple[str, Any]]):
    """An object as it is written, keys in order and perhaps twice."""


DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(Pairs),
)


def _write(value: Any, draw: Any) -> str:
    """JSON text with spaces drawn at random between its tokens."""
    if isinstance(value, Pairs):
        pairs = [f"{_text(key, draw)}{draw(SPACES)}:{_write(inner, draw)}" for key, inner in value]
        return f"{{{draw(SPACES)}{','.join(draw(SPACES) + pair for pair in pairs)}}}{draw(SPACES)}"
    if isinstance(value, list):
        return f"[{draw(SPACES)}{','.join(_write(inner, draw) for inner in value)}]{draw(SPACES)}"
    text = _text(value, draw) if isinstance(value, str) else orjson.dumps(value).decode()
    return f"{draw(SPACES)}{text}{draw(SPACES)}"


def _text(value: str, draw: Any) -> str:
    """A string, sometimes with an escape that was not needed."""
    text = orjson.dumps(value).decode()
    return text.replace("a", "\\u0061") if draw(st.booleans()) else text


def _has_duplicate(value: Any) -> bool:
    if isinstance(value, Pairs):
        keys = [key for key, _ in value]
        return len(keys) != len(set(keys)) or any(_has_duplicate(inner) for _, inner in value)
    return isinstance(value, list) and any(_has_duplicate(inner) for inner in value)


def _keys(document: Any) -> int:
    if isinstance(document, dict):
        return len(document) + sum(_keys(inner) for inner in document.values())
    return sum(_keys(inner) for inner in document) if isinstance(document, list) else 0


@given(st.data(), DOCUMENTS.map(lambda value: Pairs([("top", value)])))
def test_duplicate_keys_are_found_and_only_they(data: st.DataObject, written: Pairs) -> None:
    """With any layout, escapes and strings, and whether or not the caller has counted the keys it knows."""
    message = _write(written, data.draw).encode()
    document = parse(message)
    known_keys = _keys(document) if data.draw(st.booleans()) else 0

    if _has_duplicate(written):
        with pytest.raises(MalformedEvent, match="appears twice"):
            check_structure(message, document, known_keys)
    else:
        check_structure(message, document, known_keys)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_depth_is_bounded(opening: str) -> None:
    """Thirty-two levels pass and thirty-three do not, in lists, in objects and in both."""
    closing = "".join("}" if bracket == "{" else "]" for bracket in reversed(opening) if bracket in "[{")
    per_step = len(closing)
    for depth, passes in ((MAX_DEPTH, True), (MAX_DEPTH + per_step, False)):
        message = (opening * (depth // per_step) + "0" + closing * (depth // per_step)).encode()
        if passes:
            check_structure(message, parse(message))
        else:
            with pytest.raises(MalformedEvent, match="nested deeper than 32"):
                check_structure(message, parse(message))


@pytest.mark.parametrize("depth", [40, 900, 1000])
def test_depth_behind_a_duplicate_is_refused(depth: int) -> None:
    """What a parser drops may be deep: it is refused for the one or the other."""
    message = b'{"a":' + b"[" * depth + b"]" * depth + b',"a":1}'

    with pytest.raises(MalformedEvent, match=r"appears twice|nested deeper"):
        check_structure(message, parse(message))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a\x1b[31m\u202eb", '"a\\u001b[31m\\u202eb"'),
        ({}, "an object"),
        ([], "a list"),
        ("x" * 100, '"' + "x" * 76 + "..."),
    ],
)
def test_values_are_shown_on_one_short_line(value: object, text: str) -> None:
    """A value is shown as JSON, without characters that would change the line it stands in."""
    assert text == shown(value)
