"""`POST /api/v1/lineage` and `/api/v1/lineage/batch`: OpenLineage as its clients send it, into an intake.

A message is acknowledged when the intake has it, and only then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

from stream_app.core.state import DAY_MS
from stream_app.errors import MalformedEvent, StreamAppError
from stream_app.sources import OPENLINEAGE, Sources
from stream_app.sources.strict_json import MAX_BYTES, check_structure, parse_batch
from stream_app.web.bodies import Bodies
from stream_app.web.problems import ProblemError

#: Bytes of a batch, and events in it.
BATCH_BYTES, BATCH_EVENTS = 16 << 20, 10_000
#: Seconds after which a request is given up that the intake has not answered.
_SECONDS = 30.0

#: A message, and its pipeline if it tells of an execution.
Message = tuple[bytes, str | None]
#: Takes messages, and returns when they are safe. Raises StreamAppError when they cannot be kept now.
Intake = Callable[[Sequence[Message]], Awaitable[None]]


class Lineage:
    """The handlers of the two routes."""

    def __init__(self, intake: Intake, sources: Sources) -> None:
        self._intake = intake
        self._decode = sources[OPENLINEAGE]
        self._bodies = Bodies()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post("/api/v1/lineage", self.one), web.post("/api/v1/lineage/batch", self.batch)]

    async def one(self, request: web.Request) -> web.Response:
        """Takes one event: 201 when it is safe, 422 when it is none."""
        body = await self._bodies.read(request, MAX_BYTES)
        try:
            message = self._checked(body)
        except MalformedEvent as error:
            raise ProblemError(422, str(error)) from None
        await self._take([message])
        return web.Response(status=201)

    async def batch(self, request: web.Request) -> web.Response:
        """Takes an array of events: those that are events are kept, the others told by index."""
        body = await self._bodies.read(request, BATCH_BYTES)
        try:
            messages = await asyncio.to_thread(_split, body)
        except MalformedEvent as error:
            raise ProblemError(422, str(error)) from None
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
            await self._take(kept)
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

    async def _take(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._intake(messages)
        except TimeoutError:
            raise ProblemError(503, "cannot be kept in time; try again", {"Retry-After": "5"}) from None
        except StreamAppError as error:
            raise ProblemError(503, f"cannot be kept now: {error}", {"Retry-After": "5"}) from None


def _split(body: bytes) -> list[bytes]:
    """The messages of an array. Raises MalformedEvent."""
    documents = parse_batch(body, BATCH_EVENTS)
    check_structure(body, documents)
    return [orjson.dumps(document) for document in documents]
