"""Checks a source of events: what is no event, what each execution counts as, and how much of the graph is connected.

Events go through a detector without a learner, so that graphlets and outcomes are those of a replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from stream_app.analysis.emptiness import why_nothing
from stream_app.core.acts import is_act
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import ArtifactRef, Event
from stream_app.core.operators import CUSTOM, DEPLOY, RUN, TRAIN, Operators
from stream_app.core.outputs import Closed, Output
from stream_app.core.properties import JOB
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent, OptionsError
from stream_app.figures.numbers import plural
from stream_app.replay.clock_outliers import ClockOutliers, Dated
from stream_app.replay.decoding import AUTO, decode
from stream_app.replay.duplicates import Duplicates
from stream_app.replay.reading import MessageReader, Stores
from stream_app.replay.rule_guesses import Guess, group_of_words, to_toml
from stream_app.replay.source_notes import SourceNotes, notes_of_sources
from stream_app.replay.survey import EXAMPLES, Graph, SplitExecution, SpreadRun, Survey, Unended, UnwrittenRead
from stream_app.sources import SOURCES, Sources
from stream_app.sources.faults import kind_of
from stream_app.sources.openlineage_rules import Rules
from stream_app.times import time_to_text

#: Kinds of reasons, execution types and jobs that are distinguished.
_KINDS_MAX = 1000
#: Messages between two calls of `progress`.
_PROGRESS_EVERY = 1000
#: Types named in one reason or note.
_LISTED = 5
#: Types that are listed for a person to tell which of them trains.
_OPEN = 20


@dataclass(slots=True)
class Fault:
    """A kind of reason: how many messages it concerns, and the full reason and place of the first."""

    kind: str
    messages: int
    place: str
    reason: str


@dataclass(slots=True)
class Job:
    """The pipeline and operator of a job of OpenLineage."""

    pipeline: str
    group: str
    type: str
    #: Whether the group follows from the words of its name, and from no rule or facet.
    guessed: bool = False
    events: int = 0


@dataclass(frozen=True, slots=True)
class OutlyingEvent:
    """An event dated more than a day after, or before, all others, probably by a broken clock."""

    time: str
    place: str
    pipeline: str
    execution: str


@dataclass(slots=True)
class Checked:
    """The result of a check."""

    events: int = 0
    dead_letters: int = 0
    #: Valid messages about no execution.
    ignored: int = 0
    #: Messages that repeat another one of the last 200,000, byte for byte.
    duplicates: int = 0
    #: Events that touch only what was evicted.
    dropped: int = 0
    #: Parts of events that are not read, such as facets with NaN, which were dropped because they are malformed.
    parts_dropped: int = 0
    #: Acts of people, which are no events of a pipeline.
    acts: int = 0
    pipelines: int = 0
    first: str | None = None
    last: str | None = None
    #: Operator group -> execution type -> events, and executions.
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    executions: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Of OpenLineage: namespace and name of a job -> its pipeline and operator.
    jobs: dict[str, Job] = field(default_factory=dict)
    graph: Graph = field(default_factory=Graph)
    #: Why there is no graphlet, or no push.
    why: str | None = None
    #: The first of each; the deploys that read what nobody wrote come before the trainers.
    unwritten: list[UnwrittenRead] = field(default_factory=list)
    split: list[SplitExecution] = field(default_factory=list)
    spread: list[SpreadRun] = field(default_factory=list)
    unended: list[Unended] = field(default_factory=list)
    late: list[OutlyingEvent] = field(default_factory=list)
    early: list[OutlyingEvent] = field(default_factory=list)
    #: The most frequent first.
    faults: list[Fault] = field(default_factory=list)
    #: Files that break off, where and why.
    broken_off: list[str] = field(default_factory=list)
    #: Properties of valid events with which the detector knows less than it could.
    warnings: list[str] = field(default_factory=list)
    #: Settings to add, as TOML; "" when nothing is to be added.
    rules: str = ""

    @property
    def failed(self) -> bool:
        """Whether there was something that is no event, or nothing at all."""
        return bool(self.dead_letters or self.broken_off or not self.events)


def check(
    files: Sequence[str],
    settings: Settings,
    source: str = AUTO,
    now_ms: int | None = None,
    sources: Sources = SOURCES,
    stores: Stores | None = None,
    rules: Rules | None = None,
    progress: Callable[[int, MessageReader], None] | None = None,
) -> Checked:
    """Checks some files and stores.

    Parameters
    ----------
    files
        See `MessageReader`.
    settings
        Of the detector.
    source
        See `stream_app.replay.decoding.decode`.
    now_ms
        As of `replay`.
    sources, stores
        As of `replay`.
    rules
        The rules of OpenLineage with which `sources` were made; by default `Rules()`.
    progress
        Called now and then with the number of events so far and the files.

    Raises
    ------
    OptionsError, InputError
        As of `MessageReader`.
    """
    run = _Check(settings, rules or Rules())
    with notes_of_sources() as notes:
        reading = MessageReader(files, stores)
        latest_ms = None if now_ms is None else now_ms + DAY_MS
        try:
            for count, message in enumerate(reading, 1):
                if progress is not None and count % _PROGRESS_EVERY == 0:
                    progress(run.found.events, reading)
                try:
                    event = decode(message, source, latest_ms, sources)
                except MalformedEvent as error:
                    run.fault(str(error), reading.place)
                else:
                    run.message(message, event, reading.place)
        except OptionsError as error:
            if not notes.settings:
                raise
            notes.lines[str(error)] = None  # the store tells what is to be set before it can be read
    run.outputs(run.detector.settle_last() if now_ms is None else run.detector.tick(now_ms))
    run.found.broken_off = reading.faults
    return run.finish(notes)


class _Check:
    """A check under way."""

    def __init__(self, settings: Settings, rules: Rules) -> None:
        self.found = Checked()
        self._rules = rules
        self.detector = Detector(settings)
        self._operators = settings.operators
        self._survey = Survey(settings.operators)
        self._faults: dict[str, Fault] = {}
        self._types: Counter[str] = Counter()
        self._pipelines: set[str] = set()
        self._duplicates = Duplicates()
        self._clocks = ClockOutliers()
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._unversioned = 0

    def fault(self, reason: str, place: str) -> None:
        """Counts a message that is not an event."""
        self.found.dead_letters += 1
        kind = kind_of(reason)
        if kind not in self._faults and len(self._faults) >= _KINDS_MAX:
            kind = "other reasons"
        self._faults.setdefault(kind, Fault(kind, 0, place, reason)).messages += 1

    def message(self, message: bytes, event: Event | None, place: str) -> None:
        """Counts a valid message, and applies its event."""
        found = self.found
        found.duplicates += self._duplicates.add(message)
        if event is None:
            found.ignored += 1
            return
        if is_act(event):  # of a person, not of the pipeline
            found.acts += 1
            self.outputs(self.detector.step(event))
            return
        found.events += 1
        found.parts_dropped += event.dropped
        time_ms, name = event.time_ms, event.execution_type
        self._pipelines.add(event.pipeline)
        self._types[name if len(self._types) < _KINDS_MAX or name in self._types else "other types"] += 1
        if JOB in event.properties:
            self._note_job(event, message)
        self._first_ms = time_ms if self._first_ms is None else min(self._first_ms, time_ms)
        self._last_ms = time_ms if self._last_ms is None else max(self._last_ms, time_ms)
        self._clocks.add(time_ms, place, event.pipeline, event.execution_id)
        self._survey.add(event)
        self.outputs(self.detector.step(event))

    def outputs(self, outputs: Sequence[Output]) -> None:
        """Takes the graphlets that the detector closes."""
        for output in outputs:
            if isinstance(output, Closed):
                self._survey.add_graphlet(output.graphlet)

    def _note_job(self, event: Event, message: bytes) -> None:
        name, jobs = str(event.properties[JOB]), self.found.jobs
        if name not in jobs and len(jobs) < _KINDS_MAX:
            group = self._operators.group(event.execution_type)
            jobs[name] = Job(event.pipeline, group, event.execution_type, self._is_guessed(message, name))
        if name in jobs:
            jobs[name].events += 1
        self._unversioned += len(_unversioned(event.inputs)) + len(_unversioned(event.outputs))

    def _is_guessed(self, message: bytes, job_name: str) -> bool:
        """Whether the words of a job's name alone decided on its group."""
        try:
            document = orjson.loads(message)
        except orjson.JSONDecodeError:  # NaN in a part that is not read
            document = None
        job = document.get("job") if isinstance(document, dict) else None
        if not isinstance(job, dict):  # in an envelope
            namespace, _, name = job_name.rpartition("/")
            return self._rules.guessed(namespace, name)
        facets = job.get("facets")
        facet = facets.get("jobType") if isinstance(facets, dict) else None
        job_type = facet.get("jobType") if isinstance(facet, dict) else None
        return self._rules.guessed(job["namespace"], job["name"], job_type if isinstance(job_type, str) else "")

    def finish(self, notes: SourceNotes) -> Checked:
        """The result."""
        found, survey = self.found, self._survey
        for record in self.detector.graphlets():
            survey.add_graphlet(record)
        found.pipelines, found.dropped = len(self._pipelines), self.detector.dropped
        found.first = time_to_text(self._first_ms) if self._first_ms is not None else None
        found.last = time_to_text(self._last_ms) if self._last_ms is not None else None
        found.types = _by_group(self._types, self._operators)
        for (group, name), number in sorted(survey.groups().items(), key=lambda item: (-item[1], item[0][1])):
            found.executions.setdefault(group, {})[name] = number
        for job in survey.jobs_of_runs() & found.jobs.keys():
            found.jobs[job].group, found.jobs[job].guessed = RUN, False
        found.faults = sorted(self._faults.values(), key=lambda fault: (-fault.messages, fault.kind))
        found.jobs = dict(sorted(found.jobs.items(), key=lambda item: (item[1].pipeline, item[0])))
        found.graph = survey.graph()
        found.unwritten, found.split = survey.unwritten(), survey.split()[:EXAMPLES]
        spread = survey.spread()
        found.unended, found.spread = survey.unended()[:EXAMPLES], spread[:EXAMPLES]
        found.late, found.early = _outlying(self._clocks.ahead()), _outlying(self._clocks.behind())
        if found.events:
            outcomes = found.graph.outcomes
            found.why = why_nothing(self._types, self._operators, found.graph.graphlets, outcomes.get("pushed", 0))
        found.rules = to_toml([*self._guesses(), *_rules_of_runs(spread)], notes.settings)
        found.warnings = [*_notes(found, survey.without_run(), self._unversioned), *notes.lines]
        return found

    def _guesses(self) -> list[Guess]:
        """Groups for the types of no known operator; without a trainer, also those that nothing tells."""
        runs = self.found.executions.get(RUN, {}).keys() | self._operators.groups.keys()
        unknown = [name for name in self.found.executions.get(CUSTOM, {}) if name not in runs]
        guesses = {name: guess for name in unknown if (guess := group_of_words(name)) is not None}
        words: dict[str, tuple[str | None, str]] = {
            name: (group, f"its name says {word!r}") for name, (group, word) in guesses.items()
        }
        if TRAIN not in self.found.types and TRAIN not in {group for group, _ in words.values()}:
            deploys = [
                *self.found.types.get(DEPLOY, {}),
                *(name for name, (group, _) in words.items() if group == DEPLOY),
            ]
            for name in sorted(self._survey.writers(deploys) & set(unknown)):
                words[name] = (TRAIN, f"writes what {', '.join(sorted(deploys)[:_LISTED])} reads")
            if TRAIN not in {group for group, _ in words.values()}:
                words |= {name: (None, "") for name in unknown[:_OPEN] if name not in words}
        of_jobs: dict[str, list[str]] = {}
        for name, job in self.found.jobs.items():
            of_jobs.setdefault(job.type, []).append(name)
        return [
            Guess(name, group, _one_line(why), tuple(of_jobs.get(name, ())))
            for name, (group, why) in sorted(words.items())
        ]


