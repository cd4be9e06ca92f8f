"""Sources decode the bytes of a message into an event of the core, one module a format.

A source is a function of a message and of the latest time that its event may have (ms since 1970 UTC, or None). It
returns an event, or None for a valid message about no execution, or raises `MalformedEvent`. A new format needs such a
function, an entry in `make_sources`, and its keys in `detect`.
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
    """The decoders of all formats, by format.

    Parameters
    ----------
    openlineage
        Rules that map names of OpenLineage to pipelines and operators; None: the defaults.
    """
    return MappingProxyType({NATIVE: native.decode, OPENLINEAGE: OpenLineage(openlineage).decode})


#: The formats with default rules.
SOURCES = make_sources()


def detect(message: bytes) -> str:
    """The format of a message, by its keys.

    Parameters
    ----------
    message
        Any bytes.

    Returns
    -------
    str
        `openlineage` for an object with the key `eventTime` and without `execution`, else `native`. A message that is
        not JSON counts as native, whose decoder gives the reason.
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
    """A message that is not an event, with all of its bytes."""

    message: bytes
    #: Where it came from: `file:line`, or `topic/partition/offset`.
    place: str
    #: What is wrong with it, for a person.
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Its JSON form; the message as text, or as `message_base64` when its bytes are not UTF-8."""
        letter = {"place": self.place, "reason": self.reason}
        try:
            letter["message"] = self.message.decode()
        except UnicodeDecodeError:
            letter["message_base64"] = base64.b64encode(self.message).decode()
        return letter
