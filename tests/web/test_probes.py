"""Probes and metrics of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metrics.exported import catalogued, generalised, scraped
from tests.web.served import Process, embedded_service, relayed_service

#: Without labels nothing is known of the model's quality, and before the first measurement nothing of the model.
UNKNOWN = {
    f"stream_app_{name}"
    for name in ("model_info", "prequential_auc", "prequential_log_loss", "prequential_balanced_accuracy")
}


def test_probes_answer_as_those_of_a_worker_do(tmp_path: Path) -> None:
    """In one word, and in JSON for a person who wonders why."""
    with embedded_service(tmp_path / "events.sqlite") as service:
        assert (service.get("/livez").status, service.get("/livez").body) == (200, b"ok\n")
        assert (service.get("/readyz").status, service.get("/readyz").body) == (200, b"ok\n")
        assert service.get("/livez?verbose").json == {"ok": True}
        assert service.get("/readyz?verbose").json == {"ok": True, "reason": ""}


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", b"\n"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            b"# EOF\n",
        ),
    ],
)
def test_metrics_are_served_in_the_format_asked_for(tmp_path: Path, accept: str, content_type: str, end: bytes) -> None:
    """Prometheus asks for OpenMetrics by default."""
    with embedded_service(tmp_path / "events.sqlite") as service:
        answer = service.ask("GET", "/metrics", headers={"Accept": accept})

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.body.endswith(end)


def test_the_service_exports_what_the_catalogue_says(tmp_path: Path) -> None:
    """The names, types, help, labels and values that it has after its first request: no more and no less."""
    process = Process(tmp_path)
    assert process.service.get("/livez").status == 200
    body = process.service.get("/metrics").body.decode()
    assert process.end() == 0
    expected = catalogued("serve")
    shapes = generalised(scraped(body))
    for name in UNKNOWN:
        shapes[name].labels = expected[name].labels

    assert shapes == expected
    assert "_created" not in body


def test_beside_workers_only_the_process_is_exported() -> None:
    """And whether runs may be stopped, which it answers itself. The workers export the rest."""
    with relayed_service() as service:
        found = scraped(service.get("/metrics").body.decode()).keys()

    own = {name for name in found if not name.startswith("stream_app_http_")}
    acting = {"stream_app_acting_on", "stream_app_acting_off_patterns", "stream_app_stop_refusals_total"}
    assert own == {"stream_app_build_info", *acting}
    assert "stream_app_http_connections" in found
