"""What is fine in files of events and what is not, without running the detector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_app.core.operators import CUSTOM, DEPLOY, RUN, TRAIN, Operators
from stream_app.errors import MalformedEvent
from stream_app.replay.decoding import decode, kind_of
from stream_app.replay.reading import Reading
from stream_app.times import time_to_text

#: Kinds of reasons and execution types told apart.
_KINDS_MAX = 1000


@dataclass(slots=True)
class Fault:
    """A kind of reason: how many messages, and the first of them in full."""

    kind: str
    messages: int
    place: str
    reason: str


@dataclass(slots=True)
class Checked:
    """What was found."""

    events: int = 0
    dead_letters: int = 0
    pipelines: int = 0
    first: str | None = None
    last: str | None = None
    #: Operator group -> execution type -> events.
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    #: The commonest first.
    faults: list[Fault] = field(default_factory=list)
    #: What is no fault, but will make the detector see less than there is.
    warnings: list[str] = field(default_factory=list)


def check(files: Sequence[str], operators: Operators, source: str, latest_ms: int | None = None) -> Checked:
    """Decodes every message of some files.

    Parameters
    ----------
    files, source, latest_ms
        As `replay` takes them; `latest_ms` is the latest time that an event may bear.
    operators
        How execution types map to operator groups.

    Raises
    ------
    OptionsError, InputError
        As `Reading` does.
    """
    found = Checked()
    faults: dict[str, Fault] = {}
    types: Counter[str] = Counter()
    pipelines: set[str] = set()
    first_ms = last_ms = None
    without_run = 0
    reading = Reading(files)
    for message in reading:
        try:
            event = decode(message, source, latest_ms)
        except MalformedEvent as error:
            found.dead_letters += 1
            _note(faults, str(error), reading.place)
            continue
        found.events += 1
        pipelines.add(event.pipeline)
        types[event.execution_type if len(types) < _KINDS_MAX or event.execution_type in types else "other types"] += 1
        without_run += event.run is None
        first_ms = event.time_ms if first_ms is None else min(first_ms, event.time_ms)
        last_ms = event.time_ms if last_ms is None else max(last_ms, event.time_ms)
    found.pipelines = len(pipelines)
    found.first = time_to_text(first_ms) if first_ms is not None else None
    found.last = time_to_text(last_ms) if last_ms is not None else None
    for name, count in sorted(types.items(), key=lambda item: (-item[1], item[0])):
        found.types.setdefault(operators.group(name), {})[name] = count
    found.faults = sorted(faults.values(), key=lambda fault: (-fault.messages, fault.kind))
    found.warnings = warnings(found, without_run)
    return found


def _note(faults: dict[str, Fault], reason: str, place: str) -> None:
    kind = kind_of(reason)
    if kind not in faults and len(faults) >= _KINDS_MAX:
        kind = "other reasons"
    fault = faults.setdefault(kind, Fault(kind, 0, place, reason))
    fault.messages += 1


def warnings(found: Checked, without_run: int) -> list[str]:
    """What valid events lack."""
    if not found.events:
        return []
    said = []
    if TRAIN not in found.types:
        said.append("no execution is of group train: there will be no graphlets; see operators.groups in the settings")
    if DEPLOY not in found.types:
        said.append("no execution is of group deploy: nothing will count as pushed")
    if RUN not in found.types:
        said.append("no execution is of group run: outcomes wait for a later push or for the horizon")
    if without_run:
        said.append(f"{without_run:,} events name no run: their graphlets stand alone")
    custom = sorted(found.types.get(CUSTOM, {}))
    if custom:
        listed = ", ".join(custom[:5]) + (", ..." if len(custom) > 5 else "")
        said.append(f"types of no known operator count as custom: {listed}; see operators.groups in the settings")
    return said
