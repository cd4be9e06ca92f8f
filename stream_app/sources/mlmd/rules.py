"""The meaning of names in a store of ML Metadata; the defaults are those of TFX and of Kubeflow Pipelines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.core.operators import CUSTOM, DEFAULT_GROUPS, Operators
from stream_app.sources import openlineage_rules
from stream_app.sources.scalars import name

#: Kubeflow Pipelines numbers tasks of the same component: `train-model`, `train-model-2`.
_NUMBER = re.compile(r"-\d+$")
#: The metadata writer of Kubeflow Pipelines 1 appends the digest of a component: `components.Train@sha256=0f3c`.
_VERSION = re.compile(r"[@:](?:sha256[=:]|v?\d)[\w.=-]*$", re.ASCII)
_NOT_IN_TASKS = re.compile(r"[^a-z0-9]+")
#: Types of Kubeflow Pipelines that are operators without a task name of their own meaning.
_SYSTEM_TYPES = {"system.ImporterExecution": "Importer", "system.ImporterWorkspaceExecution": "Importer"}


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
    #: Types of executions that contain others. The outermost one of a run is the run itself; inner ones are ignored.
    dag_types: tuple[str, ...] = ("system.DAGExecution", "system.DagExecution")
    #: Types of group deploy for which COMPLETE alone means pushed, by their name in the store or in the event.
    pushed_types: tuple[str, ...] = ("system.ContainerExecution",)
    #: Input keys of a model that an execution compares with. It is a property of the execution, not one of its inputs.
    baseline_keys: tuple[str, ...] = ("baseline_model", "baseline", "reference_model", "champion_model")
    #: Property of an execution or an artifact -> the name of the property, such as `pushed`, `blessed`, `node_seconds`.
    properties: Mapping[str, str] = field(default_factory=dict)
    #: Properties of an execution that are known when it starts; all others count as known from its last change.
    known_at_start: tuple[str, ...] = ("owner", "model_type", "code_version", "keep")

    def __post_init__(self) -> None:
        known = {**DEFAULT_GROUPS, **self.operators.groups}
        object.__setattr__(self, "_known", known)
        object.__setattr__(self, "_tasks", {_task(each): each for each in known})
        object.__setattr__(self, "_guess", openlineage_rules.Rules().operator)

    def execution_type(self, store_type: str, task: str | None = None) -> str:
        """The type that an event has for an execution.

        Parameters
        ----------
        store_type
            The type in the store, such as `tfx.components.trainer.component.Trainer`.
        task
            The name of its task, where the store has one type for all executions.

        Returns
        -------
        str
            The name as it is where the operators know it. Else the last part of a class path, without a version; of a
            task or a component with a version, its name without the number of a repeated task, or the operator that
            its name tells.

        Examples
        --------
        >>> rules = Rules(Operators({"fit-model": "train"}))
        >>> rules.execution_type("tfx.components.trainer.component.Trainer")
        'Trainer'
        >>> [rules.execution_type("system.ContainerExecution", task) for task in ("fit-model-2", "deploy-model")]
        ['fit-model', 'Pusher']
        """
        known: Mapping[str, str] = self._known  # type: ignore[attr-defined]
        full = task or _SYSTEM_TYPES.get(store_type, store_type)
        if full in known:
            return full
        if task is None:
            unversioned = _VERSION.sub("", full)
            part = last_part(unversioned)
            if unversioned in known:
                return unversioned
            if unversioned == full or part in known:
                return name(part)
            task = part
        tasks: Mapping[str, str] = self._tasks  # type: ignore[attr-defined]
        numbered = _task(task)
        plain = _NUMBER.sub("", numbered)
        found = tasks.get(numbered) or tasks.get(plain)
        if found is None:
            guessed: str = self._guess("", plain, "TASK", True)  # type: ignore[attr-defined]
            found = guessed if known.get(guessed, CUSTOM) != CUSTOM else None
        return found or name(task)


def last_part(path: str) -> str:
    """The last part of a class path.

    Parameters
    ----------
    path
        A name, with or without dots.

    Returns
    -------
    str
        What follows the last dot; the whole name where that is empty.
    """
    return path.rpartition(".")[2] or path


def _task(text: str) -> str:
    """A name as Kubeflow Pipelines writes it in a task: `train_model` is `train-model`."""
    return _NOT_IN_TASKS.sub("-", text.lower()).strip("-")
