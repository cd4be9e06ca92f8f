"""The bearer token (RFC 6750), compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from stream_app.web.problems import Handler, ProblemError

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="stream-app"'}


def bearer(token: str | None, *open_paths: str) -> object:
    """A middleware that refuses requests without the token.

    Parameters
    ----------
    token
        The token; None: every request is let in.
    open_paths
        Paths that need no token.
    """
    expected = _digest(token) if token is not None else None

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected is not None and request.path.rstrip("/") not in open_paths:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            known = hmac.compare_digest(_digest(given.strip()), expected)
            if scheme.lower() != "bearer" or not known:
                raise ProblemError(401, "expected a valid bearer token", _CHALLENGE)
        return await handler(request)

    return check


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
