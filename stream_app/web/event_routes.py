"""The routes of events, one by one or as an array: OpenLineage as its clients send it, and native events.

A message is acknowledged only when the intake has stored it. A CloudEvent is taken in both of its modes: in the binary
one the body is the event, and in the structured one the decoder unwraps it.
"""

from __future__ import annotations

import asyncio
import codecs
import re
import time
from typing import Any

import orjson
from aiohttp import web

from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.service.event_log import Accepted
from stream_app.sources import NATIVE, NOTHING, OPENLINEAGE, Decode, Redaction, Sources
from stream_app.sources.acts import no_act
from stream_app.sources.strict_json import check_structure, parse_batch
from stream_app.web.bodies import JSON, Bodies
from stream_app.web.intake import Intake, store
from stream_app.web.problems import ProblemError
from stream_app.wire import event_to_dict

#: Bytes of an event or a batch, and events in a batch.
BODY_BYTES, BATCH_EVENTS = 16 << 20, 10_000
#: Larger events are parsed on a thread, so that the event loop is not held up.
_SYNC_BYTES = 256 << 10
#: Opening brackets in a body, those in strings included: each may be a list or an object of a hundred bytes or more in
#: memory. The shortest objects of real events, the fields of a schema, have one bracket in about 27 bytes.
BRACKETS = BODY_BYTES // 16
#: Types of the body of one event and of a batch; `application/json` is also that of a CloudEvent in binary mode.
TYPES = (JSON, "application/cloudevents+json")
_CLOUD_EVENTS = "application/cloudevents-batch+json"
BATCH_TYPES = (JSON, _CLOUD_EVENTS)
#: Format -> where its events are posted.
PATHS = {OPENLINEAGE: "/api/v1/lineage", NATIVE: "/v1/events"}


def event_routes(intake: Intake, sources: Sources) -> list[web.RouteDef]:
    """The routes of all formats, for single events and batches.

    Parameters
    ----------
    intake
        Stores the events.
    sources
        The decoders by format.
    """
    bodies, splitting = Bodies(), asyncio.Lock()
    return [
        route
        for format_, path in PATHS.items()
        for route in EventRoutes(path, format_, sources[format_], intake, bodies, splitting, sources.redaction).routes()
    ]


class EventRoutes:
    """The handlers of the two routes of a format.

    Parameters
    ----------
    path
        Of single events; `/batch` is appended for batches.
    format_
        The name of the format.
    decode
        The decoder of the format.
    intake
        Stores the events.
    bodies
        Reads request bodies; shared by all formats.
    splitting
        Held while a batch or a large event is parsed on a thread, since it takes many times its size meanwhile; shared
        by all formats.
    redaction
        What is not kept of messages.
    """

    def __init__(
        self, path: str, format_: str, decode: Decode, intake: Intake, bodies: Bodies, splitting: asyncio.Lock,
        redaction: Redaction = NOTHING,
    ) -> None:  # fmt: skip
        self._path = path
        self._format = format_
        self._decode = decode
        self._intake = intake
        self._bodies = bodies
        self._splitting = splitting
        self._redaction = redaction

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post(self._path, self.one), web.post(f"{self._path}/batch", self.batch)]

    async def one(self, request: web.Request) -> web.Response:
        """Takes one event: 201 when it is stored, 422 when it is malformed; a batch of CloudEvents as `batch` does."""
        if request.content_type == _CLOUD_EVENTS:
            return await self.batch(request)
        async with self._bodies.read(request, BODY_BYTES, *TYPES) as body:
            try:
                _check_brackets(body)
                if len(body) <= _SYNC_BYTES:
                    message = self._decoded(body)
                else:
                    async with self._splitting:
                        message = await asyncio.to_thread(self._decoded, body)
            except MalformedEvent as error:
                raise ProblemError(422, self._redaction.reason(str(error))) from None
            await self._store([message])
        return web.Response(status=201)

    async def batch(self, request: web.Request) -> web.Response:
        """Takes an array of events: valid ones are stored, malformed ones are reported by index."""
        async with self._bodies.read(request, BODY_BYTES, *BATCH_TYPES) as body:
            try:
                async with self._splitting:
                    accepted, faults = await asyncio.to_thread(self._decoded_batch, body)
            except MalformedEvent as error:
                raise ProblemError(422, self._redaction.reason(str(error))) from None
            received = len(accepted) + len(faults)
            if faults and not accepted:
                raise ProblemError(422, f"none of {received:,} is an event; the first: {next(iter(faults.values()))}")
            if accepted:
                await self._store(accepted)
        answer: dict[str, Any] = {
            "status": "partial_success" if faults else "success",
            "summary": {"received": received, "successful": len(accepted), "failed": len(faults)},
            "failed_events": [{"index": index, "reason": reason} for index, reason in faults.items()],
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    def _decoded_batch(self, body: bytes) -> tuple[list[Accepted], dict[int, str]]:
        """The events of an array, and what is wrong with the others by index; raises MalformedEvent."""
        accepted: list[Accepted] = []
        faults: dict[int, str] = {}
        for index, each in enumerate(_split(body)):
            try:
                accepted.append(self._decoded(each))
            except MalformedEvent as error:
                faults[index] = str(error)
        return accepted, faults

    def _decoded(self, message: bytes) -> Accepted:
        event = no_act(self._decode(message, time.time_ns() // 1_000_000 + DAY_MS))
        if self._redaction and event is not None:
            return Accepted(orjson.dumps(event_to_dict(event)), event, NATIVE)
        return Accepted(message, event, self._format)

    async def _store(self, accepted: list[Accepted]) -> None:
        """Stores messages; where anything is redacted only events, in their native form."""
        kept = [each for each in accepted if each.event is not None] if self._redaction else accepted
        if kept:
            await store(self._intake, kept)


def _check_brackets(body: bytes) -> None:
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > BRACKETS:
        raise MalformedEvent(f"expected at most {BRACKETS:,} opening brackets, got {brackets:,}")


def _split(body: bytes) -> list[bytes]:
    """The messages of an array; raises MalformedEvent."""
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_brackets(body)
    try:
        documents = parse_batch(body, BATCH_EVENTS)
        check_structure(body, documents)
    except MalformedEvent:
        messages = _elements(body)
        if not messages:
            raise
        return messages  # it may be one event alone that is wrong, which is then reported by its index
    return [orjson.dumps(document) for document in documents]


#: A string, also one without its end, or a character that begins, separates or ends the elements of an array.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"


def _elements(body: bytes) -> list[bytes]:
    """The elements of an array, whatever they hold; none where it is no array, or has too many of them."""
    text = body.strip(_SPACE)
    if text[:1] != b"[" or text.count(b",") + text.count(b'"') // 2 > 4 * BRACKETS:
        return []
    found: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        character = token.group()
        if character in (b"[", b"{"):
            depth += 1
        elif character in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and character == b","):
            found.append(text[start : token.start()].strip(_SPACE))
            start = token.end()
            if len(found) > BATCH_EVENTS:
                return []
        if depth == 0:
            return found if start == len(text) else []
    return []
