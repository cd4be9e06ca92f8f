"""The content of a store about one execution, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, RUNNING, Properties

#: `Execution.State` by its number; 0 is UNKNOWN, for executions that never set it.
STATES = {1: NEW, 2: RUNNING, 3: COMPLETE, 4: FAILED, 5: CACHED, 6: CANCELED}

#: States of an execution that may still report.
IN_FLIGHT = frozenset((NEW, RUNNING))

#: `Event.Type`: DECLARED_INPUT, INPUT, INTERNAL_INPUT; DECLARED_OUTPUT, OUTPUT, INTERNAL_OUTPUT. A PENDING_OUTPUT
#: (7) is not there yet: it becomes OUTPUT, or nothing.
INPUTS = frozenset((2, 3, 5))
OUTPUTS = frozenset((1, 4, 6))

#: The property of an inner DAG, and of each execution in a DAG, that has the id of the DAG around it.
PARENT_DAG = "parent_dag_id"

#: `Artifact.State` of an abandoned artifact.
ABANDONED = 5


@dataclass(slots=True)
class ArtifactRecord:
    """One artifact, which is one version."""

    id: int
    type: str
    state: int | None
    updated_ms: int
    properties: Properties = field(default_factory=dict)


@dataclass(slots=True)
class RunRecord:
    """What the executions of a run say about the run."""

    #: The first DAG without a parent, which is the run itself; None: there is none.
    root: int | None = None
    #: When its executions that are no DAG were created, sorted; without CANCELED ones, which were not triggered.
    started_ms: list[int] = field(default_factory=list)
    #: Whether one of them is NEW or RUNNING.
    in_flight: bool = False
    #: The last change of any of its executions.
    updated_ms: int = 0


@dataclass(slots=True)
class Record:
    """One execution with its contexts and its artifacts."""

    id: int
    type: str
    #: None: UNKNOWN.
    state: str | None
    created_ms: int
    updated_ms: int
    properties: Properties = field(default_factory=dict)
    #: (type, name) in the order of context ids.
    contexts: list[tuple[str, str]] = field(default_factory=list)
    inputs: list[ArtifactRecord] = field(default_factory=list)
    #: Id of an input -> the input keys that it was read as; missing where the store has no event path.
    input_keys: dict[int, set[str]] = field(default_factory=dict)
    outputs: list[ArtifactRecord] = field(default_factory=list)
    #: When the last output was registered; 0 when none was.
    wrote_ms: int = 0
    #: For a DAG without a parent: the run that it may be.
    run: RunRecord | None = None
