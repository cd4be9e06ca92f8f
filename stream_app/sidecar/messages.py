"""Bytes that somebody posts or writes to a file, as messages with their format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from stream_app.errors import MalformedEvent
from stream_app.sidecar.spool import Message

#: As of `stream_app.sources`, whose import takes much of the memory that a sidecar may have.
NATIVE, OPENLINEAGE = "native", "openlineage"
#: Format -> where its events are posted, here and at the service; `/batch` is appended for arrays of them.
PATHS: Mapping[str, str] = {OPENLINEAGE: "/api/v1/lineage", NATIVE: "/v1/events"}


def message_of(body: bytes, format_: str | None = None) -> Message:
    """The message of a JSON object.

    Parameters
    ----------
    body
        The object. Whether it is a whole event the service decides, which refuses it otherwise.
    format_
        Its format; None: found by its keys, as `stream_app.sources.detect` does.

    Returns
    -------
    Message
        The message.

    Raises
    ------
    MalformedEvent
        It is no JSON object.
    """
    return _made(_parsed(body), format_)


def messages_of(body: bytes, format_: str) -> list[Message]:
    """The messages of a JSON array of objects, or of one object.

    Raises
    ------
    MalformedEvent
        It is neither.
    """
    found = _parsed(body)
    return [_made(each, format_) for each in (found if isinstance(found, list) else [found])]


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise MalformedEvent(f"not JSON: {error}") from None


def _made(document: Any, format_: str | None) -> Message:
    if not isinstance(document, dict):
        raise MalformedEvent(f"expected a JSON object, got {type(document).__name__}")
    if format_ is None:
        format_ = OPENLINEAGE if "eventTime" in document and "execution" not in document else NATIVE
    try:
        return Message(format_, orjson.dumps(document))
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedEvent(f"it cannot be written as JSON again: {error}") from None
