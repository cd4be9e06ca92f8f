"""The figures of a fleet made of snapshots of its pipelines, wherever the snapshots come from."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stream_app.analysis.findings import FindingsFigures, figures_of_findings, ranked
from stream_app.analysis.fleet.figures import fleet_figures, pipeline_figures
from stream_app.analysis.fleet.redundant import Redundant, redundant_work
from stream_app.analysis.fleet.values import PipelineFigures
from stream_app.analysis.fleet_document import FleetDocument
from stream_app.analysis.fleet_snapshots import KnownPipeline
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN
from stream_app.errors import StreamAppError
from stream_app.metrics.fleet import FleetSums

#: Seconds for which figures are kept at least, and how many times as long as it took to make them.
FRESH_SECONDS, FRESH_FACTOR = 5.0, 20.0


class FleetUnavailableError(StreamAppError):
    """The figures cannot be made yet; the message says why."""


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
    as_of_ms
        Up to when, in ms since 1970 UTC, what was received is in all of the figures at least; None without pipelines.
    omitted
        As of `FleetState`.
    wasted
        Pipeline -> the compute that the ledger counts as wasted, in node-seconds.
    push_ms, since_push_ms
        Compute spent for pushes, and since the last push of each pipeline, in node-ms.
    of_pipeline
        Gives all that is known of a pipeline; None where there is none of this name.
    """

    document: FleetDocument
    as_of_ms: int | None
    omitted: Mapping[str, tuple[str, ...]]
    wasted: Mapping[str, float]
    push_ms: int
    since_push_ms: int
    of_pipeline: Callable[[str], PipelineAnswer | None]


@dataclass(frozen=True, slots=True)
class FleetState:
    """What the figures of a fleet are made of.

    Attributes
    ----------
    pipelines
        What is known of each pipeline, by name.
    currency
        Of all amounts of money; None where they are not known in one currency.
    as_of_ms
        As of `FleetAnswer`.
    omitted
        Pipeline -> what is not known of it because it is too large; see `FleetRecord.omitted`.
    """

    pipelines: Mapping[str, KnownPipeline]
    currency: str | None
    as_of_ms: int | None
    omitted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class FiguresMaker:
    """Makes the figures of a fleet; those of a pipeline again only where it has changed."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[KnownPipeline, bool, PipelineFigures]] = {}

    def answer(self, state: FleetState) -> FleetAnswer:
        """The figures of a fleet.

        Parameters
        ----------
        state
            What they are made of.

        Returns
        -------
        FleetAnswer
            The figures, which are a function of the state.
        """
        known, priced = state.pipelines, state.currency is not None
        self._made = {name: self._figures(name, each, priced) for name, each in known.items()}
        pipelines = [figures for _, _, figures in self._made.values()]
        pipelines.sort(key=lambda each: (-(each.totals.node_seconds or 0.0), each.pipeline))
        snapshots = {name: each.snapshot for name, each in known.items()}

        def owner_of(name: str) -> str:
            return known[name].owner

        document = FleetDocument(
            fleet_figures(snapshots, owner_of, state.currency),
            pipelines,
            redundant_work(snapshots, priced=priced),
            figures_of_findings(
                ranked(finding for each in known.values() for finding in each.findings), owner_of, priced=priced
            ),
        )
        by_name = {each.pipeline: each for each in pipelines}

        def of_pipeline(name: str) -> PipelineAnswer | None:
            if name not in by_name:
                return None
            return PipelineAnswer(
                by_name[name],
                snapshots[name].wasted_ms / 1000,
                redundant_work({name: snapshots[name]}, priced=priced),
                figures_of_findings(ranked(known[name].findings), owner_of, priced=priced),
            )

        return FleetAnswer(
            document,
            state.as_of_ms,
            state.omitted,
            {name: each.wasted_ms / 1000 for name, each in snapshots.items()},
            sum(cell.counters.get("push_ms", 0) for each in snapshots.values() for cell in each.cells.values()),
            sum(each.since.node_ms for each in snapshots.values()),
            of_pipeline,
        )

    def _figures(self, name: str, known: KnownPipeline, priced: bool) -> tuple[KnownPipeline, bool, PipelineFigures]:
        made = self._made.get(name)
        if made is not None and made[0] is known and made[1] == priced:
            return made
        return known, priced, pipeline_figures(known.snapshot, known.owner, priced=priced)


class FleetAnswers:
    """Figures of the fleet that are kept a while. Any thread may ask; none waits while another asks for what is kept.

    Parameters
    ----------
    state
        Gives what figures are made of, as it is now.
    monotonic
        The clock, in seconds.
    """

    def __init__(self, state: Callable[[], FleetState], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._figures = FiguresMaker()
        self._answer: FleetAnswer | None = None
        self._made_at = self._seconds = 0.0

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
            now = self._monotonic()
            if self._answer is not None and now - self._made_at < max(max_age, FRESH_FACTOR * self._seconds):
                return self._answer
            answer = self._answer = self._figures.answer(self._state())
            self._made_at = self._monotonic()
            self._seconds = self._made_at - now
            return answer


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
