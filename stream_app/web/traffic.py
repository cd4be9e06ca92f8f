"""What is recorded of requests and connections: metrics, failed logins, and the access log.

Labels and log lines hold templates of routes and values of closed sets, never text of a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_app.metrics.catalogue import CATALOGUE, HTTP_METHODS, HTTP_OTHER
from stream_app.metrics.registry import counter, gauge, histogram

log = logging.getLogger(__name__)
access_log = logging.getLogger("stream_app.access")

#: Where the template of a request's route is kept in the request.
ROUTE = web.RequestKey("route", str)
#: Seconds between two log lines on failed logins, and addresses that are told apart meanwhile.
_LOGIN_SECONDS, _LOGIN_ADDRESSES = 60.0, 1_000


class Traffic:
    """Records requests, connections and logins.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    log_requests
        Whether each request is logged.
    """

    def __init__(self, registry: CollectorRegistry, log_requests: bool = False) -> None:
        self._log_requests = log_requests
        self._requests = counter(registry, "http_requests_total")
        self._seconds = histogram(registry, "http_request_seconds")
        #: Connections that are open.
        self.connections = gauge(registry, "http_connections")
        #: Connections that were refused or closed, and requests that were refused, by reason.
        self.connections_refused = counter(registry, "http_connections_refused_total")
        self.requests_refused = counter(registry, "http_requests_refused_total")
        self._logins = counter(registry, "http_failed_logins_total")
        for name, made in (
            ("http_connections_refused_total", self.connections_refused),
            ("http_requests_refused_total", self.requests_refused),
        ):
            for reason in CATALOGUE[name].labels[0].values:
                made.labels(reason)
        self._failing: Counter[str] = Counter()
        self._reporting: asyncio.TimerHandle | None = None

    def answered(self, request: web.BaseRequest, response: web.StreamResponse, seconds: float, address: str) -> None:
        """Records an answer.

        Parameters
        ----------
        request
            The request.
        response
            What was answered.
        seconds
            From the end of its headers to the end of the response.
        address
            Who sent it.
        """
        route = request.get(ROUTE, HTTP_OTHER)
        method = request.method if request.method in HTTP_METHODS else HTTP_OTHER
        self._requests.labels(route, method, str(response.status)).inc()
        self._seconds.labels(route).observe(seconds)
        if self._log_requests:
            line = {
                "method": method, "route": route, "code": response.status, "bytes": response.body_length,
                "seconds": round(seconds, 6), "address": address,
            }  # fmt: skip
            access_log.info("%s", orjson.dumps(line).decode())

    def login_failed(self, address: str) -> None:
        """Counts a request without a valid token; reports the first at once, and those of a minute in one line."""
        self._logins.inc()
        if address in self._failing or len(self._failing) < _LOGIN_ADDRESSES:
            self._failing[address] += 1
        if self._reporting is None:
            self._report()

    def _report(self) -> None:
        self._reporting = None
        if not self._failing:
            return
        address, most = self._failing.most_common(1)[0]
        others = len(self._failing) - 1
        more = f", and {self._failing.total() - most:,} from {others:,} other addresses" if others else ""
        log.warning("requests without a valid token: %s from %s%s", f"{most:,}", address, more)
        self._failing.clear()
        self._reporting = asyncio.get_running_loop().call_later(_LOGIN_SECONDS, self._report)


def address_of(request: web.BaseRequest) -> str:
    """The address of a sender as it is logged; never one that a header claims."""
    return (request.remote or "-")[:100]


TRAFFIC = web.AppKey("traffic", Traffic)
