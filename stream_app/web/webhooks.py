"""`POST /api/v1/mlflow/webhook`: deliveries of MLflow's model registry, authenticated by their signature.

The route needs no token, since MLflow cannot send one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent, StreamAppError
from stream_app.service.event_log import Accepted
from stream_app.sources import NATIVE, NOTHING, Redaction
from stream_app.sources.mlflow import Deliveries, RejectedWebhook, Rules, decode_webhook, verify
from stream_app.sources.mlflow.webhooks import DELIVERY, SIGNATURE, TIMESTAMP, OriginOf
from stream_app.web.bodies import Bodies
from stream_app.web.intake import Intake, store
from stream_app.web.problems import ProblemError
from stream_app.wire import event_to_dict

log = logging.getLogger(__name__)

PATH = "/api/v1/mlflow/webhook"
#: Bytes of one body.
_BYTES = 1 << 20
#: Bytes of all bodies held at one time, and bodies; their senders are not authenticated yet.
_TOGETHER, _BODIES = 16 << 20, 16
#: Seconds that MLflow may take to answer where a model comes from, and queries at one time.
_SECONDS, _QUERIES = 15.0, 2


@dataclass(frozen=True)
class WebhookSettings:
    """Settings of the webhook."""

    #: The secret with which MLflow signs deliveries.
    secret: str = field(repr=False)
    rules: Rules = field(default_factory=Rules)
    #: Returns where a version of a model comes from; see `decode_webhook`.
    origin_of: OriginOf | None = None
    #: What is not kept of its event.
    redaction: Redaction = NOTHING


class Webhooks:
    """The handler of the route.

    Parameters
    ----------
    intake
        Stores the events.
    settings
        Settings of the webhook.
    taken
        The deliveries that were taken before; None: none is known.
    """

    def __init__(self, intake: Intake, settings: WebhookSettings, taken: Deliveries | None = None) -> None:
        self._intake = intake
        self._settings = settings
        # MLflow does not compress, and a signature is checked after the body is read.
        self._bodies = Bodies(_TOGETHER, _BODIES, compressed=False)
        self._taken = taken if taken is not None else Deliveries()
        self._asking = ThreadPoolExecutor(_QUERIES, "mlflow")

    def routes(self) -> list[web.RouteDef]:
        """The route."""
        return [web.post(PATH, self.take)]

    async def take(self, request: web.Request) -> web.Response:
        """Takes one delivery: 201 when its event is stored, 200 when it contains nothing new, else 401 or 422."""
        if any(name not in request.headers for name in (SIGNATURE, TIMESTAMP, DELIVERY)):
            raise ProblemError(401, "webhook: the signature is wrong or missing")
        async with self._bodies.read(request, _BYTES) as body:
            return await self._take(request.headers, body)

    async def _take(self, headers: Mapping[str, str], body: bytes) -> web.Response:
        now_ms = time.time_ns() // 1_000_000
        try:
            verify(headers, body, self._settings.secret, now_ms)
            if self._taken.has(headers, now_ms):
                return web.Response(status=200)
            event = await self._decoded(headers, body, now_ms)
        except RejectedWebhook as error:
            raise ProblemError(401, str(error)) from None
        except MalformedEvent as error:
            raise ProblemError(422, self._settings.redaction.reason(str(error))) from None
        if event is not None:
            event = self._settings.redaction.event(event)
            message = orjson.dumps(event_to_dict(event))
            await store(self._intake, [Accepted(message, event, NATIVE, Deliveries.id_of(headers))])
        self._taken.add(headers, now_ms)
        return web.Response(status=200 if event is None else 201)

    async def _decoded(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> Event | None:
        """The event; raises ProblemError when MLflow does not answer where a model comes from."""
        chosen = self._settings
        given = (headers, body, chosen.secret, now_ms, chosen.rules, chosen.origin_of)
        try:
            async with asyncio.timeout(_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._asking, decode_webhook, *given)
        except (RejectedWebhook, MalformedEvent):
            raise
        except (TimeoutError, StreamAppError) as error:
            log.warning("a webhook is refused, and MLflow will repeat it: %s", error or "no answer in time")
            raise ProblemError(
                503, "the tracking server does not answer where the model comes from", {"Retry-After": "5"}
            ) from None
