"""The worker's metrics and probes, asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from stream_app.kafka.metrics.collectors import WorkerMetrics
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.process.probes import Endpoints, Probe

Get = Callable[..., tuple[int, str]]


@pytest.fixture
def counts() -> Counts:
    return Counts(sources={"provenance": 9}, states={"NEW": 7})


@pytest.fixture
def get(counts: Counts) -> Iterator[Get]:
    """Ask for a path; returns status and body."""
    registry = CollectorRegistry()
    WorkerMetrics(registry, counts).set_lags({("provenance", 3): 12, ("provenance", 4): None}, [3, 4])
    live, ready = Probe(True, {"lag": 0.5}), Probe(False, {"model_caught_up": False})
    server = Endpoints(registry, lambda: live, lambda: ready).serve("127.0.0.1", 0)

    def ask(path: str, accept: str = "*/*") -> tuple[int, str]:
        url = f"http://127.0.0.1:{server.server_address[1]}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    yield ask
    server.shutdown()
    server.server_close()


def test_probes_answer_with_their_status(get: Get) -> None:
    """200 when well, 503 when not, 404 elsewhere."""
    assert get("/livez") == (200, "ok\n")
    assert get("/readyz") == (503, "not ok\n")
    assert get("/nowhere")[0] == 404


def test_a_verbose_probe_says_what_it_looked_at(get: Get) -> None:
    """As JSON, for a person who wonders why."""
    status, body = get("/readyz?verbose")

    assert (status, json.loads(body)) == (503, {"model_caught_up": False})


def test_counts_are_exported_as_they_stand(get: Get, counts: Counts) -> None:
    """Counters at zero are there too, and a lag that is not known is not told."""
    counts.reasons["malformed"] += 2
    body = get("/metrics")[1]

    assert 'stream_app_events_processed_total{state="NEW"} 7.0' in body
    assert 'stream_app_source_records_total{topic="provenance"} 9.0' in body
    assert 'stream_app_events_dead_lettered_total{reason="malformed"} 2.0' in body
    assert 'stream_app_events_dead_lettered_total{reason="failed"} 0.0' in body
    assert "stream_app_ticks_total 0.0" in body
    assert 'stream_app_consumer_lag_records{partition="3",topic="provenance"} 12.0' in body
    assert 'partition="4"' not in body


def test_open_metrics_are_served_to_who_wants_them(get: Get) -> None:
    """Prometheus asks for them by default."""
    assert get("/metrics", accept="application/openmetrics-text; version=1.0.0")[1].endswith("# EOF\n")
