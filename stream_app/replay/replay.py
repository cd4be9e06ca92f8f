"""Reads events through the detector, one by one: decode, step, learn, write.

It needs no broker and no clock. The same input gives the same outputs, byte for byte.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stream_app.alerts.finding_tracking import Look
from stream_app.analysis.attribution import Attribution
from stream_app.analysis.figures import Figures, figures
from stream_app.analysis.findings import FleetLooks, figures_of_findings, findings_of_fleet
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet_document import fleet_document
from stream_app.analysis.sums import ReplayStatistics
from stream_app.core.acts import is_act
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed, Example, Output, Verdict
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent
from stream_app.figures.findings_wording import lines
from stream_app.replay.decoding import AUTO, decode
from stream_app.replay.reading import InputError, MessageReader, Stores
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.replay.tracing import Tracing
from stream_app.sources import SOURCES, DeadLetter, Redaction, Sources

#: Messages between two calls of `progress`.
_PROGRESS_EVERY = 1000


@dataclass(frozen=True)
class Replayed:
    """The result of a replay."""

    figures: Figures
    #: Wall-clock seconds, and events read in each.
    seconds: float
    events_per_second: float


class Replay:
    """A detector whose outputs are learned, written and counted at once.

    Parameters
    ----------
    settings
        Settings of the detector.
    learner
        Taught every example at once; None: only graphlets, outcomes and the ledger are computed.
    writing
        Where outputs are written.
    attribution
        Owners and prices; by default none.
    tracing
        Takes verdicts, and the detector at the end, to send them to a collector; None: they are not sent.
    findings
        Whether the figures have findings.
    """

    def __init__(
        self,
        settings: Settings,
        learner: Learner | None,
        writing: SinkWriter,
        attribution: Attribution | None = None,
        tracing: Tracing | None = None,
        *,
        findings: bool = False,
    ) -> None:
        self.settings = settings
        self.detector = Detector(settings, learner)
        self.statistics = ReplayStatistics(settings.policy, learner)
        self._learner = learner
        self._writing = writing
        self._attribution = attribution or Attribution()
        self._tracing = tracing
        #: None: the figures have no findings.
        self._fleet: FleetAnalysis | None = None
        self._looks: FleetLooks | None = None
        if findings or writing.wants_findings:
            fleet = self._follow()
            self._fleet = fleet if findings else None
            self._looks = FleetLooks(fleet, self._attribution) if writing.wants_findings else None
        self._handlers = Handlers(self._verdict, self._example, self._closed)

    def step(self, event: Event) -> list[Output]:
        """Applies an event; returns the outputs of the detector."""
        outputs = self.detector.step(event)
        if not is_act(event):
            # A sender whose clock is far ahead does not prolong the period of the report.
            self.statistics.parts_dropped += event.dropped
            self.statistics.event(min(event.time_ms, self.detector.pipelines[event.pipeline].clock.now_ms))
            self._attribution.follow(event, self.detector.pipelines[event.pipeline])
        if outputs:
            dispatch(outputs, self._learner, self._handlers)
        if self._looks is not None:
            now_ms = self.detector.pipelines[event.pipeline].clock.now_ms
            self._writing.clocks({event.pipeline: now_ms})
            self._writing.finding(event.pipeline, now_ms, self._look_at)
        return outputs

    def tick(self, now_ms: int) -> None:
        """Advances every pipeline's clock to a time in ms since 1970 UTC."""
        dispatch(self.detector.tick(now_ms), self._learner, self._handlers)
        self._writing.clocks({name: pipeline.clock.now_ms for name, pipeline in self.detector.pipelines.items()})

    def settle_last(self) -> None:
        """Settles, at the end of the input, the pipelines that went silent while others went on."""
        dispatch(self.detector.settle_last(), self._learner, self._handlers)
        self._writing.clocks({name: pipeline.clock.now_ms for name, pipeline in self.detector.pipelines.items()})

    def refuse(self, letter: DeadLetter) -> None:
        """Writes and counts a message that is not an event."""
        self.statistics.dead_letter(letter.reason)
        self._writing.dead_letter(letter)

    def _verdict(self, verdict: Verdict) -> None:
        self._writing.verdict(verdict)
        self.statistics.verdict(verdict)
        if self._tracing is not None:
            self._tracing.verdict(verdict)

    def _example(self, example: Example) -> None:
        example.owner = example.owner or self._attribution.owner(example.pipeline)
        self._writing.example(example)
        self.statistics.example(example)

    def _closed(self, closed: Closed) -> None:
        self._writing.graphlet(closed.graphlet)
        self.statistics.closed(closed)
        if self._tracing is not None:
            self._tracing.closed(closed)

    def _look_at(self, pipeline: str) -> Look:
        assert self._looks is not None
        return Look(*self._looks.look_at(pipeline))

    def _follow(self) -> FleetAnalysis:
        nodes, rates = self.settings.operators.nodes, self._attribution.rates
        price_of = rates.micros if rates.given else None
        fleet = FleetAnalysis(nodes, price_of)
        self.detector.follow(fleet)
        return fleet

    def finish(self, seed: int = 0) -> Figures:
        """Writes the graphlets that are still kept, and computes the figures.

        Parameters
        ----------
        seed
            Seed of the resampling that gives the intervals.
        """
        if self._tracing is not None:
            self._tracing.finish(self.detector)
        if self._writing.wants_graphlets:
            for record in self.detector.graphlets():
                self._writing.graphlet(record)
        kept: Counter[tuple[str, str]] = Counter(
            (graphlet.kind, graphlet.cause or "")
            for pipeline in self.detector.pipelines.values()
            for graphlet in pipeline.graphlets.values()
        )
        attribution = self._attribution
        if self._fleet is None:
            return figures(self.statistics, self.detector, kept, attribution, seed)
        found = figures_of_findings(findings_of_fleet(self._fleet), attribution.owner, priced=attribution.rates.given)
        every = figures(self.statistics, self.detector, kept, attribution, seed, lines(found.findings))
        return replace(every, fleet=fleet_document(self._fleet.pipelines(), attribution, found))


