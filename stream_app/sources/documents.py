"""From the bytes of a message to the document that a decoder reads: the usual message by a parser, others tolerantly.

A message of at most 1 MiB that is strict, flat JSON is parsed once. For any other message, `tolerant_json` reads the
fields of the decoder's schema and drops what nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from stream_app.errors import MalformedEvent
from stream_app.sources.envelopes import foreign_format, opened
from stream_app.sources.strict_json import EMPTY, check_size, check_structure, shown
from stream_app.sources.tolerant_json import scan

#: Bytes of the largest message that is parsed as a whole, since a parsed document takes many times its size.
PARSED_BYTES = 1 << 20

_SPACE = b" \t\r\n"


class Document(NamedTuple):
    """A message as a decoder reads it."""

    #: The JSON object.
    fields: dict[str, Any]
    #: The bytes of it, without envelope.
    message: bytes
    #: Parts that were dropped; None: it was parsed as a whole, and `check` says.
    dropped: int | None


def read(message: bytes, schema: Mapping[str, Any]) -> Document:
    """Reads the JSON object in a message.

    Parameters
    ----------
    message
        The message, perhaps a CloudEvent in structured mode.
    schema
        The fields that the decoder reads, as in `stream_app.sources.tolerant_json.scan`.

    Returns
    -------
    Document
        With all fields of the message, or with those of the schema alone.

    Raises
    ------
    MalformedEvent
        The message is too large or not a JSON object.
    """
    check_size(message)
    message = opened(message)
    if len(message) > PARSED_BYTES:
        return _scanned(message, schema)
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        return _scanned(message, schema)
    if type(fields) is not dict:
        raise MalformedEvent(f"expected a JSON object, got {shown(fields)}")
    return Document(fields, message, None)


def check(document: Document, schema: Mapping[str, Any], known_keys: int = 0) -> int:
    """Refuses a document in which a field that is read appears twice, and counts the parts that nobody can read.

    Parameters
    ----------
    document
        The document.
    schema
        The fields that the decoder reads.
    known_keys
        As in `stream_app.sources.strict_json.check_structure`.

    Returns
    -------
    int
        Number of parts that were dropped.

    Raises
    ------
    MalformedEvent
        A field appears twice.
    """
    if document.dropped is not None:
        return document.dropped
    try:
        check_structure(document.message, document.fields, known_keys)
    except MalformedEvent:
        return scan(document.message, schema)[1]
    return 0


def _scanned(message: bytes, schema: Mapping[str, Any]) -> Document:
    if not message[:1024].strip(_SPACE) and not message.strip(_SPACE):
        raise MalformedEvent(EMPTY)
    try:
        fields, dropped = scan(message, schema)
    except MalformedEvent as error:
        foreign = foreign_format(message)
        if foreign is None:
            raise
        raise MalformedEvent(foreign) from error
    return Document(fields, message, dropped)
