"""The application: routes, probes, metrics, and what every request passes: records, limits, and the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.alerts import links
from stream_app.alerts.access import Tokens
from stream_app.metrics.catalogue import HTTP_OTHER
from stream_app.metrics.probes import LIVEZ, METRICS, PATHS, READYZ, Probe, Probes
from stream_app.web import slack_routes, webhooks
from stream_app.web.limits import Limits
from stream_app.web.listening import Connection
from stream_app.web.problems import CLOSE, Handler, name_server, problem, problems
from stream_app.web.tokens import bearer, rate_limited
from stream_app.web.traffic import ROUTE, TRAFFIC, Traffic

#: Probes, which are always answered.
PROBE_PATHS = (LIVEZ, READYZ)
#: Paths that need no token: probes, and deliveries, links and clicks that are signed instead.
OPEN = (*PROBE_PATHS, webhooks.PATH, links.PATH, slack_routes.PATH)
_NO_CONNECTIONS = "no_connections"


def make_app(
    routes: Iterable[web.RouteDef],
    ready: Callable[[], str],
    registry: CollectorRegistry,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
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
    tokens
        The bearer tokens of which all paths but those of `OPEN` require one; None: they require none.
    limits
        What one sender may ask; None: the defaults.

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

    limits = limits or Limits()
    traffic = Traffic(registry, limits.access_log)
    passed = [
        _begun(traffic),
        problems,
        rate_limited(limits, traffic, *PROBE_PATHS),
        bearer(tokens or Tokens(), limits, traffic, *OPEN),
    ]
    app = web.Application(middlewares=passed)  # type: ignore[arg-type]
    app[TRAFFIC] = traffic
    app.on_response_prepare.append(name_server)
    app.add_routes(_with_slashes([*(web.get(path, answer) for path in PATHS), *routes]))
    return app


def _begun(traffic: Traffic) -> object:
    """The outermost middleware: notes the route, and leaves connections that are beyond the limit to probes."""

    @web.middleware
    async def begin(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        request[ROUTE] = (resource.canonical.rstrip("/") or "/") if resource is not None else HTTP_OTHER
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await handler(request)
        connection.begin()
        if not connection.probes_only:
            return await handler(request)
        if request.path.rstrip("/") in PROBE_PATHS:
            response = await handler(request)
        else:
            traffic.requests_refused.labels(_NO_CONNECTIONS).inc()
            response = problem(503, "too many connections", {"Retry-After": "1", **CLOSE})
        response.force_close()
        return response

    return begin


async def _continue_later(_: web.Request) -> None:
    """`Expect: 100-continue` is answered where the body is read, once nothing speaks against that."""


def _with_slashes(routes: Iterable[web.RouteDef]) -> Iterator[web.RouteDef]:
    """The routes, and each of them with a slash at the end; one that ends in an id is left alone."""
    for route in routes:
        paths = [route.path] if route.path.endswith("}") else [route.path, f"{route.path}/"]
        for path in paths:
            yield web.route(route.method, path, route.handler, expect_handler=_continue_later, **route.kwargs)
