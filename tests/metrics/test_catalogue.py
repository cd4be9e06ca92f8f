"""The catalogue of metrics: its page, its conventions, and what registries make of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import enable_created_metrics, generate_latest

from stream_app.core.outputs import PRUNE
from stream_app.metrics import page, registry
from stream_app.metrics.catalogue import AREAS, CATALOGUE
from stream_app.metrics.metric import Metric
from stream_app.metrics.registry import Snapshot, make_registry
from tests.metrics.exported import scraped

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
#: Labels that Prometheus, or whoever scrapes, adds to all series.
RESERVED = {"le", "quantile", "type", "job", "instance", "env", "cluster", "service", "team"}

every_metric = pytest.mark.parametrize("metric", CATALOGUE.values(), ids=lambda metric: metric.name)


def test_the_page_is_made_from_the_catalogue() -> None:
    """Run `make docs` when it is not."""
    assert page.update(PAGE.read_text()) == PAGE.read_text()


def test_what_the_page_says_beside_the_tables_stays() -> None:
    """Only what is between the marks is replaced."""
    before, rest = PAGE.read_text().split("### Process", 1)
    after = rest[rest.index("<!-- End") :]

    assert page.update(f"{before}an old table\n{after}more") == PAGE.read_text() + "more"


def test_names_are_unique() -> None:
    """A name in two areas would hide one of them."""
    names = Counter(metric.name for metrics in AREAS.values() for metric in metrics)

    assert len(names) > 60
    assert max(names.values()) == 1


@every_metric
def test_names_follow_the_conventions(metric: Metric) -> None:
    """Words; the ending of the type and no other; the base unit before it, and in full."""
    stem = metric.family_name.removeprefix("stream_app_")

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert metric.name.endswith("_info") == (metric.type == "info")
    assert metric.unit in ("", "seconds", "bytes", "ratio", "records", "node_seconds")
    assert re.search(r"_(seconds|bytes|ratio|records)$", stem) is None or stem.endswith(f"_{metric.unit}")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)(_|$)", stem)


@every_metric
def test_labels_are_few_and_bounded(metric: Metric) -> None:
    """At most ten values where they are known; else the page says what they are. None is anybody else's."""
    for label in metric.labels:
        assert len(label.values) <= 10
        assert bool(label.values) != bool(label.meaning)
        assert label.name not in RESERVED


@every_metric
def test_help_is_one_sentence(metric: Metric) -> None:
    """It starts in upper case or with the value that it explains, and ends with a full stop."""
    assert re.fullmatch(r"[A-Z1][^.]*\.", metric.help)
    assert len(metric.help) <= 90


@every_metric
def test_only_histograms_have_buckets(metric: Metric) -> None:
    """Rising, at most twelve with the one up to infinity, and there for every histogram."""
    assert bool(metric.buckets) == (metric.type == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert len(metric.buckets) < 12


def test_a_metric_is_registered_as_what_it_is() -> None:
    """A counter that is exported as a gauge would have another name than the page says."""
    with pytest.raises(ValueError, match="flags_open is a gauge, not a counter"):
        registry.counter(make_registry(), "flags_open")


def test_every_registry_exports_its_process_and_no_created_series() -> None:
    """Whatever another library has set before: they would be half as many series again."""
    enable_created_metrics()  # type: ignore[no-untyped-call]
    made = make_registry()
    registry.counter(made, "predictions_total").labels(PRUNE).inc()
    registry.histogram(made, "prediction_score").observe(0.5)
    body = generate_latest(made).decode()

    assert "_created" not in body
    assert "process_resident_memory_bytes" in body
    assert "python_info" in body
    assert len(scraped(body)["stream_app_build_info"].labels["version"]) == 1


def test_a_snapshot_exports_what_was_set_last() -> None:
    """Counters too: what counts them is elsewhere. What was never set, or was cleared, has no series."""
    made = make_registry()
    snapshot = Snapshot(made, "drift_detections_total", "model_info", "pipelines")
    snapshot.set("drift_detections_total", 3, "input")
    snapshot.set("drift_detections_total", 5, "input")
    snapshot.set("model_info", 1, "abc")
    snapshot.clear("model_info")

    assert made.get_sample_value("stream_app_drift_detections_total", {"stage": "input"}) == 5
    assert made.get_sample_value("stream_app_pipelines") is None
    assert made.get_sample_value("stream_app_model_info", {"feature_schema": "abc"}) is None
    assert scraped(generate_latest(made).decode())["stream_app_drift_detections_total"].type == "counter"
