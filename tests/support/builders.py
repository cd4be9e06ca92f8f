"""Small events with defaults, so that a test says only what it is about. Times are minutes after `T0`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.core.events import CANCELED, COMPLETE, RUNNING, ArtifactRef, Event, Scalar

T0 = 1_700_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Ref = str | ArtifactRef


def at(minute: float) -> int:
    """Milliseconds of a minute after `T0`."""
    return T0 + round(minute * MINUTE)


def artifact(id: str, *, versioned: bool = True, **properties: Scalar) -> ArtifactRef:  # noqa: A002
    """An artifact as an event names it; its type does not matter to graphlets."""
    return ArtifactRef(id, "Artifact", properties, versioned)


def happened(
    minute: float,
    execution_id: str,
    execution_type: str,
    state: str,
    *,
    run: str | None = "r1",
    reads: Iterable[Ref] = (),
    writes: Iterable[Ref] = (),
    node_ms: int | None = None,
    properties: Mapping[str, Scalar] | None = None,
    pipeline: str = "p",
) -> Event:
    """One event of an execution."""
    return Event(
        time_ms=at(minute),
        pipeline=pipeline,
        execution_id=execution_id,
        execution_type=execution_type,
        state=state,
        run=run,
        inputs=tuple(_ref(ref) for ref in reads),
        outputs=tuple(_ref(ref) for ref in writes),
        node_ms=node_ms,
        properties=dict(properties or {}),
    )


def started(
    minute: float,
    execution_id: str,
    execution_type: str,
    *,
    run: str | None = "r1",
    reads: Iterable[Ref] = (),
    properties: Mapping[str, Scalar] | None = None,
    pipeline: str = "p",
) -> Event:
    """An execution began to run and named what it reads."""
    return happened(
        minute, execution_id, execution_type, RUNNING,
        run=run, reads=reads, properties=properties, pipeline=pipeline,
    )  # fmt: skip


def ended(
    minute: float,
    execution_id: str,
    execution_type: str,
    *,
    run: str | None = "r1",
    state: str = COMPLETE,
    reads: Iterable[Ref] = (),
    writes: Iterable[Ref] = (),
    node_ms: int | None = None,
    properties: Mapping[str, Scalar] | None = None,
    pipeline: str = "p",
) -> Event:
    """An execution ended and named what it wrote."""
    return happened(
        minute, execution_id, execution_type, state,
        run=run, reads=reads, writes=writes, node_ms=node_ms, properties=properties, pipeline=pipeline,
    )  # fmt: skip


def ran(
    minute: float,
    execution_id: str,
    execution_type: str,
    *,
    run: str | None = "r1",
    reads: Iterable[Ref] = (),
    writes: Iterable[Ref] = (),
    node_ms: int = MINUTE,
    properties: Mapping[str, Scalar] | None = None,
    pipeline: str = "p",
) -> list[Event]:
    """An execution that took one minute: its start and its end."""
    return [
        started(minute, execution_id, execution_type, run=run, reads=reads, pipeline=pipeline),
        ended(
            minute + 1, execution_id, execution_type,
            run=run, reads=reads, writes=writes, node_ms=node_ms, properties=properties, pipeline=pipeline,
        ),
    ]  # fmt: skip


def run_ended(minute: float, run: str = "r1", *, state: str = COMPLETE, pipeline: str = "p") -> Event:
    """The run itself ended."""
    return happened(minute, run, "PipelineRun", state, run=run, pipeline=pipeline)


def run_pruned(minute: float, run: str = "r1", *, verdict: str = "v#1", pipeline: str = "p") -> Event:
    """The run was canceled because a verdict said so."""
    return happened(minute, run, "PipelineRun", CANCELED, run=run, properties={"pruned_by": verdict}, pipeline=pipeline)


def _ref(ref: Ref) -> ArtifactRef:
    return artifact(ref) if isinstance(ref, str) else ref
