"""What goes into the core: one kind of event, an execution changed, and the tick that moves time without one.

Sources build these from bytes and check every field; the core never checks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: The execution states of ML Metadata. The four ends are final; between two of them the later event time decides.
NEW, RUNNING, COMPLETE, FAILED, CANCELED, CACHED = "NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "CACHED"
STATES = (NEW, RUNNING, COMPLETE, FAILED, CANCELED, CACHED)
ENDS = frozenset((COMPLETE, FAILED, CANCELED, CACHED))

Scalar = str | float | int | bool
Properties = dict[str, Scalar]


@dataclass(slots=True)
class ArtifactRef:
    """An artifact as an event names it; `id` names one version unless `versioned` is false."""

    id: str
    type: str
    properties: Properties = field(default_factory=dict)
    #: False when the source cannot tell versions apart: a reader then reads its last finished writer's version.
    versioned: bool = True


@dataclass(slots=True)
class Event:
    """An execution changed, as its sender saw it at `time_ms`."""

    #: Event time in ms since 1970 UTC; never arrival time.
    time_ms: int
    pipeline: str
    #: Unique within the pipeline.
    execution_id: str
    #: The operator, such as `Trainer`; `core.operators` maps it to an operator group.
    execution_type: str
    #: One of STATES.
    state: str
    #: The pipeline run, or None for an execution that stands alone.
    run: str | None = None
    inputs: tuple[ArtifactRef, ...] = ()
    outputs: tuple[ArtifactRef, ...] = ()
    #: Compute used so far in node-milliseconds (whole, so that sums do not depend on order); None when not told.
    node_ms: int | None = None
    properties: Properties = field(default_factory=dict)
    #: The sender's own id of this event, kept for tracing only.
    id: str | None = None
