"""Explains one graphlet: its events, its members, its verdicts with their reasons, and its outcome.

The files are read twice: through the detector first, so that every verdict is that of a replay, then for the events of
the graphlet's executions. For the difference from the last push, a second detector reads the events of the pipeline: it
predicts nothing and evicts nothing, so that it has graphlets of any age.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stream_app.analysis.emptiness import why_nothing
from stream_app.core.acts import ActOn, is_act
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.ids import graphlet_id, parse_graphlet_id, run_graphlet_id
from stream_app.core.learning.learner import Learner
from stream_app.core.operators import RUN, TRAIN
from stream_app.core.outputs import Closed, Example, StageRecord, Verdict
from stream_app.core.storage.story import StoryEntry
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent, OptionsError, StreamAppError
from stream_app.provenance.decision import decision_record, followed
from stream_app.provenance.difference import difference, last_pushed_before, portrait
from stream_app.provenance.nearest import Comparison, Neighbour, PastStage, PastStages, known_features
from stream_app.replay.decoding import SeenTypes, decode
from stream_app.replay.reading import STDIN, MessageReader, Stores
from stream_app.sources import SOURCES, Sources
from stream_app.wire import verdict_to_dict

#: Names suggested for an unknown one.
_SUGGESTED = 3
#: For how long a detector that evicts nothing keeps everything: longer than any log.
_ALWAYS_MS = 10_000 * 366 * DAY_MS


class UnknownGraphletError(StreamAppError):
    """The files have no such graphlet."""


@dataclass(slots=True)
class Explanation:
    """Everything known about a graphlet."""

    graphlet: str
    pipeline: str
    #: As the detector describes it; None for a run whose trainer never started.
    record: dict[str, Any] | None = None
    #: Every verdict on it, and on its run before the trainer was known.
    verdicts: list[Verdict] = field(default_factory=list)
    #: Id of a verdict -> the past graphlets that were most alike when it was made; None: its features are not kept.
    nearest: dict[str, tuple[Neighbour, ...] | None] = field(default_factory=dict)
    #: Id of a verdict -> its record, as of `stream_app.provenance.decision.decision_record`.
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: As of `stream_app.provenance.difference.difference`; None where it was not asked for, or is not known.
    difference: dict[str, Any] | None = None
    #: The labels of both, with the features of every stage.
    examples: list[Example] = field(default_factory=list)
    #: What the detector kept of it; empty once it was evicted.
    story: list[StoryEntry] = field(default_factory=list)
    #: The events of its members, in the order of the files.
    events: list[Event] = field(default_factory=list)
    #: Files that break off, where and why.
    faults: list[str] = field(default_factory=list)

    def stages(self) -> dict[tuple[str, str | None], StageRecord]:
        """(stage, validator) -> the record of that stage."""
        return {
            (record.stage, record.validator): record
            for example in self.examples
            for record in (*example.inherited, *example.stages)
        }


def explain(
    graphlet: str,
    files: Sequence[str],
    settings: Settings,
    learner: Learner,
    source: str = "auto",
    now_ms: int | None = None,
    sources: Sources = SOURCES,
    stores: Stores | None = None,
    *,
    compare: bool = False,
) -> Explanation:
    """Explains a graphlet in some files of events and stores.

    Parameters
    ----------
    graphlet
        `<pipeline>/<trainer>`, or `<pipeline>/run:<run>`, or the trainer alone where one pipeline has it.
    files, settings, learner, source, now_ms, sources, stores
        As of `replay`, but without standard input.
    compare
        Whether the graphlet is compared with the last one before it that was pushed.

    Raises
    ------
    UnknownGraphletError
        The files have no such graphlet, or several; the message names similar ones, or these.
    OptionsError, InputError
        As of `MessageReader`.
    """
    if STDIN in files:
        raise OptionsError("explain reads its files twice; give it files instead of standard input")
    if parse_graphlet_id(graphlet) is None:
        graphlet = _of_trainer(graphlet, _events(MessageReader(files, stores), source, sources), settings)
    name = parse_graphlet_id(graphlet)
    if compare and name is not None and name.trainer is None:
        raise OptionsError(f"{graphlet}: a run has no difference; give the graphlet of one of its trainers")
    detector = Detector(settings, learner)
    collector = _Collector(graphlet, detector)
    handlers = Handlers(collector.verdict, collector.example, collector.closed)
    keeping = Detector(replace(settings, retention_ms=_ALWAYS_MS))
    seen = SeenTypes(sources)
    for event in _events(MessageReader(files, stores), source, seen.sources):
        dispatch(detector.step(event), learner, handlers)
        if compare and name is not None and event.pipeline == name.pipeline:
            keeping.step(event)
    dispatch(detector.settle_last() if now_ms is None else detector.tick(now_ms), learner, handlers)
    explanation = collector.explanation(seen.types)
    if compare:
        explanation.difference = _difference(explanation, keeping)
    run = explanation.verdicts[0].run if explanation.record is None else explanation.record["run"]
    reading = MessageReader(files, stores)
    for event in _events(reading, source, sources):
        if event.pipeline == explanation.pipeline and _belongs(event, explanation, run, settings):
            explanation.events.append(event)
    explanation.faults = reading.faults
    return explanation


def _difference(explanation: Explanation, detector: Detector) -> dict[str, Any] | None:
    """What differs from the last push before it; None where later events show that it was no trainer."""
    record, operators = explanation.record, detector.settings.operators
    pipeline = detector.pipelines[explanation.pipeline]
    graphlet = pipeline.graphlets.get(record["trainer"]) if record is not None else None
    if record is None or graphlet is None:
        return None
    other = last_pushed_before(pipeline, graphlet)
    before = portrait(*other, operators) if other is not None else None
    return difference(replace(portrait(pipeline, graphlet, operators), outcome=record["outcome"]), before)


def _of_trainer(execution: str, events: Iterable[Event], settings: Settings) -> str:
    """The id of the graphlet of a trainer, or its own where there is none; raises UnknownGraphletError for several."""
    group = settings.operators.group
    pipelines = {
        event.pipeline for event in events if event.execution_id == execution and group(event.execution_type) == TRAIN
    }
    found = sorted(graphlet_id(pipeline, execution) for pipeline in pipelines)
    if len(found) > 1:
        raise UnknownGraphletError(f"{execution}: more than one pipeline has such a trainer: give {' or '.join(found)}")
    return found[0] if found else execution


def _belongs(event: Event, explanation: Explanation, run: str | None, settings: Settings) -> bool:
    """Whether an event is of a member, the run itself, or an act on it; without a trainer, of anything in the run."""
    record = explanation.record
    if is_act(event):
        trainer = record["trainer"] if record is not None and run is None else None
        return (run, trainer) != (None, None) and event.execution_id.endswith(
            f"/{ActOn(event.pipeline, run, trainer).key}"
        )
    of_run = event.run is not None and event.run == run
    if of_run and (record is None or settings.operators.group(event.execution_type) == RUN):
        return True
    return record is not None and event.execution_id in (
        record["trainer"], *record["up"], *record["down"], *record["side"],
    )  # fmt: skip


def _events(messages: Iterable[bytes], source: str, sources: Sources) -> Iterator[Event]:
    for message in messages:
        try:
            event = decode(message, source, sources=sources)
        except MalformedEvent:
            continue
        if event is not None:
            yield event


class _Collector:
    """Keeps the outputs on one graphlet and on its run."""

    def __init__(self, graphlet: str, detector: Detector) -> None:
        self._graphlet, self._detector = graphlet, detector
        self._past = PastStages()
        #: Id of a verdict -> the labelled stages that there were, and its features.
        self._known: dict[str, tuple[tuple[PastStage, ...], dict[str, float] | None]] = {}
        #: Id of a verdict -> its record.
        self._records: dict[str, dict[str, Any]] = {}
        self._verdicts: list[Verdict] = []
        self._examples: list[Example] = []
        self._closed: dict[str, Any] | None = None

    def verdict(self, verdict: Verdict) -> None:
        if self._may_concern(verdict):
            self._verdicts.append(verdict)
            past, pipeline = self._past.of(verdict.pipeline, verdict.stage), self._detector.pipelines[verdict.pipeline]
            names = (verdict.graphlet, verdict.run, verdict.trainer, verdict.stage, verdict.validator)
            self._known[verdict.id] = past, known_features(pipeline, past, *names)
            record = decision_record(pipeline, verdict_to_dict(verdict))
            if record is not None:
                self._records[verdict.id] = record

    def example(self, example: Example) -> None:
        self._past.learn(example)
        if self._may_concern(example):
            self._examples.append(example)

    def closed(self, closed: Closed) -> None:
        if closed.graphlet["graphlet"] == self._graphlet:
            self._closed = closed.graphlet

    def _may_concern(self, output: Verdict | Example) -> bool:
        """Whether it is on the graphlet, or on a run of its pipeline: its own run is known only in the end."""
        if output.graphlet == self._graphlet:
            return True
        name = parse_graphlet_id(self._graphlet)
        return output.trainer is None and name is not None and name.pipeline == output.pipeline

    def explanation(self, types: Mapping[str, int]) -> Explanation:
        """The explanation, still without events; raises UnknownGraphletError, which names types where there is none."""
        detector, record, known = self._detector, self._closed, []
        name = parse_graphlet_id(self._graphlet)
        of_run: list[str] = []
        for kept in detector.graphlets():
            known.append(kept["graphlet"])
            if (
                name is not None
                and name.run is not None
                and (kept["pipeline"], kept["run"]) == (name.pipeline, name.run)
            ):
                of_run.append(kept["graphlet"])
            if kept["graphlet"] == self._graphlet:
                record = kept
        names = {self._graphlet}
        if record is not None and record["run"] is not None:
            names.add(run_graphlet_id(record["pipeline"], record["run"]))
        verdicts = [verdict for verdict in self._verdicts if verdict.graphlet in names]
        if record is None and not verdicts:
            if of_run:
                raise UnknownGraphletError(
                    f"{self._graphlet}: nothing was predicted for this run before its trainer was known; "
                    f"its graphlets are {', '.join(sorted(of_run)[:_SUGGESTED])}"
                )
            why = why_nothing(types, detector.settings.operators, 0, 0)
            raise UnknownGraphletError(unknown(self._graphlet, known, why or ""))
        pipeline = record["pipeline"] if record is not None else verdicts[0].pipeline
        examples = [example for example in self._examples if example.graphlet in names]
        return Explanation(
            self._graphlet,
            pipeline,
            record,
            verdicts,
            {verdict.id: self._nearest(verdict) for verdict in verdicts},
            examples=examples,
            story=detector.story(self._graphlet),
            records={
                verdict.id: self._record(verdict.id, pipeline) for verdict in verdicts if verdict.id in self._records
            },
        )

    def _record(self, verdict: str, pipeline: str) -> dict[str, Any]:
        """The record of a verdict, with what was done since."""
        record = self._records[verdict]
        return {**record, **followed(self._detector.pipelines[pipeline], record["verdict"])}

    def _nearest(self, verdict: Verdict) -> tuple[Neighbour, ...] | None:
        past, features = self._known[verdict.id]
        if features is None:
            return None
        return Comparison(past).nearest(features, verdict.graphlet, verdict.time_ms)


def unknown(graphlet: str, known: Sequence[str], why_none: str) -> str:
    """The message about an unknown graphlet, with similar names.

    Parameters
    ----------
    graphlet
        The unknown id.
    known
        The ids that there are.
    why_none
        Why there is no graphlet at all, if there is none.
    """
    if not known:
        return f"{graphlet}: no such graphlet; the files have none ({why_none}); see `stream-app check`"
    alike = difflib.get_close_matches(graphlet, known, _SUGGESTED, cutoff=0.5) or sorted(known)[:_SUGGESTED]
    return f"{graphlet}: no such graphlet; there are, for instance, {', '.join(alike)}"
