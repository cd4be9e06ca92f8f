"""`/v1/flags`, as a list and as a stream of server-sent events, and `/v1/audit`.

References
----------
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib

import orjson
from aiohttp import web

from stream_app.alerts.feed import FlagFeed, Page
from stream_app.alerts.filters import matcher
from stream_app.alerts.records import AlertRecord, cloud_event, record_to_dict, type_of
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.alerts.subscription_service import SubscriptionService
from stream_app.times import time_to_text
from stream_app.web.listening import Connection
from stream_app.web.problems import ProblemError
from stream_app.web.subscription_routes import LIMIT, LIMIT_MAX, answer, number_of, problems_of, queried
from stream_app.web.tokens import PRINCIPAL

FLAGS, STREAM, AUDIT = "/v1/flags", "/v1/flags/stream", "/v1/audit"
EVENT_STREAM = "text/event-stream"
#: Seconds between two comments where nothing happens, and that a listener may take to read a page.
COMMENT_SECONDS, WRITE_SECONDS = 15.0, 30.0
#: Milliseconds after which a client connects again.
_RETRY = b"retry: 2000\n\n"


class FlagRoutes:
    """The handlers.

    Parameters
    ----------
    subscriptions
        Finds flags.
    feed
        Follows their records.
    """

    def __init__(self, subscriptions: SubscriptionService, feed: FlagFeed) -> None:
        self._subscriptions = subscriptions
        self._feed = feed

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get(FLAGS, self.flags), web.get(STREAM, self.stream, allow_head=False), web.get(AUDIT, self.audit)]

    async def closing(self, _: web.Application) -> None:
        """Ends all streams; to be called when the application shuts down."""
        self._feed.close()

    @problems_of
    async def flags(self, request: web.Request) -> web.Response:
        """The last record of each of the latest flags, newest first."""
        query = queried(request, "pipeline", "open", "limit")
        limit = number_of(query.get("limit"), "limit", LIMIT, LIMIT_MAX)
        if query.get("open", "false") not in ("true", "false"):
            raise ProblemError(400, "open: expected true or false", field="open")
        opened, pipeline = query.get("open") == "true", query.get("pipeline")
        found = await asyncio.to_thread(self._subscriptions.flags, request[PRINCIPAL], limit, pipeline, opened=opened)
        return answer({"flags": [record_to_dict(each) for each in found]})

    @problems_of
    async def audit(self, request: web.Request) -> web.Response:
        """Who changed what, newest first."""
        limit = number_of(queried(request, "limit").get("limit"), "limit", LIMIT, LIMIT_MAX)
        found = await asyncio.to_thread(self._subscriptions.audit, request[PRINCIPAL], limit)
        return answer({"entries": [_entry(each) for each in found]})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Records of flags and findings as they come, each with its number as the id, from after `Last-Event-ID` on."""
        pipeline = queried(request, "pipeline").get("pipeline")
        last = request.headers.get("Last-Event-ID")
        after = number_of(last, "Last-Event-ID", 0, 1 << 62) if last not in (None, "", "0") else None
        if last == "0":
            after = 0
        if self._feed.full:
            raise ProblemError(503, "too many listeners", {"Retry-After": "30"})
        who = request[PRINCIPAL]
        chosen = matcher((pipeline,)) if pipeline is not None else lambda _: True
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = EVENT_STREAM
        async with contextlib.aclosing(self._feed.follow(after, COMMENT_SECONDS)) as pages:
            try:
                async for page in pages:
                    if not response.prepared:
                        await response.prepare(request)
                        # Whoever loses the connection before anything came does not miss what came meanwhile.
                        await response.write(_RETRY + _only_id(page.last))
                        continue
                    seen = [
                        (number, each)
                        for number, each in page.records
                        if chosen(each.pipeline) and who.sees(each.pipeline)
                    ]
                    await _write(request, response, _piece(page, seen))
            except AlertStoreError as error:
                if not response.prepared:
                    raise ProblemError(503, str(error), {"Retry-After": "5"}) from None
                _cut(request)
            except (ConnectionError, TimeoutError):
                _cut(request)
        return response


async def _write(request: web.Request, response: web.StreamResponse, piece: bytes) -> None:
    """Sends a piece; raises TimeoutError where the listener does not read."""
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(piece)
    if isinstance(request.protocol, Connection):
        request.protocol.prolong()


def _cut(request: web.Request) -> None:
    """Closes the connection of a stream at once; its listener connects again with the last id that it has."""
    if isinstance(request.protocol, Connection):
        request.protocol.abort()


def _piece(page: Page, seen: list[tuple[int, AlertRecord]]) -> bytes:
    """What is sent of a page."""
    if seen:
        return b"".join(event(number, record) for number, record in seen)
    # An id alone: whoever connects again is not sent from before what it does not see.
    return _only_id(page.last) if page.records else b": nothing new\n\n"


def _only_id(number: int) -> bytes:
    return b"id: %d\n\n" % number


def event(number: int, record: AlertRecord) -> bytes:
    """A record as a server-sent event.

    Parameters
    ----------
    number
        Its number.
    record
        The record.
    """
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        number,
        type_of(record).encode(),
        orjson.dumps(cloud_event(record)),
    )


def _entry(each: AuditEntry) -> dict[str, str]:
    return {"time": time_to_text(each.time_ms), "who": each.who, "what": each.what, "subscription": each.subject}
