"""The input of the core: one kind of event, which says that an execution changed.

Sources build events from bytes and check every field; the core does not check them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: The execution states of ML Metadata. Four of them end an execution; of two ends the one with the later event time
#: holds.
NEW, RUNNING, COMPLETE, FAILED, CANCELED, CACHED = "NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "CACHED"
STATES = (NEW, RUNNING, COMPLETE, FAILED, CANCELED, CACHED)
ENDS = frozenset((COMPLETE, FAILED, CANCELED, CACHED))

Scalar = str | float | int | bool
Properties = dict[str, Scalar]


@dataclass(slots=True)
class ArtifactRef:
    """An artifact as an event names it.

    Parameters
    ----------
    id
        The artifact's id within its pipeline. It identifies one version unless `versioned` is false.
    type
        The artifact's type, such as `Model`.
    properties
        Flat properties by name.
    versioned
        False when the source cannot tell versions apart: a reader then reads the version of the writer that finished
        last before the reader started.
    """

    id: str
    type: str
    properties: Properties = field(default_factory=dict)
    versioned: bool = True


@dataclass(slots=True)
class Event:
    """A change of an execution, as its sender saw it at `time_ms`.

    Parameters
    ----------
    time_ms
        Event time in ms since 1970 UTC, never the time of arrival.
    pipeline
        The name of the pipeline.
    execution_id
        The execution's id, unique within the pipeline.
    execution_type
        The operator, such as `Trainer`; `core.operators` maps it to an operator group.
    state
        One of `STATES`.
    run
        The pipeline run; None for an execution outside of any run.
    inputs, outputs
        The artifacts that the execution reads and writes, as far as known.
    node_ms
        Compute used so far in node-ms, whole so that sums do not depend on order; None when not reported.
    properties
        Flat properties of the execution by name.
    id
        The sender's own id of this event, kept for tracing only.
    dropped
        Parts of the message that could not be read and that nothing depends on. It is counted and not kept.
    """

    time_ms: int
    pipeline: str
    execution_id: str
    execution_type: str
    state: str
    run: str | None = None
    inputs: tuple[ArtifactRef, ...] = ()
    outputs: tuple[ArtifactRef, ...] = ()
    node_ms: int | None = None
    properties: Properties = field(default_factory=dict)
    id: str | None = None
    dropped: int = field(default=0, compare=False)
