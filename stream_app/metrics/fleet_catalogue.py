"""The metrics of the fleet in the catalogue: sums over all pipelines, which `stream-app serve` exports."""

from __future__ import annotations

from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN
from stream_app.metrics.metric import Label, Metric, Process

_SERVE: tuple[Process, ...] = ("serve",)

FLEET = (
    Metric("fleet_pipelines", "gauge", "Pipelines that the figures of the fleet are of.", processes=_SERVE),
    Metric("fleet_runs", "gauge", "Runs, evicted ones included.", processes=_SERVE),
    Metric(
        "fleet_graphlets", "gauge", "Graphlets by outcome, evicted ones included.",
        (Label("outcome", (OPEN, PUSHED, NOT_PUSHED, PRUNED, UNKNOWN)),), processes=_SERVE,
    ),
    Metric(
        "fleet_push_node_seconds", "gauge", "Compute spent for pushes, failed tries before them included.",
        unit="node_seconds", processes=_SERVE,
    ),
    Metric(
        "fleet_since_push_node_seconds", "gauge", "Compute that pipelines have spent since their last push.",
        unit="node_seconds", processes=_SERVE,
    ),
    Metric(
        "fleet_redundant_node_seconds", "gauge", "Compute that repeats what was done before, by kind.",
        (Label("kind", ("exact", "data", "training")),), unit="node_seconds", processes=_SERVE,
    ),
    Metric(
        "fleet_findings", "gauge", "Findings, by kind.",
        (
            Label(
                "kind",
                (
                    "no_push", "trains_too_often", "same_failure", "not_blessed", "unchanged", "not_validated",
                    "pushed_unvalidated", "silent",
                ),
            ),
        ),
        processes=_SERVE,
    ),
)  # fmt: skip
