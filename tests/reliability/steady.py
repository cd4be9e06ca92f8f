"""Fleets that a worker forgets as fast as it learns, so that its memory has an end, and what is left of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from benchmarks.workers.kafka import fleet
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.operators import ANALYSIS, RUN, TRAIN, Operators
from stream_app.core.units import DAY_MS
from stream_app.sources import native
from tests.reliability.invariants import SHOWN, graphlets_of, same
from tests.support.oracle import _executions as executions
from tests.support.oracle import recompute

#: Of the workers, in days: horizon, retention and lateness.
HORIZON_DAYS, RETENTION_DAYS, LATENESS_DAYS = 1, 2, 1
SETTINGS = Settings(
    horizon_ms=HORIZON_DAYS * DAY_MS, retention_ms=RETENTION_DAYS * DAY_MS, lateness_ms=LATENESS_DAYS * DAY_MS
)
OPTIONS = (
    f"[detector]\nhorizon_days = {HORIZON_DAYS}\nretention_days = {RETENTION_DAYS}\nlateness_days = {LATENESS_DAYS}\n"
)
#: Days of events that decide about what has not been forgotten, together with what these events descend from.
WINDOW_DAYS = RETENTION_DAYS + 2 * LATENESS_DAYS
#: Pipelines, and events after which a worker forgets as much as it learns.
PIPELINES = 30
WARM = 94 * PIPELINES * 2 * (RETENTION_DAYS + LATENESS_DAYS)


def steady_fleet(count: int) -> list[bytes]:
    """The events that warm a worker up, and so many more, in the order of arrival."""
    count += WARM
    return fleet(count, PIPELINES, 2 + 1.3 * count / 94 / PIPELINES)


def check_steady(rows: Iterable[dict[bytes, bytes]], messages: Iterable[bytes]) -> int:
    """I2 and I3: recent graphlets in the changelogs are the oracle's, and each execution was charged once.

    Returns: the graphlets that were compared. Left out are older ones that are still read (a model as a baseline), and
    those with a member that nothing touched for longer than the retention, as a pipeline with few runs has them.
    """
    events: dict[str, list[Event]] = defaultdict(list)
    for message in messages:
        event = native.decode(message)
        events[event.pipeline].append(event)
    found: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    charged: dict[str, int] = {}
    for each in rows:
        detector = Detector.load(SETTINGS, each)
        graphlets = graphlets_of(detector)
        for name, pipeline in detector.pipelines.items():
            charged[name] = detector.ledger(name).total()
            now = pipeline.clock.now_ms
            since = now - WINDOW_DAYS * DAY_MS
            own = deciding(events[name], since)
            recent = {e.execution_id for e in own} - {e.execution_id for e in own if e.time_ms < since}
            oracle = recompute(own, operators=Operators(), horizon_ms=SETTINGS.horizon_ms, now={name: now})["graphlets"]
            gone = forgotten(events[name])
            for key in graphlets.keys() & oracle.keys():
                members = {name for kind in ("up", "down", "side") for name in oracle[key][kind]}
                if oracle[key]["trainer"] in recent and not members & gone:
                    found[key], expected[key] = graphlets[key], oracle[key]
            held = lasting(own, now)
            missing = {key for key, graphlet in oracle.items() if graphlet["trainer"] in held} - graphlets.keys()
            assert not missing, f"I3: {sorted(missing)[:SHOWN]} are missing"
    same("I2: compute of", charged, {name: compute(own) for name, own in events.items()})
    assert found, "I3: there is no recent graphlet"
    same("I3: graphlet", found, expected)
    return len(found)


def deciding(events: list[Event], since_ms: int) -> list[Event]:
    """The events of a pipeline that decide about its graphlets since then.

    Those of executions since then, of all from which these descend, and of analyses in the runs of either or of what
    either wrote.
    """
    operators = Operators()
    by_execution: dict[str, list[Event]] = defaultdict(list)
    writers: dict[str, set[str]] = defaultdict(set)
    for event in events:
        by_execution[event.execution_id].append(event)
        for ref in event.outputs:
            writers[ref.id].add(event.execution_id)
    kept = {key for key, own in by_execution.items() if max(event.time_ms for event in own) >= since_ms}
    waiting = list(kept)
    while waiting:
        for event in by_execution[waiting.pop()]:
            for ref in event.inputs:
                for writer in writers[ref.id] - kept:
                    kept.add(writer)
                    if operators.group(by_execution[writer][0].execution_type) != TRAIN:
                        waiting.append(writer)
    runs = {event.run for key in kept for event in by_execution[key]} - {None}
    written = {ref.id for key in kept for event in by_execution[key] for ref in event.outputs}
    analyses = {
        event.execution_id
        for event in events
        if operators.group(event.execution_type) == ANALYSIS
        and (event.run in runs or any(ref.id in written for ref in event.inputs))
    }
    return [event for event in events if event.execution_id in kept | analyses]


def lasting(events: list[Event], now_ms: int) -> set[str]:
    """The executions of a pipeline that began so late that they must not have been forgotten."""
    since = now_ms - RETENTION_DAYS * DAY_MS
    return {event.execution_id for event in events} - {event.execution_id for event in events if event.time_ms < since}


def forgotten(events: list[Event]) -> set[str]:
    """The executions of a pipeline that nothing touched for longer than the retention, between two touches."""
    naming: dict[str, list[int]] = defaultdict(list)
    artifacts: dict[str, set[str]] = defaultdict(set)
    own: dict[str, list[int]] = defaultdict(list)
    for event in events:
        own[event.execution_id].append(event.time_ms)
        for ref in (*event.inputs, *event.outputs):
            naming[ref.id].append(event.time_ms)
            artifacts[event.execution_id].add(ref.id)
    found = set()
    for execution, times in own.items():
        touched = sorted([*times, *(time for ref in artifacts[execution] for time in naming[ref])])
        if any(after - before > RETENTION_DAYS * DAY_MS for before, after in pairwise(touched)):
            found.add(execution)
    return found


def compute(events: list[Event]) -> int:
    """The node-milliseconds of a pipeline, each execution charged once."""
    return sum(execution.cost for execution in executions(events, Operators()).values() if execution.group != RUN)
