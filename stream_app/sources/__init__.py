"""Sources turn the bytes of a message into an event of the core, one module a format.

A source is a function of the message and the latest time it may bear (ms since 1970 UTC, or None), which
returns an event, or None for what is right but tells of no execution, or raises `MalformedEvent`. To add a
format: write the function, enter it in `make_sources`, teach `detect` its keys.
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

Decode = Callable[[bytes, int | None], Event | None]
#: Formats by the name that `--format` takes.
Sources = Mapping[str, Decode]

NATIVE, OPENLINEAGE = "native", "openlineage"


def make_sources(openlineage: Rules | None = None) -> Sources:
    """All formats; `openlineage` are the rules that its names are read by."""
    return MappingProxyType({NATIVE: native.decode, OPENLINEAGE: OpenLineage(openlineage).decode})


#: The formats with default rules.
SOURCES = make_sources()


def detect(message: bytes) -> str:
    """The format of a message, by its keys: `openlineage` when it has `eventTime` and not `execution`, else
    `native`.

    What cannot be read counts as native, whose decoder says what is wrong with it.
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
    """A message that is no event, kept whole."""

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
