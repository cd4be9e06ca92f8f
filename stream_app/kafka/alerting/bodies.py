"""Fields of records that anybody may have written: of the expected type, or ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.times import LATEST_MS


def text(body: Mapping[str, Any], name: str) -> str:
    """A field that is a text.

    Parameters
    ----------
    body
        The fields.
    name
        The name of the field.

    Raises
    ------
    KeyError, ValueError
        It is missing, or of another type.
    """
    return _text(body[name], name)


def texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A field that is a list of texts; parameters and errors as of `text`."""
    value = body[name]
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    return tuple(_text(each, name) for each in value)


def number(body: Mapping[str, Any], name: str) -> int:
    """A field that is a count or a time in ms since 1970 UTC; parameters and errors as of `text`."""
    value = body[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST_MS:
        raise ValueError(f"{name} is no count or time")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
