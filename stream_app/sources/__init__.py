"""Sources turn the bytes of a message into an event of the core, one module for each format.

A source is a function of the message and of the latest time that it may bear (ms since 1970 UTC, or None). It returns
an event, or None for a valid message about no execution, or raises `MalformedEvent`. To add a format: write the
function, enter it in `make_sources`, and let `detect` recognise its keys.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from stream_app.core.events import Event
from stream_app.sources import native
from stream_app.sources.openlineage import OpenLineage
from stream_app.sources.openlineage_rules import Rules

__all__ = ["NATIVE", "OPENLINEAGE", "SOURCES", "DeadLetter", "Decode", "Sources", "detect", "make_sources"]

#: Message, latest time -> event.
Decode = Callable[[bytes, int | None], Event | None]
#: Formats by the name that `--format` takes.
Sources = Mapping[str, Decode]

NATIVE, OPENLINEAGE = "native", "openlineage"


def make_sources(openlineage: Rules | None = None) -> Sources:
    """Makes the decoders of all formats.

    Parameters
    ----------
    openlineage
        The rules by which names of OpenLineage are read; by default `Rules()`.

    Returns
    -------
    mapping of str to callable
        Format to decoder.
    """
    return MappingProxyType({NATIVE: native.decode, OPENLINEAGE: OpenLineage(openlineage).decode})


#: The formats with default rules.
SOURCES = make_sources()


def detect(message: bytes) -> str:
    """Finds the format of a message by its keys.

    Parameters
    ----------
    message
        The message.

    Returns
    -------
    str
        `openlineage` for an object with `eventTime` and without `execution`, else `native`. A message that cannot be
        read counts as native, whose decoder reports what is wrong with it.

    Examples
    --------
    >>> detect(b'{"eventTime": "2026-03-01T12:34:56Z"}'), detect(b"[]")
    ('openlineage', 'native')
    """
    if b'"eventTime"' not in message:  # the usual cases need no second parse
        return NATIVE
    if message[:1] == b"{" and message[-1:] == b"}" and b'"execution"' not in message and b"\\u" not in message:
        return OPENLINEAGE
    try:
        document = orjson.loads(message)
    except orjson.JSONDecodeError:
        return NATIVE
    if isinstance(document, dict) and "eventTime" in document and "execution" not in document:
        return OPENLINEAGE
    return NATIVE


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that is not an event, kept whole.

    Parameters
    ----------
    message
        The message.
    place
        Where it was read: `file:line`, or `topic/partition/offset`.
    reason
        What is wrong with it, for a person.
    """

    message: bytes
    place: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """The JSON form.

        Returns
        -------
        dict
            `place`, `reason`, and the message as `message`, or as `message_base64` when its bytes are not UTF-8.
        """
        letter = {"place": self.place, "reason": self.reason}
        try:
            letter["message"] = self.message.decode()
        except UnicodeDecodeError:
            letter["message_base64"] = base64.b64encode(self.message).decode()
        return letter
