"""Merges the facts of an event into what is known: in any order, and any number of times, with the same result."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from stream_app.core.events import ENDS, NEW, RUNNING, Event, Scalar
from stream_app.core.state.attempts import Reports, known_reports
from stream_app.core.state.entities import STATE_BITS, Artifact, Execution


def join(execution: Execution, event: Event) -> bool:
    """Merges an event's facts, apart from artifacts, into an execution; True if any changed."""
    changed = False
    time_ms = event.time_ms
    if (time_ms, event.execution_type) < (execution.type_ms, execution.type):
        execution.type_ms, execution.type = time_ms, sys.intern(event.execution_type)
        changed = True
    known, run = execution.stated_run, event.run
    if run is not None and (known is None or (time_ms, run) < (execution.stated_run_ms, known)):
        execution.stated_run_ms, execution.stated_run = time_ms, run
        changed = True
    return join_progress(execution, event) or changed


def join_progress(execution: Execution, event: Event) -> bool:
    """Merges state, times, cost and properties; True if any changed."""
    changed = False
    time_ms, state = event.time_ms, event.state
    bit = STATE_BITS[state]
    if not execution.seen & bit:
        execution.seen |= bit
        changed = True
    if time_ms < execution.first_ms:
        execution.first_ms = time_ms
        changed = True
    if time_ms > execution.last_ms:
        execution.last_ms = time_ms
    changed |= join_report(execution, time_ms, state)
    if state in ENDS:
        if execution.end_ms is None or (time_ms, state) > (execution.end_ms, execution.end_state):
            execution.end_ms, execution.end_state = time_ms, sys.intern(state)
            changed = True
    elif state == RUNNING:
        if execution.running_ms is None or time_ms < execution.running_ms:
            execution.running_ms = time_ms
            changed = True
        if execution.last_running_ms is None or time_ms > execution.last_running_ms:
            execution.last_running_ms = time_ms
            changed = True
    if event.node_ms is not None and (execution.reported_node_ms is None or event.node_ms > execution.reported_node_ms):
        execution.reported_node_ms = event.node_ms
        changed = True
    if event.properties:
        joined, grew = join_properties(execution.properties, event.properties.items(), time_ms)
        execution.properties = joined
        changed |= grew
    return changed


def join_report(execution: Execution, time_ms: int, state: str) -> bool:
    """Merges a RUNNING or end event into the reports, from which attempts follow; True if it was a further one."""
    if state == NEW or (execution.reports is None and not is_further_report(execution, time_ms, state)):
        return False
    if execution.reports is None:
        execution.reports = Reports()
        for report in known_reports(None, execution.running_ms, execution.end_ms, execution.end_state):
            execution.reports.add(report)
    return execution.reports.add((time_ms, state))


def is_further_report(execution: Execution, time_ms: int, state: str) -> bool:
    """Whether a RUNNING or end event is another than the one that is known."""
    if state in ENDS:
        return execution.end_ms is not None and (time_ms, state) != (execution.end_ms, execution.end_state)
    return state == RUNNING and execution.running_ms is not None and time_ms != execution.running_ms


def join_type(artifact: Artifact, artifact_type: str, time_ms: int) -> bool:
    """Merges the type of an artifact: of the earliest event, then the smaller; True if it changed."""
    if artifact.type and (time_ms, artifact_type) >= (artifact.type_ms, artifact.type):
        return False
    artifact.type, artifact.type_ms = sys.intern(artifact_type), time_ms
    return True


def join_properties(
    known: dict[str, tuple[int, Scalar]] | None, reported: Iterable[tuple[str, Scalar]], time_ms: int
) -> tuple[dict[str, tuple[int, Scalar]], bool]:
    """Merges properties by key: the later event, then the greater encoding. Returns them and whether any changed."""
    joined = {} if known is None else known
    changed = False
    for name, value in reported:
        before = joined.get(name)
        if before is None or time_ms > before[0] or (time_ms == before[0] and greater(value, before[1])):
            joined[name] = (time_ms, sys.intern(value) if type(value) is str else value)
            changed = True
    return joined, changed


def greater(value: Scalar, other: Scalar) -> bool:
    """Whether a property's value comes after another in the order of their JSON texts, which is total."""
    if type(value) is type(other) and value == other:
        return False
    return json.dumps(value, ensure_ascii=False) > json.dumps(other, ensure_ascii=False)
