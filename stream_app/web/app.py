"""The application: routes, probes, metrics, and the token that callers must know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.metrics.probes import LIVEZ, METRICS, PATHS, READYZ, Probe, Probes
from stream_app.web import webhooks
from stream_app.web.problems import problems
from stream_app.web.tokens import bearer

#: Paths that need no token: probes, and deliveries that are signed instead.
OPEN = (LIVEZ, READYZ, webhooks.PATH)


def make_app(
    routes: Iterable[web.RouteDef], ready: Callable[[], str], registry: CollectorRegistry, token: str | None = None
) -> web.Application:
    """Make an application.

    Parameters
    ----------
    routes
        Its routes beside those of probes and metrics.
    ready
        Returns why requests cannot be served now; "" when they can.
    registry
        The metrics that it exports.
    token
        The bearer token that all paths but those of `OPEN` require; None: they require none.

    Returns
    -------
    aiohttp.web.Application
    """

    def check_ready() -> Probe:
        reason = ready()
        return Probe(not reason, {"reason": reason})

    # That a request is answered at all shows that the event loop turns.
    probes = Probes(registry, lambda: Probe(True), check_ready)

    async def answer(request: web.Request) -> web.Response:
        headers = request.headers
        path = request.path.rstrip("/")
        wanted = (path, request.query_string, headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        # A scrape takes milliseconds, which would delay other requests; a probe must not wait for a thread.
        made = await asyncio.to_thread(probes.answer, *wanted) if path == METRICS else probes.answer(*wanted)
        return web.Response(status=made.status, headers=made.headers, body=made.body)

    app = web.Application(middlewares=[problems, bearer(token, *OPEN)])  # type: ignore[list-item]
    app.add_routes(_with_slashes([*(web.get(path, answer) for path in PATHS), *routes]))
    return app


def _with_slashes(routes: Iterable[web.RouteDef]) -> Iterator[web.RouteDef]:
    """The routes, and each of them with a slash at the end; one that ends in an id is left alone."""
    for route in routes:
        yield route
        if not route.path.endswith("}"):
            yield web.route(route.method, f"{route.path}/", route.handler, **route.kwargs)
