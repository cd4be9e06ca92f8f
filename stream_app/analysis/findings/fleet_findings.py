"""The findings of all pipelines, ranked by what they cost, with revisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.pipeline_findings import findings_of
from stream_app.analysis.findings.values import Finding
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis


class FleetFindings:
    """Makes findings of the analysis of a fleet.

    Parameters
    ----------
    fleet
        The analysis, which follows a detector.
    """

    def __init__(self, fleet: FleetAnalysis) -> None:
        self._fleet = fleet
        #: Every finding ever made, by id, and the ids of those made last.
        self._known: dict[str, Finding] = {}
        self._lasting: frozenset[str] = frozenset()

    def current(self) -> list[Finding]:
        """Applies all rules to what is known now.

        Returns
        -------
        list of Finding
            Those that cost most first. The revision of one that has changed since the last call, or has come back, is
            one more than its last.
        """
        return self.revised(finding for each in self._fleet.pipelines().values() for finding in self.of(each))

    def of(self, analysis: PipelineAnalysis) -> list[Finding]:
        """Applies all rules to one pipeline.

        Parameters
        ----------
        analysis
            Its analysis, up to date.

        Returns
        -------
        list of Finding
            In the order of the table of rules, each at revision 1.
        """
        return findings_of(History(analysis)).findings

    def revised(self, found: Iterable[Finding]) -> list[Finding]:
        """Gives the findings of all pipelines their revisions.

        Parameters
        ----------
        found
            As of `of`, for every pipeline.

        Returns
        -------
        list of Finding
            As of `current`.
        """
        revised = [self._revised(finding) for finding in found]
        self._known.update((finding.id, finding) for finding in revised)
        self._lasting = frozenset(finding.id for finding in revised)
        return ranked(revised)

    def _revised(self, finding: Finding) -> Finding:
        before = self._known.get(finding.id)
        if before is None:
            return finding
        same = replace(finding, revision=before.revision)
        if same == before and finding.id in self._lasting:
            return same
        return replace(finding, revision=before.revision + 1)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by what they cost, the most expensive first: by money, then by compute, then by id."""
    return sorted(findings, key=lambda each: (-each.micros, -each.node_ms, each.id))
