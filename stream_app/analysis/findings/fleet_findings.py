"""The findings of all pipelines, ranked by what they cost."""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.pipeline_findings import findings_of
from stream_app.analysis.findings.values import Finding
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis


def findings_of_fleet(fleet: FleetAnalysis) -> list[Finding]:
    """Applies all rules to what is known now of all pipelines.

    Parameters
    ----------
    fleet
        The analysis, which follows a detector.

    Returns
    -------
    list of Finding
        Those that cost most first.
    """
    return ranked(finding for each in fleet.pipelines().values() for finding in findings_of(History(each)).findings)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by what they cost, the most expensive first: by money, then by compute, then by id."""
    return sorted(findings, key=lambda each: (-each.micros, -each.node_ms, each.id))
