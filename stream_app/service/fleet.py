"""The figures of the fleet of an embedded detector: followed by its thread, made for whoever asks, and kept a while."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_app.analysis.findings import Finding, FindingsFigures, FleetFindings, figures_of_findings
from stream_app.analysis.fleet.figures import fleet_figures, pipeline_figures
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.fleet.redundant import Redundant, redundant_work
from stream_app.analysis.fleet.snapshot import PipelineSnapshot, snapshot_of
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.analysis.fleet.values import PipelineFigures
from stream_app.analysis.fleet_document import FleetDocument
from stream_app.core.detector import Detector
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN
from stream_app.core.units import HOUR_MS
from stream_app.metrics.fleet import FleetSums
from stream_app.service.settings import EmbeddedSettings

#: Seconds for which figures are kept at least, and how many times as long as it took to make them.
FRESH_SECONDS, FRESH_FACTOR = 5.0, 20.0
#: Seconds for which the detector waits at a time, at least until one pipeline is done.
SLICE_SECONDS = 0.005
#: By how much time alone makes the figures and findings of a pipeline old, in ms of its clock.
OLD_MS = HOUR_MS


def follow_fleet(detector: Detector, settings: EmbeddedSettings, rows: Mapping[bytes, bytes]) -> FleetAnalysis:
    """Has the sums of a detector's pipelines kept.

    Parameters
    ----------
    detector
        The detector, as it was loaded.
    settings
        Prices and owners.
    rows
        The rows of its state; only those of the analysis are read.

    Returns
    -------
    FleetAnalysis
        The analysis, which follows it.

    Raises
    ------
    StateError
        A row cannot be read.
    """
    rates = settings.rates
    names = StateAttribution(rates, settings.owners).label_names
    fleet = FleetAnalysis(settings.detector.operators.nodes, rates.micros if rates.given else None, names)
    fleet.load(rows)
    detector.follow(fleet)
    return fleet


@dataclass(frozen=True, slots=True)
class PipelineAnswer:
    """All that is known of one pipeline.

    Attributes
    ----------
    figures, redundant, findings
        As of `FleetDocument`, of this pipeline alone.
    wasted_node_seconds
        The compute that the ledger counts as wasted.
    """

    figures: PipelineFigures
    wasted_node_seconds: float
    redundant: Redundant
    findings: FindingsFigures


@dataclass(frozen=True, slots=True)
class FleetAnswer:
    """The figures of a fleet at one time.

    Attributes
    ----------
    document
        All of them.
    wasted
        Pipeline -> the compute that the ledger counts as wasted, in node-seconds.
    push_ms, since_push_ms
        Compute spent for pushes, and since the last push of each pipeline, in node-ms.
    of_pipeline
        Gives all that is known of a pipeline; None where there is none of this name.
    """

    document: FleetDocument
    wasted: Mapping[str, float]
    push_ms: int
    since_push_ms: int
    of_pipeline: Callable[[str], PipelineAnswer | None]


@dataclass(slots=True)
class _Known:
    """A pipeline as it was looked at last."""

    analysis: PipelineAnalysis
    snapshot: PipelineSnapshot
    findings: list[Finding]
    owner: str = ""
    figures: PipelineFigures | None = None


@dataclass(slots=True)
class _Made:
    answer: FleetAnswer
    at: float
    seconds: float


class FleetQueries:
    """Makes the figures of the fleet. Any thread may ask; none waits while another one asks for what is kept.

    Parameters
    ----------
    settings
        Of the service.
    fleet
        The analysis that follows the detector now.
    detector_lock
        Held while the analysis is looked at, for `SLICE_SECONDS` at a time.
    monotonic
        The clock, in seconds.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        fleet: Callable[[], FleetAnalysis],
        detector_lock: threading.Lock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet = fleet
        self._detector_lock = detector_lock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._made: _Made | None = None
        rates = settings.rates
        self._attribution = StateAttribution(rates, settings.owners)
        self._findings = FleetFindings(fleet())

    def answer(self, max_age: float = FRESH_SECONDS) -> FleetAnswer:
        """The figures as they are now, or as they were shortly before.

        Parameters
        ----------
        max_age
            Seconds for which they are kept at least. Where it takes long to make them, they are kept for longer.

        Returns
        -------
        FleetAnswer
            The figures.
        """
        with self._lock:
            made, now = self._made, self._monotonic()
            if made is not None and now - made.at < max(max_age, FRESH_FACTOR * made.seconds):
                return made.answer
            self._look()
            answer = self._answer()
            done = self._monotonic()
            self._made = _Made(answer, done, done - now)
            return answer

    def _look(self) -> None:
        """Looks at the pipelines that have changed, a few at a time."""
        with self._detector_lock:
            names = self._fleet().names()
        done = 0
        while done < len(names):
            with self._detector_lock:
                fleet, until = self._fleet(), self._monotonic() + SLICE_SECONDS
                while done < len(names):
                    if names[done] in fleet:  # after a failure the detector is loaded again, as it was last saved
                        self._look_at(fleet, names[done])
                    done += 1
                    if self._monotonic() >= until:
                        break

    def _look_at(self, fleet: FleetAnalysis, name: str) -> None:
        analysis, known = fleet.pipeline(name), self._known.get(name)
        if known is not None and known.analysis is analysis and known.snapshot.revision == analysis.revision:
            old_ms = known.snapshot.pipeline.clock.now_ms + OLD_MS
            if analysis.pipeline.clock.now_ms < old_ms:
                return
        self._known[name] = _Known(analysis, snapshot_of(analysis), self._findings.of(analysis))

    def _answer(self) -> FleetAnswer:
        attribution, known = self._attribution, dict(self._known)
        rates = attribution.rates
        # A snapshot has what figures read of an analysis.
        snapshots: dict[str, Any] = {name: each.snapshot for name, each in known.items()}
        for name, each in known.items():
            attribution.learn(name, each.snapshot.labels)
            owner = attribution.owner(name)
            if each.figures is None or owner != each.owner:
                each.owner, each.figures = owner, pipeline_figures(snapshots[name], owner, priced=rates.given)
        pipelines = [each.figures for each in known.values() if each.figures is not None]
        pipelines.sort(key=lambda each: (-(each.totals.node_seconds or 0.0), each.pipeline))
        findings = self._findings.revised(finding for each in known.values() for finding in each.findings)
        document = FleetDocument(
            fleet_figures(snapshots, attribution.owner, rates.currency if rates.given else None),
            pipelines,
            redundant_work(snapshots, priced=rates.given),
            figures_of_findings(findings, attribution.owner, priced=rates.given),
        )
        by_name = {each.pipeline: each for each in pipelines}
        wasted = {name: each.snapshot.wasted_ms / 1000 for name, each in known.items()}

        def of_pipeline(name: str) -> PipelineAnswer | None:
            figures = by_name.get(name)
            if figures is None:
                return None
            own = [each for each in findings if each.pipeline == name]
            return PipelineAnswer(
                figures,
                wasted[name],
                redundant_work({name: snapshots[name]}, priced=rates.given),
                figures_of_findings(own, lambda _: figures.owner, priced=rates.given),
            )

        return FleetAnswer(
            document,
            wasted,
            sum(cell.counters.get("push_ms", 0) for each in known.values() for cell in each.snapshot.cells.values()),
            sum(each.snapshot.since.node_ms for each in known.values()),
            of_pipeline,
        )


def fleet_sums(answer: FleetAnswer) -> FleetSums:
    """The sums of the fleet that are exported as metrics.

    Parameters
    ----------
    answer
        The figures.

    Returns
    -------
    FleetSums
        The sums.
    """
    document = answer.document
    totals = document.figures.fleet.totals
    redundant: dict[str, float] = {}
    for work in document.redundant.by_operator:
        redundant[work.kind] = redundant.get(work.kind, 0.0) + work.node_seconds
    return FleetSums(
        pipelines=document.figures.fleet.pipelines,
        runs=totals.runs or 0,
        graphlets={
            PUSHED: totals.pushed, NOT_PUSHED: totals.not_pushed, PRUNED: totals.pruned, UNKNOWN: totals.unknown,
            OPEN: totals.open,
        },
        push_node_seconds=answer.push_ms / 1000,
        since_push_node_seconds=answer.since_push_ms / 1000,
        redundant_node_seconds=redundant,
        findings=Counter(finding.kind for finding in document.findings.findings),
    )  # fmt: skip
