"""The metrics and probes of a worker, asked over HTTP."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from stream_app.kafka.metrics.collectors import WorkerMetrics
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.process.probes import serve
from stream_app.metrics.probes import Probe, Probes

Get = Callable[..., tuple[int, bytes]]


@pytest.fixture
def counts() -> Counts:
    return Counts(sources={"provenance": 9}, states={"NEW": 7})


@pytest.fixture
def get(counts: Counts) -> Iterator[Get]:
    """Ask for a path, with headers; returns status and body."""
    registry = CollectorRegistry()
    WorkerMetrics(registry, counts).set_lags({("provenance", 3): 12, ("provenance", 4): None}, [3, 4])
    live, ready = Probe(True, {"lag": 0.5}), Probe(False, {"model_caught_up": False})
    server = serve(Probes(registry, lambda: live, lambda: ready), "127.0.0.1", 0)

    def ask(path: str, **headers: str) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{server.server_address[1]}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    yield ask
    server.shutdown()
    server.server_close()


def test_probes_answer_with_their_status(get: Get) -> None:
    """200 when well, 503 when not, 404 elsewhere."""
    assert get("/livez") == (200, b"ok\n")
    assert get("/readyz") == (503, b"not ok\n")
    assert get("/nowhere") == (404, b"not found: try /livez, /readyz, /metrics\n")


def test_a_verbose_probe_shows_what_it_looked_at(get: Get) -> None:
    """As JSON, for a person who wonders why."""
    status, body = get("/readyz?verbose")

    assert (status, json.loads(body)) == (503, {"ok": False, "model_caught_up": False})


def test_counts_are_exported_as_they_stand(get: Get, counts: Counts) -> None:
    """Counters at zero are there too, and a lag that is not known has no series."""
    counts.reasons["malformed"] += 2
    body = get("/metrics")[1].decode()

    assert 'stream_app_events_processed_total{state="NEW"} 7.0' in body
    assert 'stream_app_events_consumed_total{topic="provenance"} 9.0' in body
    assert 'stream_app_events_dead_lettered_total{reason="malformed"} 2.0' in body
    assert 'stream_app_events_dead_lettered_total{reason="failed"} 0.0' in body
    assert "stream_app_ticks_total 0.0" in body
    assert 'stream_app_consumer_lag_records{partition="3",topic="provenance"} 12.0' in body
    assert 'partition="4"' not in body


def test_open_metrics_are_served_on_request(get: Get) -> None:
    """Prometheus asks for them by default."""
    assert get("/metrics", Accept="application/openmetrics-text; version=1.0.0")[1].endswith(b"# EOF\n")
    assert not get("/metrics", Accept="*/*")[1].endswith(b"# EOF\n")


def test_metrics_are_compressed_on_request(get: Get) -> None:
    """Prometheus asks for gzip by default."""
    body = get("/metrics", **{"Accept-Encoding": "gzip"})[1]

    assert gzip.decompress(body) == get("/metrics")[1]
