"""Cursors of pages: the last node of a page, and which question it answers."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import NamedTuple

from stream_app.errors import OptionsError
from stream_app.provenance.graph import Key

_LENGTH_MAX = 20_000


class Cursor(NamedTuple):
    """The place of a node in an answer.

    Parameters
    ----------
    step
        Edges between it and what was asked for.
    key
        Its place among the nodes of the same step.
    """

    step: int
    key: Key


def write(question: object, cursor: Cursor) -> str:
    """The text of a cursor.

    Parameters
    ----------
    question
        What was asked; its `repr` tells it from other questions.
    cursor
        The last node of the page.

    Returns
    -------
    str
        It needs no quoting in a URL.
    """
    text = json.dumps([_sum(question), cursor.step, *cursor.key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def read(question: object, text: str) -> Cursor:
    """The cursor of a text.

    Parameters
    ----------
    question
        What is asked now.
    text
        What `write` made.

    Returns
    -------
    Cursor
        The last node of the page before.

    Raises
    ------
    OptionsError
        It is no cursor, or that of another question.
    """
    try:
        if len(text) > _LENGTH_MAX:
            raise ValueError
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        asked, step, *key = found
        kind, pipeline, id_, writer = key
        valid = type(step) is int and step >= 0 and all(type(each) is str for each in key)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        valid = False
    if not valid:
        raise OptionsError("after: expected the cursor of an answer as it is in its field next")
    if asked != _sum(question):
        raise OptionsError("after: the cursor is of another question; give it with the same id and parameters")
    return Cursor(step, (kind, pipeline, id_, writer))


def _sum(question: object) -> int:
    return zlib.crc32(repr(question).encode("utf-8", "surrogatepass"))
