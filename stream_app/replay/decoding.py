"""Decodes messages of any format."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from stream_app.core.acts import is_act
from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources import SOURCES, Decode, Sources, detect
from stream_app.sources.strict_json import MAX_SHOWN, shown
from stream_app.wire import event_to_dict

AUTO = "auto"
#: The property with which `stream-app simulate` marks the runs that it makes up.
SIMULATED = "simulated"

_TYPES_MAX = 1000

#: The kind of fault of a line on which a logger has written something before the event.
PREFIXED = "not JSON alone: text stands before the object"
_STRIP = "strip it, for instance with `grep -o '{ *\".*'`"
#: Where an object begins. Loggers write braces before it, such as `{console.py:29}`, but no key.
_OBJECT = re.compile(rb'\{ *"')
#: Objects that a line may begin with before the event's, and fields of a message in which an event is looked for.
_TRIED = 100


def decode(
    message: bytes, source: str = AUTO, latest_ms: int | None = None, sources: Sources = SOURCES
) -> Event | None:
    """The event of a message; None for a valid message about no execution, which is ignored.

    Parameters
    ----------
    message
        The message.
    source
        The name of its format in `sources`, or `auto`: the format is detected from the keys of the message.
    latest_ms
        The latest time of an event, in ms since 1970 UTC; None: not bounded.
    sources
        The decoders.

    Raises
    ------
    MalformedEvent
        It is not an event.
    """
    try:
        return sources[detect(message) if source == AUTO else source](message, latest_ms)
    except MalformedEvent as error:
        prefix = _prefix(message)
        if prefix is not None:
            reason = f"{PREFIXED}, got {shown(prefix)}; {_STRIP}"
            raise MalformedEvent(sources.redaction.reason(reason)) from error
        wrapped = _wrapped(message)
        if wrapped is None:
            raise
        raise MalformedEvent(wrapped) from error


class Redacted:
    """Messages as they may be written where anything is redacted: the native form of each event.

    Parameters
    ----------
    messages
        Messages of any format.
    sources
        The decoders.
    """

    def __init__(self, messages: Iterable[bytes], sources: Sources) -> None:
        self._messages = messages
        self._sources = sources
        #: Messages that are no events, which are left out.
        self.left_out = 0

    def __iter__(self) -> Iterator[bytes]:
        for message in self._messages:
            try:
                event = decode(message, sources=self._sources)
            except MalformedEvent:
                event = None
            if event is not None:
                yield orjson.dumps(event_to_dict(event))
            else:
                self.left_out += 1


class SeenTypes:
    """Counts the events of each execution type that decoders return.

    Parameters
    ----------
    sources
        The decoders.
    """

    def __init__(self, sources: Sources) -> None:
        #: Execution type -> events; at most 1,000 types.
        self.types: Counter[str] = Counter()
        #: Whether an event says that a simulator made it up.
        self.simulated = False
        #: The decoders, counted.
        self.sources = Sources({name: self._counted(source) for name, source in sources.items()}, sources.redaction)

    def _counted(self, source: Decode) -> Decode:
        def decoded(message: bytes, latest_ms: int | None) -> Event | None:
            event = source(message, latest_ms)
            if event is not None and not is_act(event):
                name = event.execution_type
                if name in self.types or len(self.types) < _TYPES_MAX:
                    self.types[name] += 1
                if event.properties.get(SIMULATED) is True:
                    self.simulated = True
            return event

        return decoded


def _prefix(message: bytes) -> str | None:
    """What a logger has written before the JSON object of a line; None where it is not that."""
    if _OBJECT.match(message.lstrip()) or _parsed(message) is not None:
        return None
    for found in itertools.islice(_OBJECT.finditer(message), _TRIED):
        if _parsed(message[found.start() :]) is not None:
            return message[: found.start()].decode(errors="replace")
    return None


def _parsed(text: bytes | str) -> Any:
    """The JSON of a text; None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _wrapped(message: bytes) -> str | None:
    """Where a message of another program has an event in it, and how to take it out; None where there is none."""
    document = _parsed(message)
    if type(document) is str and _is_event(document):
        return "the event is text in quotation marks; unquote it, for instance with `jq -r .`"
    for key, value in itertools.islice(document.items() if type(document) is dict else (), _TRIED):
        if _is_event(value):
            field = f".{key}" if key.isidentifier() and key.isascii() and len(key) <= MAX_SHOWN else f".[{shown(key)}]"
            quoted = field.replace("'", r"'\''")  # the key is a stranger's, and the command is there to be run
            command = f"jq -{'r' if type(value) is str else 'c'} '{quoted}'"
            return f"the event is in the field {shown(key)} of the message; take it out, for instance with `{command}`"
    return None


def _is_event(value: object) -> bool:
    """Whether a value, or the JSON in a text, looks like an event of some format."""
    if type(value) is str:
        value = _parsed(value)
    return isinstance(value, dict) and ({"eventTime", "run"} <= value.keys() or {"time", "execution"} <= value.keys())
