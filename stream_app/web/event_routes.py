"""The routes of events, one by one or as an array: OpenLineage as its clients send it, and native events.

A message is acknowledged only when the intake has stored it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from aiohttp import web

from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.service.event_log import Accepted
from stream_app.sources import NATIVE, OPENLINEAGE, Decode, Sources
from stream_app.sources.strict_json import MAX_BYTES, check_structure, parse_batch
from stream_app.web.bodies import Bodies
from stream_app.web.intake import Intake, store
from stream_app.web.problems import ProblemError

#: Bytes of a batch, and events in it.
BATCH_BYTES, BATCH_EVENTS = 16 << 20, 10_000
#: Opening brackets in a batch, those in strings included: each may be a list or an object of a hundred bytes or more in
#: memory. The shortest objects of real events, the fields of a schema, have one bracket in about 27 bytes.
BATCH_BRACKETS = BATCH_BYTES // 16
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
        for route in EventRoutes(path, sources[format_], intake, bodies, splitting).routes()
    ]


class EventRoutes:
    """The handlers of the two routes of a format.

    Parameters
    ----------
    path
        Of single events; `/batch` is appended for batches.
    decode
        The decoder of the format.
    intake
        Stores the events.
    bodies
        Reads request bodies; shared by all formats.
    splitting
        Held while a batch is split, since it takes many times its size meanwhile; shared by all formats.
    """

    def __init__(self, path: str, decode: Decode, intake: Intake, bodies: Bodies, splitting: asyncio.Lock) -> None:
        self._path = path
        self._decode = decode
        self._intake = intake
        self._bodies = bodies
        self._splitting = splitting

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post(self._path, self.one), web.post(f"{self._path}/batch", self.batch)]

    async def one(self, request: web.Request) -> web.Response:
        """Takes one event: 201 when it is stored, 422 when it is malformed."""
        async with self._bodies.read(request, MAX_BYTES) as body:
            try:
                message = self._decoded(body)
            except MalformedEvent as error:
                raise ProblemError(422, str(error)) from None
            await store(self._intake, [message])
        return web.Response(status=201)

    async def batch(self, request: web.Request) -> web.Response:
        """Takes an array of events: valid ones are stored, malformed ones are reported by index."""
        async with self._bodies.read(request, BATCH_BYTES) as body:
            try:
                async with self._splitting:
                    messages = await asyncio.to_thread(_split, body)
            except MalformedEvent as error:
                raise ProblemError(422, str(error)) from None
            return await self._take_all(messages)

    async def _take_all(self, messages: list[bytes]) -> web.Response:
        accepted: list[Accepted] = []
        faults: dict[int, str] = {}
        for index, each in enumerate(messages):
            try:
                accepted.append(self._decoded(each))
            except MalformedEvent as error:
                faults[index] = str(error)
        if faults and not accepted:
            raise ProblemError(422, f"none of {len(messages):,} is an event; the first: {next(iter(faults.values()))}")
        if accepted:
            await store(self._intake, accepted)
        answer: dict[str, Any] = {
            "status": "partial_success" if faults else "success",
            "summary": {"received": len(messages), "successful": len(accepted), "failed": len(faults)},
            "failed_events": [{"index": index, "reason": reason} for index, reason in faults.items()],
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    def _decoded(self, message: bytes) -> Accepted:
        return Accepted(message, self._decode(message, time.time_ns() // 1_000_000 + DAY_MS))


def _split(body: bytes) -> list[bytes]:
    """The messages of an array; raises MalformedEvent."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > BATCH_BRACKETS:
        raise MalformedEvent(f"expected at most {BATCH_BRACKETS:,} opening brackets in a batch, got {brackets:,}")
    documents = parse_batch(body, BATCH_EVENTS)
    check_structure(body, documents)
    return [orjson.dumps(document) for document in documents]
