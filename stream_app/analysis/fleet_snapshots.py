"""The snapshots of the pipelines of a detector, each made anew once its pipeline has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from stream_app.analysis.findings import Finding, History, findings_of
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
    announced: Mapping[str, int]
    now_ms: int


class FleetSnapshots:
    """Takes snapshots of pipelines that have changed.

    Parameters
    ----------
    settings
        Prices and owners.
    revisions
        The revisions of the findings of a pipeline that were announced last, by id.
    """

    def __init__(self, settings: FleetSettings, revisions: Callable[[str], Mapping[str, int]] = lambda _: {}) -> None:
        self._attribution = StateAttribution(settings.rates, settings.owners)
        self._revisions = revisions
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
            None where nothing has changed or was announced since the last call, and less than an hour of the
            pipeline's clock is over.
        """
        analysis, taken = fleet.pipeline(name), self._taken.get(name)
        now_ms, announced = analysis.pipeline.clock.now_ms, self._revisions(name)
        if (
            taken is not None
            and taken[:3] == (analysis, analysis.revision, announced)
            and now_ms < taken.now_ms + OLD_MS
        ):
            return None
        snapshot = snapshot_of(analysis)
        self._attribution.learn(name, snapshot.labels)
        found = findings_of(History(analysis)).findings
        findings = tuple(replace(each, revision=announced.get(each.id, 0)) for each in found)
        known = KnownPipeline(snapshot, findings, self._attribution.owner(name))
        self._taken[name] = _Taken(analysis, analysis.revision, announced, now_ms)
        return known

    def forget(self, name: str) -> None:
        """Has the next call of `take` return the pipeline, whether or not it has changed."""
        self._taken.pop(name, None)
