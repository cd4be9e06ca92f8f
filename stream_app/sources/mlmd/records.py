"""The content of a store about one execution, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, RUNNING, Properties

#: `Execution.State` by its number; 0 is UNKNOWN, for executions that never set it.
STATES = {1: NEW, 2: RUNNING, 3: COMPLETE, 4: FAILED, 5: CACHED, 6: CANCELED}

#: `Event.Type`: DECLARED_INPUT, INPUT, INTERNAL_INPUT; DECLARED_OUTPUT, OUTPUT, INTERNAL_OUTPUT. A PENDING_OUTPUT
#: (7) is not there yet: it becomes OUTPUT, or nothing.
INPUTS = frozenset((2, 3, 5))
OUTPUTS = frozenset((1, 4, 6))

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
    outputs: list[ArtifactRecord] = field(default_factory=list)
    #: When the last output was registered; 0 when none was.
    wrote_ms: int = 0
