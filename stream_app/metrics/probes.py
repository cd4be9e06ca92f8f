"""What a process answers to probes and scrapes, whatever server it answers with: paths, statuses and bodies."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

LIVEZ, READYZ, METRICS = "/livez", "/readyz", "/metrics"
PATHS = (LIVEZ, READYZ, METRICS)


@dataclass(frozen=True)
class Probe:
    """The result of a check.

    Parameters
    ----------
    ok
        Whether the check passed.
    detail
        What was looked at; JSON values by name.
    """

    ok: bool
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """An HTTP response.

    Parameters
    ----------
    status
        Its status code.
    headers
        Its headers.
    body
        Its body.
    """

    status: int
    headers: dict[str, str]
    body: bytes


class Probes:
    """Answers `/livez` and `/readyz` with 200 or 503, and `/metrics` with the metrics of a registry.

    The body of a probe is `ok` or `not ok`; with `?verbose` it is a JSON object with `ok` and what was looked at.

    Parameters
    ----------
    registry
        What is exported.
    live
        Whether the process works at all; false makes an orchestrator restart it.
    ready
        Whether the process can do its work now.
    """

    def __init__(self, registry: CollectorRegistry, live: Callable[[], Probe], ready: Callable[[], Probe]) -> None:
        self._registry = registry
        self._checks = {LIVEZ: live, READYZ: ready}

    def answer(self, path: str, query: str, accept: str, accept_encoding: str) -> Answer:
        """Answer a request.

        Parameters
        ----------
        path
            Its path.
        query
            Its query string, without the question mark.
        accept, accept_encoding
            Its headers of these names; "" when there are none.

        Returns
        -------
        Answer
            404 for a path that is none of `PATHS`.
        """
        if path == METRICS:
            return self._metrics(accept, accept_encoding)
        if path not in self._checks:
            return Answer(404, {"Content-Type": "text/plain"}, f"not found: try {', '.join(PATHS)}\n".encode())
        probe = self._checks[path]()
        status = 200 if probe.ok else 503
        if query == "verbose":
            return Answer(
                status, {"Content-Type": "application/json"}, orjson.dumps({"ok": probe.ok, **probe.detail}) + b"\n"
            )
        return Answer(status, {"Content-Type": "text/plain"}, b"ok\n" if probe.ok else b"not ok\n")

    def _metrics(self, accept: str, accept_encoding: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        headers, body = {"Content-Type": content_type}, encode(self._registry)
        if "gzip" in accept_encoding.lower():
            headers["Content-Encoding"], body = "gzip", gzip.compress(body, 1)
        return Answer(200, headers, body)
