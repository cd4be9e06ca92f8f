"""Sources turn the bytes of a message into an event of the core, one module for each format.

A source is a function of the message and of the latest time that it may bear (ms since 1970 UTC, or None). It returns
an event, or None for a valid message about no execution, or raises `MalformedEvent`. To add a format: write the
function, enter it in `make_sources`, and let `detect` recognise its keys.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo

import orjson

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources import native
from stream_app.sources.documents import PARSED_BYTES
from stream_app.sources.envelopes import opened
from stream_app.sources.openlineage import OpenLineage
from stream_app.sources.openlineage_rules import Rules
from stream_app.sources.redaction import NOTHING, Redaction
from stream_app.sources.tolerant_json import VALUE, scan

__all__ = [
    "NATIVE", "NOTHING", "OPENLINEAGE", "SOURCES", "DeadLetter", "Decode", "Redaction", "Sources", "detect",
    "make_sources",
]  # fmt: skip

#: Message, latest time -> event.
Decode = Callable[[bytes, int | None], Event | None]

NATIVE, OPENLINEAGE = "native", "openlineage"


class Sources(Mapping[str, Decode]):
    """Formats by the name that `--format` takes, with their decoders.

    Parameters
    ----------
    decoders
        The decoders, whose events are redacted already.
    redaction
        What is not kept of messages.
    """

    def __init__(self, decoders: Mapping[str, Decode], redaction: Redaction = NOTHING) -> None:
        self._decoders = dict(decoders)
        self.redaction = redaction

    def __getitem__(self, name: str) -> Decode:
        return self._decoders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoders)

    def __len__(self) -> int:
        return len(self._decoders)


def make_sources(openlineage: Rules | None = None, zone: tzinfo = UTC, redaction: Redaction = NOTHING) -> Sources:
    """Makes the decoders of all formats.

    Parameters
    ----------
    openlineage
        The rules by which names of OpenLineage are read; by default `Rules()`.
    zone
        The time zone of times of OpenLineage that have no offset.
    redaction
        What is not kept of messages.

    Returns
    -------
    Sources
        The decoders.
    """
    decoders: dict[str, Decode] = {NATIVE: native.decode, OPENLINEAGE: OpenLineage(openlineage, zone).decode}
    if redaction:
        decoders = {name: _redacted(decode, redaction) for name, decode in decoders.items()}
    return Sources(decoders, redaction)


def _redacted(decode: Decode, redaction: Redaction) -> Decode:
    """A decoder whose events and errors are redacted."""

    def decoded(message: bytes, latest_ms: int | None) -> Event | None:
        try:
            event = decode(message, latest_ms)
        except MalformedEvent as error:
            raise MalformedEvent(redaction.reason(str(error))) from None
        return None if event is None else redaction.event(event)

    return decoded


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
    try:
        message = opened(message)
        if b'"eventTime"' not in message:  # the usual cases need no second parse
            return NATIVE
        if message[:1] == b"{" and message[-1:] == b"}" and b'"execution"' not in message and b"\\u" not in message:
            return OPENLINEAGE
        keys = _keys(message)
    except MalformedEvent:
        return NATIVE
    return OPENLINEAGE if "eventTime" in keys and "execution" not in keys else NATIVE


_KEYS = {"eventTime": VALUE, "execution": VALUE}


def _keys(message: bytes) -> Container[str]:
    """The keys of a JSON object, as far as they tell its format."""
    if len(message) <= PARSED_BYTES:
        try:
            document = orjson.loads(message)
        except orjson.JSONDecodeError:
            pass
        else:
            return document if isinstance(document, dict) else ()
    found, _ = scan(message, _KEYS)
    return found


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
