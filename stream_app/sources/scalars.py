"""Converts values and names from other systems' databases to the bounds of the native event."""

from __future__ import annotations

import math

from stream_app.core.events import Scalar
from stream_app.sources.native import MAX_ID, MAX_NUMBER, MAX_TEXT


def scalar(value: object) -> Scalar | None:
    """Converts a value to one that a property may hold.

    Parameters
    ----------
    value
        Any value.

    Returns
    -------
    str, float, int, bool or None
        None when the value is too long, too large, not finite or not flat.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) <= MAX_NUMBER else None
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT and _encodable(value) else None
    return None


def whole(value: object) -> int:
    """Checks a number of a stored cursor.

    Parameters
    ----------
    value
        Any value.

    Returns
    -------
    int
        The value.

    Raises
    ------
    ValueError
        It is not a whole number of 64 bits.
    """
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"expected a whole number, got {value!r:.40}")
    return value


def name(text: str) -> str:
    """Converts a text to an id, a type or the name of a property.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        The text with control characters replaced, cut to `MAX_ID` characters.
    """
    if not text.isprintable():
        text = "".join("?" if c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" else c for c in text)
    return text[:MAX_ID]


def _encodable(text: str) -> bool:
    """Whether a text has no lone surrogates, which JSON in UTF-8 cannot hold."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
