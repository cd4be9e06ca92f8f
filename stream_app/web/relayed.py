"""The application beside workers: takes events for them, and answers with what they said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.core.decisions.policy import ENFORCE
from stream_app.service.verdict_index import Verdicts, Words
from stream_app.sources import Sources
from stream_app.web.answers import Answers
from stream_app.web.app import make_app
from stream_app.web.event_routes import event_routes
from stream_app.web.intake import Message
from stream_app.web.problems import ProblemError
from stream_app.web.webhooks import Webhooks, WebhookSettings

#: Verdicts held: those said last.
HELD = 200_000


class Workers(Protocol):
    """What takes the events, and tells the verdicts to `Said.verdicts`."""

    @property
    def unavailable_reason(self) -> str:
        """Why requests cannot be served now; "" when they can."""

    async def send(self, messages: Sequence[Message]) -> None:
        """An intake (see `intake`)."""

    async def run(self) -> None:
        """Works until cancelled."""


class Said:
    """What workers said, as it is asked for."""

    def __init__(self) -> None:
        self.verdicts = Verdicts(most=HELD)

    def enforces(self, verdict: Words) -> bool:
        """Whether the worker that said it enforces its flags."""
        return str(verdict["policy"]).startswith(ENFORCE)

    def graphlet(self, graphlet: str) -> dict[str, Any] | None:
        """Graphlets are with the workers."""
        raise ProblemError(404, f"graphlets are kept by the workers; of this one ask /v1/verdicts/{graphlet[:200]}")


def relayed_app(
    workers: Workers,
    said: Said,
    sources: Sources,
    registry: CollectorRegistry,
    token: str | None,
    webhooks: WebhookSettings | None = None,
) -> web.Application:
    """The application; it runs `workers` while it runs itself."""

    async def running(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.ensure_future(workers.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    routes = [*event_routes(workers.send, sources), *Answers(said).routes()]
    if webhooks is not None:
        routes += Webhooks(workers.send, webhooks).routes()
    app = make_app(routes, lambda: workers.unavailable_reason, registry, token)
    app.cleanup_ctx.append(running)
    return app
