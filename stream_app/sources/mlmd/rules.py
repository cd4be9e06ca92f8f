"""The meaning of names in a store of ML Metadata; the defaults are those of TFX and of Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.core.operators import Operators


@dataclass(frozen=True)
class Rules:
    """How executions, contexts and properties are read."""

    #: Maps execution types to groups; group deploy and group run are read specially.
    operators: Operators = field(default_factory=Operators)
    #: The pipeline of executions in no pipeline context; None: they are ignored until they are in one.
    pipeline: str | None = None
    #: Types of contexts whose name is the pipeline, the run, the node; the lowest id counts where there are several.
    pipeline_contexts: tuple[str, ...] = ("pipeline", "system.Pipeline", "__ORCHESTRATOR__")
    run_contexts: tuple[str, ...] = ("pipeline_run", "system.PipelineRun", "run", "KfpRun")
    node_contexts: tuple[str, ...] = ("node", "component_run")
    #: Type of execution -> the property that names its operator, for systems with one type for all.
    type_properties: Mapping[str, str] = field(default_factory=lambda: {"system.ContainerExecution": "task_name"})
    #: Type of execution that is the run itself -> the property that names the run.
    run_properties: Mapping[str, str] = field(default_factory=lambda: {"__ORCHESTRATOR__": "pipeline_run_id"})
    #: Types of group deploy for which COMPLETE alone means pushed.
    pushed_types: tuple[str, ...] = ()
    #: Property of an execution or an artifact -> the name of the property, such as `pushed`, `blessed`, `node_seconds`.
    properties: Mapping[str, str] = field(default_factory=dict)
    #: Properties of an execution that are known when it starts; all others count as known from its last change.
    known_at_start: tuple[str, ...] = ("owner", "model_type", "code_version", "keep")
