"""Bearer tokens (RFC 6750), compared in constant time, and limits on how often they are tried and used.

A right token is always let in: whoever tries wrong ones may share an address, that of a proxy, with everybody else.
"""

from __future__ import annotations

from aiohttp import web

from stream_app.alerts.access import EVERYBODY, Principal, Scope, Tokens
from stream_app.metrics.probes import METRICS
from stream_app.web.limits import BURST_SECONDS, Buckets, Limits, retry_after, sender_of
from stream_app.web.problems import Handler, ProblemError
from stream_app.web.traffic import Traffic, address_of

#: Whoever makes a request.
PRINCIPAL = web.RequestKey("principal", Principal)
#: How paths of alerts begin.
ALERT_PATHS = ("/v1/subscriptions", "/v1/flags", "/v1/audit", "/v1/owners")
#: The path of the kill switch.
ACTING = "/v1/acting"
#: How paths of policies begin.
POLICIES = "/v1/policies"
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


def bearer(tokens: Tokens, limits: Limits, traffic: Traffic, *open_paths: str) -> object:
    """A middleware that refuses requests without a valid token, those that it does not allow, and those too many.

    Parameters
    ----------
    tokens
        The tokens; none: every request is let in.
    limits
        The limits.
    traffic
        Records what is refused.
    open_paths
        Paths that need no token.
    """
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
        request[PRINCIPAL] = EVERYBODY
        if tokens and request.path.rstrip("/") not in open_paths:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            who = tokens.find(given.strip())
            if scheme.lower() != "bearer" or who is None:
                raise refuse(request)
            wait = used.take(who.name)
            if wait:
                traffic.requests_refused.labels(TOKEN_RATE).inc()
                raise ProblemError(429, "too many requests with this token", retry_after(wait))
            _check(who, request)
            request[PRINCIPAL] = who
        return await handler(request)

    return check


def _check(who: Principal, request: web.Request) -> None:
    """Raises ProblemError for what a token does not allow; of alerts and the kill switch their services decide that."""
    if request.path.startswith((*ALERT_PATHS, ACTING, POLICIES)) or request.path.rstrip("/") == METRICS:
        return
    if (who.owners or who.pipelines) and not (request.method in ("GET", "HEAD") and not who.pipelines):
        raise ProblemError(403, "this token is bound: it may ask for subscriptions and flags")
    if request.method not in ("GET", "HEAD") and not who.may(Scope.WRITE):
        raise ProblemError(403, "this needs a token with the scope write")
