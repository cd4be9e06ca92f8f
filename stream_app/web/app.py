"""The application: routes, probes, metrics, and who may come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from stream_app.web import webhooks
from stream_app.web.problems import problems
from stream_app.web.tokens import bearer

#: What needs no token: probes, and what is signed.
OPEN = ("/livez", "/readyz", webhooks.PATH)


def make_app(
    routes: Iterable[web.RouteDef], ready: Callable[[], str], registry: CollectorRegistry, token: str | None = None
) -> web.Application:
    """An application.

    Parameters
    ----------
    ready
        Says why requests cannot be served now, "" when they can.
    token
        What callers must know, `OPEN` apart; None: nothing.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        why = ready()
        detail = {"ready": not why, "reason": why}
        return web.Response(status=503 if why else 200, body=orjson.dumps(detail), content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application(middlewares=[problems, bearer(token, *OPEN)])  # type: ignore[list-item]
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics), *routes])
    return app
