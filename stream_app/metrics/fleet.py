"""Metrics of the fleet: sums over all pipelines, evicted work included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family

from stream_app.metrics.catalogue import CATALOGUE
from stream_app.metrics.registry import Snapshot


@dataclass(frozen=True, slots=True)
class FleetSums:
    """What is exported.

    Parameters
    ----------
    pipelines, runs
        How many there are.
    graphlets
        Graphlets by outcome.
    push_node_seconds, since_push_node_seconds
        Compute spent for pushes, and since the last push of each pipeline.
    redundant_node_seconds
        Redundant compute by kind.
    findings
        Findings by kind.
    """

    pipelines: int
    runs: int
    graphlets: Mapping[str, int]
    push_node_seconds: float
    since_push_node_seconds: float
    redundant_node_seconds: Mapping[str, float]
    findings: Mapping[str, int]


class FleetMetrics(Snapshot):
    """Gauges of the fleet, whose values are asked for at each scrape.

    Parameters
    ----------
    registry
        Where they are registered.
    sums
        Gives the values, and keeps them for a while; None while they are not known, when nothing is exported.
    """

    def __init__(self, registry: CollectorRegistry, sums: Callable[[], FleetSums | None]) -> None:
        self._sums = sums
        super().__init__(registry, *_SINGLE, *_BY_LABEL)

    def describe(self) -> list[Family]:
        """The metrics without values, so that registering them asks for none."""
        return [CATALOGUE[name].family(()) for name in (*_SINGLE, *_BY_LABEL)]

    def collect(self) -> Iterator[Family]:
        """Yield the metrics as they are now."""
        sums = self._sums()
        if sums is None:
            return iter(())
        for name, attribute in _SINGLE.items():
            self.set(name, getattr(sums, attribute))
        for name, attribute in _BY_LABEL.items():
            found = getattr(sums, attribute)
            for value in CATALOGUE[name].labels[0].values:
                self.set(name, found.get(value, 0), value)
        return super().collect()


#: Metric -> the field of `FleetSums`: of those without a label, and of those with one.
_SINGLE = {
    "fleet_pipelines": "pipelines",
    "fleet_runs": "runs",
    "fleet_push_node_seconds": "push_node_seconds",
    "fleet_since_push_node_seconds": "since_push_node_seconds",
}
_BY_LABEL = {
    "fleet_graphlets": "graphlets",
    "fleet_redundant_node_seconds": "redundant_node_seconds",
    "fleet_findings": "findings",
}
