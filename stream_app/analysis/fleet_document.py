"""Everything that is known of a fleet, as one document: what `analyze --json` prints and `/v1/fleet` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.findings import FindingsFigures
from stream_app.analysis.fleet.figures import fleet_figures, pipeline_figures
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.fleet.redundant import Redundant, redundant_work
from stream_app.analysis.fleet.snapshot import snapshot_of
from stream_app.analysis.fleet.values import FleetFigures, PipelineFigures


@dataclass(frozen=True, slots=True)
class FleetDocument:
    """The figures of a fleet, of its pipelines by their compute, its redundant work, and findings."""

    figures: FleetFigures
    pipelines: list[PipelineFigures]
    redundant: Redundant
    findings: FindingsFigures


def fleet_document(
    pipelines: Mapping[str, PipelineAnalysis], attribution: Attribution, findings: FindingsFigures
) -> FleetDocument:
    """Makes the document of a fleet.

    Parameters
    ----------
    pipelines
        The analysis of each pipeline, by name, up to date.
    attribution
        Owners and prices.
    findings
        The findings of the same pipelines.

    Returns
    -------
    FleetDocument
        The document.
    """
    rates = attribution.rates
    snapshots = {name: snapshot_of(analysis) for name, analysis in pipelines.items()}
    found = [
        pipeline_figures(snapshot, attribution.owner(name), priced=rates.given) for name, snapshot in snapshots.items()
    ]
    found.sort(key=lambda each: (-(each.totals.node_seconds or 0.0), each.pipeline))
    return FleetDocument(
        fleet_figures(snapshots, attribution.owner, rates.currency if rates.given else None),
        found,
        redundant_work(snapshots, priced=rates.given),
        findings,
    )
