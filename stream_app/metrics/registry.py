"""Registries, and metrics in them, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from stream_app.metrics.catalogue import CATALOGUE
from stream_app.metrics.metric import Metric, Type


def make_registry() -> CollectorRegistry:
    """Make the registry of a process.

    Returns
    -------
    CollectorRegistry
        It exports the metrics of process, interpreter and garbage collector, and `stream_app_build_info`.
    """
    # The `_created` series would add half as many series again.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Snapshot(registry, "build_info").set("build_info", 1, metadata.version("stream-app"))
    return registry


def counter(registry: CollectorRegistry, name: str) -> Counter:
    """Register a counter of the catalogue."""
    metric = _find(name, "counter")
    return Counter(metric.family_name, metric.help, metric.label_names, unit=metric.unit, registry=registry)


def gauge(registry: CollectorRegistry, name: str) -> Gauge:
    """Register a gauge of the catalogue."""
    metric = _find(name, "gauge")
    return Gauge(metric.family_name, metric.help, metric.label_names, unit=metric.unit, registry=registry)


def histogram(registry: CollectorRegistry, name: str) -> Histogram:
    """Register a histogram of the catalogue."""
    metric = _find(name, "histogram")
    return Histogram(
        metric.family_name,
        metric.help,
        metric.label_names,
        unit=metric.unit,
        buckets=metric.buckets,
        registry=registry,
    )


class Snapshot(Collector):
    """Metrics whose values are computed elsewhere and taken over as they are, counters among them.

    A series is absent until its value is set.

    Parameters
    ----------
    registry
        Where they are registered.
    names
        Names of gauges, counters and infos of the catalogue.
    """

    def __init__(self, registry: CollectorRegistry, *names: str) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in names}
        registry.register(self)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set the value of a series, given by the values of its labels in their order."""
        self._values[name][labels] = value

    def clear(self, name: str) -> None:
        """Remove all series of a metric."""
        self._values[name] = {}

    def collect(self) -> Iterator[Family]:
        """Yield the metrics with the values set last."""
        for name, values in self._values.items():
            yield CATALOGUE[name].family(list(values.items()))


def _find(name: str, type_: Type) -> Metric:
    metric = CATALOGUE[name]
    if metric.type != type_:
        raise ValueError(f"{name} is a {metric.type}, not a {type_}")
    return metric
