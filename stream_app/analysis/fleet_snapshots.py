"""The snapshots of the pipelines of a detector, each made anew once its pipeline has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stream_app.analysis.findings import Finding, FindingRevisions
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.following import FleetSettings
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.fleet.snapshot import PipelineSnapshot, snapshot_of
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.core.units import HOUR_MS

#: By how much time alone makes the figures and findings of a pipeline old, in ms of its clock.
OLD_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class KnownPipeline:
    """All that is known of one pipeline at one time.

    Attributes
    ----------
    snapshot
        What figures are made of.
    findings
        Its findings, in the order of the table of rules.
    owner
        Its owner; "" where none is known.
    """

    snapshot: PipelineSnapshot
    findings: tuple[Finding, ...]
    owner: str


class _Taken(NamedTuple):
    """Of which state the last snapshot of a pipeline was taken."""

    analysis: PipelineAnalysis
    revision: int
    now_ms: int


class FleetSnapshots:
    """Takes snapshots of pipelines that have changed.

    Parameters
    ----------
    settings
        Prices and owners.
    """

    def __init__(self, settings: FleetSettings) -> None:
        self._attribution = StateAttribution(settings.rates, settings.owners)
        self._findings = FindingRevisions()
        self._taken: dict[str, _Taken] = {}

    def take(self, fleet: FleetAnalysis, name: str) -> KnownPipeline | None:
        """Takes in the changes of a pipeline.

        Parameters
        ----------
        fleet
            The analysis that follows the detector now.
        name
            The name of a pipeline in it.

        Returns
        -------
        KnownPipeline or None
            None where nothing has changed since the last call, and less than an hour of the pipeline's clock is over.
        """
        analysis, taken = fleet.pipeline(name), self._taken.get(name)
        now_ms = analysis.pipeline.clock.now_ms
        if taken is not None and taken[:2] == (analysis, analysis.revision) and now_ms < taken.now_ms + OLD_MS:
            return None
        snapshot = snapshot_of(analysis)
        self._attribution.learn(name, snapshot.labels)
        known = KnownPipeline(snapshot, tuple(self._findings.of(analysis)), self._attribution.owner(name))
        self._taken[name] = _Taken(analysis, analysis.revision, now_ms)
        return known

    def forget(self, name: str) -> None:
        """Has the next call of `take` return the pipeline, whether or not it has changed."""
        self._taken.pop(name, None)
