"""Findings: waste and risks that plain rules see in a pipeline's kept graphlets, without a model (docs/findings.md)."""

from stream_app.analysis.findings.figures import FindingFigures, FindingsFigures, figures_of_findings
from stream_app.analysis.findings.fleet_findings import findings_of_fleet, ranked
from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.looking import FleetLooks
from stream_app.analysis.findings.pipeline_findings import PipelineFindings, findings_of
from stream_app.analysis.findings.values import Act, ActKind, Effect, Finding, Kind

__all__ = [
    "Act",
    "ActKind",
    "Effect",
    "Finding",
    "FindingFigures",
    "FindingsFigures",
    "FleetLooks",
    "History",
    "Kind",
    "PipelineFindings",
    "figures_of_findings",
    "findings_of",
    "findings_of_fleet",
    "ranked",
]