def _rules_of_runs(spread: Sequence[SpreadRun]) -> list[Guess]:
    """Rules for jobs, such as DAGs with dots, whose tasks name them as their pipeline, but whose own events do not."""
    jobs = {each.job: each for each in spread if each.is_named and each.other == each.job}
    return [
        Guess(job, RUN, f"such as run {each.run}, which its tasks name", (job,), pipeline=each.other)
        for job, each in jobs.items()
    ]


def _outlying(events: Sequence[Dated]) -> list[OutlyingEvent]:
    return [
        OutlyingEvent(time_to_text(each.time_ms), each.place, each.pipeline, each.execution)
        for each in events[:EXAMPLES]
    ]


def _unversioned(artifacts: Sequence[ArtifactRef]) -> set[str]:
    """The datasets of a list without a version; a source may name one with a version once more without it."""
    versioned = {each.id.rpartition("@")[0] for each in artifacts if each.versioned}
    return {each.id.removesuffix("@") for each in artifacts if not each.versioned} - versioned


def _by_group(types: Counter[str], operators: Operators) -> dict[str, dict[str, int]]:
    grouped: dict[str, dict[str, int]] = {}
    for name, count in sorted(types.items(), key=lambda item: (-item[1], item[0])):
        grouped.setdefault(operators.group(name), {})[name] = count
    return grouped


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _notes(found: Checked, without_run: int, unversioned: int) -> list[str]:
    """Properties of the valid events with which the detector knows less than it could."""
    if not found.events:
        return []
    lines = []
    if DEPLOY not in found.types and not found.graph.graphlets:
        lines.append("no execution is of group deploy: nothing will count as pushed")
    if RUN not in found.executions:
        lines.append("no execution is of group run: outcomes wait for a later push or for the horizon")
    if without_run:
        lines.append(
            _agree(without_run, "event", "names no run: its graphlet stands", "name no run: their graphlets stand")
            + " alone"
        )
    if unversioned:
        named = _agree(unversioned, "dataset", "was", "were")
        lines.append(f"{named} named without a version: who reads one reads its last writer's")
    custom = sorted(found.executions.get(CUSTOM, {}).keys() - found.executions.get(RUN, {}).keys())
    if custom:
        settings = "openlineage.jobs" if found.jobs else "operators.groups"
        listed = ", ".join(custom[:_LISTED]) + (", ..." if len(custom) > _LISTED else "")
        lines.append(f"types of no known operator count as custom: {listed}; see {settings} in the settings")
    if not found.graph.complete:
        lines.append(f"more executions than are kept: the graph is that of the first {found.graph.executions:,}")
    if found.parts_dropped:
        dropped = _agree(found.parts_dropped, "part", "of an event was", "of events were")
        lines.append(f"{dropped} malformed or too large, and not read")
    if found.acts:
        lines.append(_agree(found.acts, "act", "of a person is", "of people are") + " no event of a pipeline")
    if found.dropped:
        lines.append(
            _agree(found.dropped, "event", "came too late: it touches", "came too late: they touch")
            + " only what was forgotten"
        )
    return lines


def _agree(number: int, noun: str, one: str, many: str) -> str:
    return f"{plural(number, noun)} {one if number == 1 else many}"
