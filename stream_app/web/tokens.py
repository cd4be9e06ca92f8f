"""The bearer token (RFC 6750), compared in constant time, and limits on how often it is tried and used.

The right token is always let in: whoever tries wrong ones may share an address, that of a proxy, with everybody else.
"""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from stream_app.web.limits import BURST_SECONDS, Buckets, Limits, retry_after, sender_of
from stream_app.web.problems import Handler, ProblemError
from stream_app.web.traffic import Traffic, address_of

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="stream-app"'}
#: Failed logins of one address that are answered with 401 at once, and per second after those.
FAILED_BURST, FAILED_RATE = 60.0, 1.0
#: Why requests are refused, as a label.
ADDRESS_RATE, TOKEN_RATE, FAILED_LOGINS = "address_rate", "token_rate", "failed_logins"


def rate_limited(limits: Limits, traffic: Traffic, *open_paths: str) -> object:
    """A middleware that refuses requests of addresses that send too many.

    Parameters
    ----------
    limits
        The limits.
    traffic
        Records what is refused.
    open_paths
        Paths without a limit.
    """
    buckets = Buckets(limits.address_rate, limits.address_rate * BURST_SECONDS)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.rstrip("/") not in open_paths:
            wait = buckets.take(sender_of(address_of(request)))
            if wait:
                traffic.requests_refused.labels(ADDRESS_RATE).inc()
                raise ProblemError(429, "too many requests from this address", retry_after(wait))
        return await handler(request)

    return check


def bearer(token: str | None, limits: Limits, traffic: Traffic, *open_paths: str) -> object:
    """A middleware that refuses requests without the token, and those with it that are too many.

    Parameters
    ----------
    token
        The token; None: every request is let in.
    limits
        The limits.
    traffic
        Records what is refused.
    open_paths
        Paths that need no token.
    """
    expected = _digest(token) if token is not None else None
    used = Buckets(limits.token_rate, limits.token_rate * BURST_SECONDS)
    failing = Buckets(FAILED_RATE, FAILED_BURST)

    def refuse(request: web.Request) -> ProblemError:
        address = address_of(request)
        traffic.login_failed(address)
        wait = failing.take(sender_of(address))
        if not wait:
            return ProblemError(401, "expected a valid bearer token", _CHALLENGE)
        traffic.requests_refused.labels(FAILED_LOGINS).inc()
        return ProblemError(429, "too many requests without a valid token from this address", retry_after(wait))

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected is not None and request.path.rstrip("/") not in open_paths:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            known = hmac.compare_digest(_digest(given.strip()), expected)
            if scheme.lower() != "bearer" or not known:
                raise refuse(request)
            wait = used.take("")
            if wait:
                traffic.requests_refused.labels(TOKEN_RATE).inc()
                raise ProblemError(429, "too many requests with this token", retry_after(wait))
        return await handler(request)

    return check


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
