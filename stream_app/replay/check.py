"""Checks files of events without running the detector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_app.core.events import Event
from stream_app.core.operators import CUSTOM, DEPLOY, RUN, TRAIN, Operators
from stream_app.errors import MalformedEvent
from stream_app.replay.decoding import decode
from stream_app.replay.reading import MessageReader
from stream_app.sources import SOURCES, Sources
from stream_app.sources.faults import kind_of
from stream_app.sources.openlineage import JOB
from stream_app.times import time_to_text

#: Kinds of reasons and execution types that are distinguished.
_KINDS_MAX = 1000


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
    events: int = 0


@dataclass(slots=True)
class Checked:
    """The result of a check."""

    events: int = 0
    dead_letters: int = 0
    #: Valid messages about no execution.
    ignored: int = 0
    pipelines: int = 0
    first: str | None = None
    last: str | None = None
    #: Operator group -> execution type -> events.
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Of OpenLineage: namespace and name of a job -> its pipeline and operator.
    jobs: dict[str, Job] = field(default_factory=dict)
    #: The most frequent first.
    faults: list[Fault] = field(default_factory=list)
    #: Properties of valid events with which the detector knows less than it could.
    warnings: list[str] = field(default_factory=list)


def check(
    files: Sequence[str],
    operators: Operators,
    source: str,
    latest_ms: int | None = None,
    sources: Sources = SOURCES,
) -> Checked:
    """Decodes every message of some files.

    Parameters
    ----------
    files
        As of `replay`.
    operators
        Maps execution types to operator groups.
    source
        As of `replay`.
    latest_ms
        The latest time of an event, in ms since 1970 UTC.
    sources
        As of `replay`.

    Raises
    ------
    OptionsError, InputError
        As of `MessageReader`.
    """
    found = Checked()
    faults: dict[str, Fault] = {}
    types: Counter[str] = Counter()
    pipelines: set[str] = set()
    first_ms = last_ms = None
    without_run = unversioned = 0
    reading = MessageReader(files)
    for message in reading:
        try:
            event = decode(message, source, latest_ms, sources)
        except MalformedEvent as error:
            found.dead_letters += 1
            _note(faults, str(error), reading.place)
            continue
        if event is None:
            found.ignored += 1
            continue
        found.events += 1
        pipelines.add(event.pipeline)
        types[event.execution_type if len(types) < _KINDS_MAX or event.execution_type in types else "other types"] += 1
        without_run += event.run is None
        if JOB in event.properties:
            _note_job(found.jobs, event, operators)
            unversioned += sum(not each.versioned for each in (*event.inputs, *event.outputs))
        first_ms = event.time_ms if first_ms is None else min(first_ms, event.time_ms)
        last_ms = event.time_ms if last_ms is None else max(last_ms, event.time_ms)
    found.pipelines = len(pipelines)
    found.first = time_to_text(first_ms) if first_ms is not None else None
    found.last = time_to_text(last_ms) if last_ms is not None else None
    for name, count in sorted(types.items(), key=lambda item: (-item[1], item[0])):
        found.types.setdefault(operators.group(name), {})[name] = count
    found.faults = sorted(faults.values(), key=lambda fault: (-fault.messages, fault.kind))
    found.jobs = dict(sorted(found.jobs.items(), key=lambda item: (item[1].pipeline, item[0])))
    found.warnings = warnings(found, without_run, unversioned)
    return found


def _note(faults: dict[str, Fault], reason: str, place: str) -> None:
    kind = kind_of(reason)
    if kind not in faults and len(faults) >= _KINDS_MAX:
        kind = "other reasons"
    fault = faults.setdefault(kind, Fault(kind, 0, place, reason))
    fault.messages += 1


def _note_job(jobs: dict[str, Job], event: Event, operators: Operators) -> None:
    name = str(event.properties[JOB])
    if name in jobs or len(jobs) < _KINDS_MAX:
        group = operators.group(event.execution_type)
        jobs.setdefault(name, Job(event.pipeline, group, event.execution_type)).events += 1


def warnings(found: Checked, without_run: int, unversioned: int) -> list[str]:
    """Properties of the valid events with which the detector knows less than it could.

    Parameters
    ----------
    found
        The result so far.
    without_run
        Events that name no run.
    unversioned
        Datasets that were named without a version.
    """
    if not found.events:
        return []
    lines = []
    if TRAIN not in found.types:
        lines.append("no execution is of group train: there will be no graphlets; see operators.groups in the settings")
    if DEPLOY not in found.types:
        lines.append("no execution is of group deploy: nothing will count as pushed")
    if RUN not in found.types:
        lines.append("no execution is of group run: outcomes wait for a later push or for the horizon")
    if without_run:
        lines.append(f"{without_run:,} events name no run: their graphlets stand alone")
    if unversioned:
        lines.append(f"{unversioned:,} datasets were named without a version: who reads one reads its last writer's")
    custom = sorted(found.types.get(CUSTOM, {}))
    if custom:
        settings = "openlineage.jobs" if found.jobs else "operators.groups"
        listed = ", ".join(custom[:5]) + (", ..." if len(custom) > 5 else "")
        lines.append(f"types of no known operator count as custom: {listed}; see {settings} in the settings")
    return lines
