"""The findings of all pipelines, ranked by what they cost, with revisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stream_app.analysis.findings.history import History
from stream_app.analysis.findings.pipeline_findings import findings_of
from stream_app.analysis.findings.values import Finding
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis


class FindingRevisions:
    """Makes the findings of pipelines, each with its revision."""

    def __init__(self) -> None:
        #: Every finding ever made, by id, and by pipeline the ids of those made last.
        self._known: dict[str, Finding] = {}
        self._lasting: dict[str, frozenset[str]] = {}

    def of(self, analysis: PipelineAnalysis) -> list[Finding]:
        """Applies all rules to one pipeline.

        Parameters
        ----------
        analysis
            Its analysis, up to date.

        Returns
        -------
        list of Finding
            In the order of the table of rules. The revision of one that has changed since the last call for this
            pipeline, or has come back, is one more than its last.
        """
        name = analysis.pipeline.name
        lasting = self._lasting.get(name, frozenset())
        found = [self._revised(finding, lasting) for finding in findings_of(History(analysis)).findings]
        self._known.update((finding.id, finding) for finding in found)
        self._lasting[name] = frozenset(finding.id for finding in found)
        return found

    def _revised(self, finding: Finding, lasting: frozenset[str]) -> Finding:
        before = self._known.get(finding.id)
        if before is None:
            return finding
        same = replace(finding, revision=before.revision)
        if same == before and finding.id in lasting:
            return same
        return replace(finding, revision=before.revision + 1)


class FleetFindings:
    """Makes findings of the analysis of a fleet.

    Parameters
    ----------
    fleet
        The analysis, which follows a detector.
    """

    def __init__(self, fleet: FleetAnalysis) -> None:
        self._fleet = fleet
        self._revisions = FindingRevisions()

    def current(self) -> list[Finding]:
        """Applies all rules to what is known now.

        Returns
        -------
        list of Finding
            Those that cost most first, with revisions as of `FindingRevisions.of`.
        """
        return ranked(finding for each in self._fleet.pipelines().values() for finding in self._revisions.of(each))


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by what they cost, the most expensive first: by money, then by compute, then by id."""
    return sorted(findings, key=lambda each: (-each.micros, -each.node_ms, each.id))
