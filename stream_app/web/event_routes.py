"""Events posted one by one or as an array, into an intake: OpenLineage as its clients send it, and native ones.

A message is acknowledged when the intake has it, and only then.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from aiohttp import web

from stream_app.core.state.entities import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.sources import NATIVE, OPENLINEAGE, Decode, Sources
from stream_app.sources.strict_json import MAX_BYTES, check_structure, parse_batch
from stream_app.web.bodies import Bodies
from stream_app.web.intake import Intake, Message, take
from stream_app.web.problems import ProblemError

#: Bytes of a batch, and events in it.
BATCH_BYTES, BATCH_EVENTS = 16 << 20, 10_000
#: Opening brackets in a batch, those in texts included: each may be a list or an object of a hundred bytes or more in
#: memory. The fields of a schema, which are the shortest objects of real events, have one in some 27 bytes.
BATCH_BRACKETS = BATCH_BYTES // 16
#: Format -> where its events are posted.
PATHS = {OPENLINEAGE: "/api/v1/lineage", NATIVE: "/v1/events"}


def event_routes(intake: Intake, sources: Sources) -> list[web.RouteDef]:
    """The routes of all formats, and their batch forms."""
    bodies, splitting = Bodies(), asyncio.Lock()
    return [
        route
        for format_, path in PATHS.items()
        for route in EventRoutes(path, sources[format_], intake, bodies, splitting).routes()
    ]


class EventRoutes:
    """The handlers of the two routes of a format."""

    def __init__(self, path: str, decode: Decode, intake: Intake, bodies: Bodies, splitting: asyncio.Lock) -> None:
        self._path = path
        self._decode = decode
        self._intake = intake
        self._bodies = bodies
        #: One at a time: a batch takes many times its size while it is split.
        self._splitting = splitting

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post(self._path, self.one), web.post(f"{self._path}/batch", self.batch)]

    async def one(self, request: web.Request) -> web.Response:
        """Takes one event: 201 when it is safe, 422 when it is none."""
        async with self._bodies.read(request, MAX_BYTES) as body:
            try:
                message = self._checked(body)
            except MalformedEvent as error:
                raise ProblemError(422, str(error)) from None
            await take(self._intake, [message])
        return web.Response(status=201)

    async def batch(self, request: web.Request) -> web.Response:
        """Takes an array of events: those that are events are kept, the others told by index."""
        async with self._bodies.read(request, BATCH_BYTES) as body:
            try:
                async with self._splitting:
                    messages = await asyncio.to_thread(_split, body)
            except MalformedEvent as error:
                raise ProblemError(422, str(error)) from None
            return await self._take_all(messages)

    async def _take_all(self, messages: list[bytes]) -> web.Response:
        kept: list[Message] = []
        faults: dict[int, str] = {}
        for index, each in enumerate(messages):
            try:
                kept.append(self._checked(each))
            except MalformedEvent as error:
                faults[index] = str(error)
        if faults and not kept:
            raise ProblemError(422, f"none of {len(messages):,} is an event; the first: {next(iter(faults.values()))}")
        if kept:
            await take(self._intake, kept)
        answer: dict[str, Any] = {
            "status": "partial_success" if faults else "success",
            "summary": {"received": len(messages), "successful": len(kept), "failed": len(faults)},
            "failed_events": [{"index": index, "reason": reason} for index, reason in faults.items()],
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    def _checked(self, message: bytes) -> Message:
        """Raises MalformedEvent."""
        event = self._decode(message, time.time_ns() // 1_000_000 + DAY_MS)
        return message, event.pipeline if event is not None else None


def _split(body: bytes) -> list[bytes]:
    """The messages of an array. Raises MalformedEvent."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > BATCH_BRACKETS:
        raise MalformedEvent(f"expected at most {BATCH_BRACKETS:,} opening brackets in a batch, got {brackets:,}")
    documents = parse_batch(body, BATCH_EVENTS)
    check_structure(body, documents)
    return [orjson.dumps(document) for document in documents]
