"""Runs as traces: a span for the run, one for each of its executions, and an event for each verdict.

The ids of traces and spans are made from the names of pipeline, run and execution alone, so that an export that is
repeated gives the same spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from stream_app.core.events import CACHED, COMPLETE, FAILED
from stream_app.core.operators import ACT, RUN, Operators
from stream_app.core.outputs import OPEN, Verdict
from stream_app.core.state.entities import Execution, Run
from stream_app.core.state.pipeline import Pipeline

#: Links of a span: to the writers of what it read, the first by start.
LINKS_MAX = 128

Attribute = str | int | float | bool


class SpanId(NamedTuple):
    """What identifies a span: its trace and itself; neither is 0."""

    trace: int
    span: int


class SpanStatus(StrEnum):
    """The status of a span. Unset: it has not ended, or was canceled."""

    OK = "ok"
    ERROR = "error"
    UNSET = "unset"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at a time, in ms since 1970 UTC."""

    name: str
    time_ms: int
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Span:
    """A run or an execution.

    Parameters
    ----------
    id
        Of the span.
    parent
        The span of its run; None for a run, and for an execution in no run, which is a trace by itself.
    name
        The pipeline of a run; the type of an execution.
    start_ms, end_ms
        In ms since 1970 UTC; the end of what has not ended is its last report.
    status
        From its state.
    attributes
        What is known of it.
    links
        The spans that wrote what it read.
    events
        The verdicts on it, by revision.
    """

    id: SpanId
    parent: SpanId | None
    name: str
    start_ms: int
    end_ms: int
    status: SpanStatus
    attributes: Mapping[str, Attribute]
    links: tuple[SpanId, ...]
    events: tuple[SpanEvent, ...]


def run_span(pipeline: str, run: str) -> SpanId:
    """The span of a run.

    Parameters
    ----------
    pipeline, run
        The names of the run and of its pipeline.

    Returns
    -------
    SpanId
        It depends on nothing else.

    Examples
    --------
    >>> run_span("ads", "7") == run_span("ads", "7"), run_span("ads", "7") == run_span("ads", "8")
    (True, False)
    """
    return SpanId(_number(16, "run", pipeline, run), _number(8, "run", pipeline, run))


def execution_span(pipeline: str, run: str | None, execution: str) -> SpanId:
    """The span of an execution.

    Parameters
    ----------
    pipeline, run, execution
        The names of the execution, of its run, if any, and of its pipeline.

    Returns
    -------
    SpanId
        In the trace of the run, else in a trace of its own.
    """
    own = _number(16, "execution", pipeline, execution)
    trace = run_span(pipeline, run).trace if run is not None else own
    return SpanId(trace, _number(8, "execution", pipeline, execution))


def spans_of(pipeline: Pipeline, verdicts: Mapping[str, Sequence[Verdict]], operators: Operators) -> Iterator[Span]:
    """Makes the spans of what is kept of a pipeline.

    Parameters
    ----------
    pipeline
        The pipeline.
    verdicts
        Id of a graphlet -> the verdicts on it.
    operators
        Price the executions.

    Yields
    ------
    Span
        Of the runs by name, then of the executions by start. An execution that is the run itself has the run's span.
    """
    for name in sorted(pipeline.runs):
        run = pipeline.runs[name]
        if run.executions:
            yield _of_run(pipeline, run, verdicts.get(run.graphlet_id(pipeline.name), ()))
    for execution in sorted(pipeline.executions.values(), key=Execution.sort_key):
        if execution.group != ACT and not _is_run(execution):
            graphlet = execution.graphlet.id if execution.graphlet is not None else ""
            yield _of_execution(pipeline, execution, verdicts.get(graphlet, ()), operators)


