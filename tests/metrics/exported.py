"""What a process exports, beside what the catalogue says that it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from stream_app.metrics.catalogue import CATALOGUE
from stream_app.metrics.metric import Metric, Process


@dataclass
class Shape:
    """Type and help of a metric, and the values of each of its labels."""

    type: str
    help: str
    labels: dict[str, set[str]] = field(default_factory=dict)


def exported(families: Iterable[Any]) -> dict[str, Shape]:
    """The metrics of the project in a scrape, by the name that Prometheus shows."""
    shapes: dict[str, Shape] = {}
    for family in families:
        if family.name.startswith(("process_", "python_")):
            continue
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        # The text format has no infos: it writes gauges whose names end so.
        shape = shapes[name] = Shape("info" if name.endswith("_info") else family.type, family.documentation)
        for sample in family.samples:
            assert sample.name in (name, f"{name}_bucket", f"{name}_sum", f"{name}_count"), sample.name
            for label, value in sample.labels.items():
                # The formats write a bound in different ways.
                shape.labels.setdefault(label, set()).add(repr(float(value)) if label == "le" else value)
    return shapes


def scraped(body: str) -> dict[str, Shape]:
    """The same of the text of a scrape."""
    return exported(text_string_to_metric_families(body))


def catalogued(process: Process) -> dict[str, Shape]:
    """What the catalogue says of a process; the labels whose values it leaves open have the value `*`."""
    return {metric.full_name: _shape(metric) for metric in CATALOGUE.values() if process in metric.processes}


def generalised(shapes: dict[str, Shape]) -> dict[str, Shape]:
    """The shapes with `*` in the place of the values of labels that the catalogue leaves open."""
    for name, shape in shapes.items():
        for label in CATALOGUE[name.removeprefix("stream_app_")].labels:
            if not label.values and label.name in shape.labels:
                shape.labels[label.name] = {"*"}
    return shapes


def _shape(metric: Metric) -> Shape:
    labels = {label.name: set(label.values) or {"*"} for label in metric.labels}
    if metric.type == "histogram":
        labels["le"] = {repr(float(bound)) for bound in (*metric.buckets, "inf")}
    return Shape(metric.type, metric.help, labels)