def replay(
    files: Sequence[str],
    settings: Settings,
    learner: Learner | None,
    sinks: Sinks | None = None,
    *,
    source: str = AUTO,
    sources: Sources = SOURCES,
    stores: Stores | None = None,
    now_ms: int | None = None,
    attribution: Attribution | None = None,
    tracing: Tracing | None = None,
    findings: bool = False,
    seed: int = 0,
    progress: Callable[[int, MessageReader], None] | None = None,
) -> Replayed:
    """Reads files of events through a detector.

    Parameters
    ----------
    files
        See `MessageReader`.
    settings, learner, sinks
        See `Replay` and `Sinks`.
    source, sources
        See `stream_app.replay.decoding.decode`.
    stores
        See `MessageReader`.
    now_ms
        In ms since 1970 UTC. No event may be more than a day after it, and when the input ends, every pipeline's clock
        advances to it. None: not bounded, and clocks remain at each pipeline's last event, but for pipelines that went
        silent while others went on.
    attribution, tracing, findings
        See `Replay`.
    seed
        See `Replay.finish`.
    progress
        Called now and then, and at the end, with the number of events so far and the files.

    Raises
    ------
    OptionsError
        A file is missing or cannot be read or written.
    InputError
        A file is truncated or binary, or none of the messages is an event.
    """
    reading = MessageReader(files, stores)
    began = time.monotonic()
    with SinkWriter(sinks or Sinks(), reading.files) as writing:
        run = Replay(settings, learner, writing, attribution, tracing, findings=findings)
        latest_ms = None if now_ms is None else now_ms + DAY_MS
        _read(
            run,
            reading,
            partial(decode, source=source, latest_ms=latest_ms, sources=sources),
            sources.redaction,
            progress,
        )
        if now_ms is not None:
            run.tick(now_ms)
        else:
            run.settle_last()
        found = run.finish(seed)
    seconds = time.monotonic() - began
    return Replayed(found, seconds, found.events / seconds if seconds > 0 else 0.0)


def _read(
    run: Replay,
    reading: MessageReader,
    decoded: Callable[[bytes], Event | None],
    redaction: Redaction,
    progress: Callable[[int, MessageReader], None] | None,
) -> None:
    statistics, first_reason = run.statistics, ""
    for count, message in enumerate(reading, 1):
        try:
            event = decoded(message)
        except MalformedEvent as error:
            first_reason = first_reason or f"{reading.place}: {error}"
            run.refuse(DeadLetter(redaction.message(message), reading.place, str(error)))
        else:
            if event is None:
                statistics.ignored += 1
            else:
                run.step(event)
        if progress is not None and count % _PROGRESS_EVERY == 0:
            progress(statistics.events, reading)
    if first_reason and not statistics.events:
        messages = sum(statistics.dead_letters.values())
        raise InputError(f"none of {messages:,} messages is an event; the first: {first_reason}")
    if progress is not None:
        progress(statistics.events, reading)