def _of_run(pipeline: Pipeline, run: Run, verdicts: Sequence[Verdict]) -> Span:
    states = {each.state for each in run.run_executions}
    return Span(
        id=run_span(pipeline.name, run.id),
        parent=None,
        name=pipeline.name,
        start_ms=min(each.start_ms for each in run.executions),
        end_ms=max(_end_ms(each) for each in run.executions),
        status=_status(states),
        attributes={
            "stream_app.pipeline": pipeline.name,
            "stream_app.run": run.id,
            "stream_app.executions": len(run.executions),
        },
        links=(),
        events=_events(verdicts),
    )


def _of_execution(pipeline: Pipeline, execution: Execution, verdicts: Sequence[Verdict], operators: Operators) -> Span:
    attributes: dict[str, Attribute] = {
        "stream_app.pipeline": pipeline.name,
        "stream_app.execution": execution.id,
        "stream_app.group": execution.group,
        "stream_app.state": execution.state,
        "stream_app.node_seconds": execution.node_ms(operators.nodes.get(execution.type, 1.0)) / 1000.0,
    }
    if execution.run is not None:
        attributes["stream_app.run"] = execution.run
    graphlet = execution.graphlet
    if graphlet is not None:
        attributes["stream_app.graphlet"] = graphlet.id
        attributes["stream_app.outcome"] = graphlet.kind
        if graphlet.kind != OPEN and graphlet.cause is not None:
            attributes["stream_app.cause"] = str(graphlet.cause)
    return Span(
        id=_span_of(pipeline, execution),
        parent=run_span(pipeline.name, execution.run) if execution.run is not None else None,
        name=execution.type,
        start_ms=execution.start_ms,
        end_ms=_end_ms(execution),
        status=_status({execution.state}),
        attributes=attributes,
        links=tuple(_links(pipeline, execution)),
        events=_events(verdicts),
    )


def _links(pipeline: Pipeline, execution: Execution) -> list[SpanId]:
    writers = {writer for version in execution.reads.values() for writer in version.writers if writer is not execution}
    first = sorted(writers, key=Execution.sort_key)[:LINKS_MAX]
    return [_span_of(pipeline, writer) for writer in first]


def _events(verdicts: Sequence[Verdict]) -> tuple[SpanEvent, ...]:
    return tuple(SpanEvent("verdict", each.time_ms, _attributes(each)) for each in verdicts)


def _attributes(verdict: Verdict) -> dict[str, Attribute]:
    found: dict[str, Attribute | None] = {
        "id": verdict.id,
        "graphlet": verdict.graphlet,
        "stage": verdict.stage,
        "validator": verdict.validator,
        "decision": verdict.decision,
        "p_push": verdict.p_push,
        "score": verdict.score,
        "threshold": verdict.threshold,
        "cost": verdict.cost,
        "cost_left": verdict.cost_left,
        "held_back": verdict.held_back,
        "withdrawn": verdict.withdrawn,
        "holdout": verdict.holdout,
        "revision": verdict.revision,
        "model": verdict.model,
        "mode": verdict.mode,
        "budget": verdict.budget,
        "reasons": ", ".join(reason.feature for reason in verdict.reasons),
    }
    return {
        f"stream_app.{name}": str(value) if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None
    }


def _span_of(pipeline: Pipeline, execution: Execution) -> SpanId:
    if _is_run(execution) and execution.run is not None:
        return run_span(pipeline.name, execution.run)
    return execution_span(pipeline.name, execution.run, execution.id)


def _is_run(execution: Execution) -> bool:
    return execution.group == RUN and execution.run is not None


def _end_ms(execution: Execution) -> int:
    end_ms = execution.end_ms if execution.end_ms is not None and execution.is_over else execution.last_ms
    return max(end_ms, execution.start_ms)


def _status(states: set[str]) -> SpanStatus:
    if FAILED in states:
        return SpanStatus.ERROR
    return SpanStatus.OK if states and states <= {COMPLETE, CACHED} else SpanStatus.UNSET


def _number(size: int, *names: str) -> int:
    """A number of some bytes that is not 0; names are told apart whatever they hold."""
    digest = hashlib.sha256(orjson.dumps(names)).digest()
    return int.from_bytes(digest[:size]) or 1
