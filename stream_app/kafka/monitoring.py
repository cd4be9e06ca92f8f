"""The worker's own metrics, its probes, and the thread that serves them.

They have a thread and a port of their own, so that they answer while the worker restores or waits for Kafka.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Gauge, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

StartResponse = Callable[..., Any]


@dataclass
class Counts:
    """What a worker has done since it started."""

    #: Records of source topics read, and of the events topic that were events, ticks, already known, or misplaced.
    sourced: int = 0
    events: int = 0
    ticks: int = 0
    skipped: int = 0
    forwarded: int = 0
    #: Records that tell of no execution, and records that were no events, of all topics.
    passed_over: int = 0
    dead_letters: int = 0
    #: Groups of changed rows appended to changelogs, and rows in them.
    commits: int = 0
    rows: int = 0
    rebalances: int = 0
    #: Partitions restored from their changelogs.
    restored: int = 0
    #: Checkpoints of the model that were not believed, and that could not be written.
    checkpoints_dropped: int = 0
    checkpoint_failures: int = 0


_HELP = {
    "sourced": ("source_records", "Records of source topics that were read."),
    "events": ("events_processed", "Events given to the detector."),
    "ticks": ("ticks", "Ticks given to the detector."),
    "skipped": ("events_skipped", "Records read again whose effect was there already."),
    "forwarded": ("events_forwarded", "Records moved to the partition of their pipeline."),
    "passed_over": ("events_passed_over", "Records that are right but tell of no execution."),
    "dead_letters": ("events_dead_lettered", "Records that were no events."),
    "commits": ("changelog_commits", "Groups of changed rows written to changelogs."),
    "rows": ("changelog_rows", "Rows written to changelogs."),
    "rebalances": ("rebalances", "Assignments of partitions that were completed."),
    "restored": ("partitions_restored", "Partitions restored from their changelogs."),
    "checkpoints_dropped": ("model_checkpoints_dropped", "Checkpoints of the model that were not believed."),
    "checkpoint_failures": ("model_checkpoint_failures", "Checkpoints of the model that could not be written."),
}


class CountsCollector(Collector):
    """Exports `Counts` as they stand; counting costs the worker an addition."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        for field, (name, text) in _HELP.items():
            yield CounterMetricFamily(f"stream_app_{name}", text, value=getattr(self._counts, field))


class WorkerMetrics:
    """Gauges and histograms of a worker.

    Parameters: `registry` is where they and the collector of `counts` are registered.
    """

    def __init__(self, registry: CollectorRegistry, counts: Counts) -> None:
        registry.register(CountsCollector(counts))

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", text, labels, registry=registry)

        self.lag = gauge("consumer_lag_records", "Records not applied yet.", "partition")
        self.assigned = gauge("consumer_assigned_partitions", "Partitions of the events topic held.")
        self.ready = gauge("ready", "1 when the worker serves, as /readyz says.")
        self.log_time = gauge("last_event_timestamp_seconds", "Log time of the record applied last.")
        self.loop_lag = gauge("event_loop_lag_seconds", "How long ago the event loop last turned.")
        self.examples = gauge("examples_position", "Offset in the examples log up to which the model is folded.")
        self.checkpoint_time = gauge("model_checkpoint_timestamp_seconds", "When the last checkpoint was written.")
        self.checkpoint_size = gauge("model_checkpoint_size_bytes", "Bytes of the last checkpoint.")
        self.latency = Histogram(
            "stream_app_event_latency_seconds",
            "From a record's log time to the sending of what it led to.",
            registry=registry,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0),
        )

    def set_lags(self, lags: dict[int, int | None]) -> None:
        """Set the lag of each partition held; the others are no longer told."""
        self.lag.clear()
        for number, lag in lags.items():
            if lag is not None:
                self.lag.labels(str(number)).set(lag)
        self.assigned.set(len(lags))


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
