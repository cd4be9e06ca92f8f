"""The histogram of what happens at every event."""

from __future__ import annotations

import prometheus_client

from stream_app.kafka.metrics.histogram import Histogram

BOUNDS = (0.1, 1.0, 2.5)
VALUES = (0.05, 0.1, 0.10001, 2.5, 3.0, 700.0)


def test_it_exports_what_a_histogram_of_prometheus_client_does() -> None:
    """The same samples for the same values, those on an edge and beyond the last included."""
    registry = prometheus_client.CollectorRegistry()
    theirs = prometheus_client.Histogram("h", "text", buckets=BOUNDS, registry=registry)
    ours = Histogram(*BOUNDS)
    for value in VALUES:
        theirs.observe(value)
        ours.add(value)
    (family,) = registry.collect()
    expected = {(s.name, s.labels.get("le")): s.value for s in family.samples if not s.name.endswith("_created")}

    assert {(s.name, s.labels.get("le")): s.value for s in ours.family("h", "text").samples} == expected


def test_it_is_there_before_the_first_value() -> None:
    """With zeros: a rate needs a beginning."""
    assert {sample.value for sample in Histogram(*BOUNDS).family("h", "text").samples} == {0.0}
