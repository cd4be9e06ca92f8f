"""Serves probes and metrics of a worker.

They have a thread and a port of their own, so that they answer while the event loop restores or waits for Kafka.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from stream_app.metrics.probes import Probes


class ProbeServer(ThreadingMixIn, WSGIServer):
    """Answers each request on a thread of its own, so that a slow one delays no other."""

    daemon_threads = True


def serve(probes: Probes, host: str, port: int) -> ProbeServer:
    """Serve probes on a thread until the server is shut down.

    Parameters
    ----------
    probes
        What is served.
    host, port
        Where to listen; port 0 takes a free one.

    Returns
    -------
    ProbeServer
        The server; its `server_address` tells the port.

    Raises
    ------
    OSError
        The port is taken.
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = probes.answer(
            environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items()))
        return [answer.body]

    server = make_server(host, port, application, server_class=ProbeServer, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: probes come every few seconds."""
