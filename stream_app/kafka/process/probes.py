"""Probes and metrics over HTTP.

They have a thread and a port of their own, so that they answer while the worker restores or waits for Kafka.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

StartResponse = Callable[..., Any]


@dataclass(frozen=True)
class Probe:
    """Whether something is well, and what it looked at."""

    well: bool
    detail: dict[str, object]


class Endpoints:
    """`/metrics`, `/livez` and `/readyz` (`?verbose` for what they looked at), on a thread of their own."""

    def __init__(self, registry: CollectorRegistry, live: Callable[[], Probe], ready: Callable[[], Probe]) -> None:
        self._metrics = make_wsgi_app(registry)
        self._probes = {"/livez": live, "/readyz": ready}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        if path not in self._probes:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found: try /metrics, /livez or /readyz\n"]
        probe = self._probes[path]()
        verbose = environ.get("QUERY_STRING") == "verbose"
        body = json.dumps(probe.detail) if verbose else "ok" if probe.well else "not ok"
        kind = "application/json" if verbose else "text/plain"
        start_response("200 OK" if probe.well else "503 Service Unavailable", [("Content-Type", kind)])
        return [f"{body}\n".encode()]

    def serve(self, host: str, port: int) -> Server:
        """Serve on a thread until the server is shut down; port 0 takes a free one."""
        server = make_server(host, port, self, server_class=Server, handler_class=_Quiet)
        threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
        return server


class Server(ThreadingMixIn, WSGIServer):
    """A request may be slow without keeping the next one waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes come every few seconds and are not worth a line."""
