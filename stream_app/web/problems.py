"""Errors over HTTP: every one is a status and `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

from stream_app.web.limits import Buckets

log = logging.getLogger(__name__)

#: The header that names the server in every response, without its version.
SERVER = {"Server": "stream-app"}
#: Closes the connection after a response.
CLOSE = {"Connection": "close"}

#: A client that was given another address than it needs posts to some other path.
NO_PATH = "there is no such path; OpenLineage events are posted to /api/v1/lineage, native events to /v1/events"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProblemError(Exception):
    """A request that cannot be served.

    Parameters
    ----------
    status
        The status of the response.
    detail
        One line for a person.
    headers
        Further headers of the response.
    field
        The field of the body, or the parameter, that is wrong; "" where it is none.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.field = field


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, field: str = "") -> web.Response:
    """The response to a request that cannot be served; parameters as of `ProblemError`."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if field:
        body["field"] = field
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/problem+json", headers=dict(headers or {})
    )


async def name_server(_: web.Request, response: web.StreamResponse) -> None:
    """Names the server in a response, for `Application.on_response_prepare`."""
    response.headers.update(SERVER)


#: Logs a traceback once a minute at most: whoever found how to cause it may repeat it.
_SELDOM = Buckets(1 / 60, 1)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns errors of a handler into responses; unexpected ones are logged, and not described in the response."""
    try:
        return await handler(request)
    except ProblemError as error:
        return problem(error.status, str(error), error.headers, error.field)
    except web.HTTPException as error:
        allowed = error.headers.get("Allow")
        if allowed:
            return problem(error.status, f"expected {allowed}, got {request.method}", {"Allow": allowed})
        return problem(error.status, NO_PATH if error.status == HTTPStatus.NOT_FOUND else error.reason)
    except Exception:
        if not _SELDOM.take(handler.__qualname__ if hasattr(handler, "__qualname__") else ""):
            log.exception("a request failed: %r", f"{request.method} {request.rel_url.path}"[:500])
        return problem(500, "the service failed on this request")
