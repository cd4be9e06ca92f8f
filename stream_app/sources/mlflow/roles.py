"""What a run is among its parents and children: a training, a trial of a search, or a group of other runs.

A run is reported before all of this is known: a parent is told by its first child, a search by the model that it logs
at its end or that is registered from it much later. The core takes the type of an execution from its earliest event. So
each thing that may become known later is reported some ms earlier, by an event NEW, and the order in which the facts
were found does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream_app.core.operators import TRAIN
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.scalars import name

if TYPE_CHECKING:
    from mlflow.entities import Run

PARENT = "mlflow.parentRunId"
PIPELINE_RUN, NESTED_RUN, TRIAL = "PipelineRun", "NestedRun", "Tuner"
#: How many ms before the start of a run the earliest event of it may be.
EARLIER_MAX = 4

#: The tag in which MLflow before version 3 lists the models that a run logged.
_LOGGED_MODELS = "mlflow.log-model.history"


@dataclass(frozen=True, slots=True)
class Role:
    """What a run is among its parents and children.

    Parameters
    ----------
    type
        The type of its execution.
    earlier_ms
        How many ms before its start this type is reported; 0 where it is the type of a run that nothing is known of.
    is_parent
        Whether other runs name it as their parent.
    is_group
        Whether it only groups others, and costs nothing itself.
    in_search
        Whether it is part of the work of an ancestor that trains.
    is_registered
        Whether a model version comes from it.
    """

    type: str
    earlier_ms: int = 0
    is_parent: bool = False
    is_group: bool = False
    in_search: bool = False
    is_registered: bool = False

    @property
    def searches(self) -> bool:
        """Whether its children are trials."""
        return self.is_parent and not self.is_group


def parent_of(run: Run) -> str | None:
    """The id of the run that a run names as its parent."""
    return run.data.tags.get(PARENT) or None


def has_model(run: Run) -> bool:
    """Whether a run logged a model."""
    return bool((run.outputs is not None and run.outputs.model_outputs) or run.data.tags.get(_LOGGED_MODELS))


def may_train(run: Run, rules: Rules) -> bool:
    """Whether the operator of a run trains, if the run is no group of others."""
    return rules.operators.group(_own_type(run, rules)) == TRAIN


def role_of(run: Run, rules: Rules, *, is_parent: bool, is_registered: bool, in_search: bool) -> Role:
    """Finds what a run is.

    Parameters
    ----------
    run
        The run.
    rules
        The rules.
    is_parent
        Whether other runs name it as their parent.
    is_registered
        Whether a model version comes from it.
    in_search
        Whether an ancestor of it trains.

    Returns
    -------
    Role
        Its role. A parent trains if it has a model of its own; then the runs below it are trials, unless they were
        registered or a tag names their operator.
    """

    def role(type_: str, earlier_ms: int, *, is_group: bool = False) -> Role:
        return Role(type_, earlier_ms, is_parent, is_group, in_search, is_registered)

    own, trains, is_tagged = _own_type(run, rules), may_train(run, rules), bool(run.data.tags.get(rules.type_tag))
    if not is_parent and (is_tagged or not trains or not in_search):
        return role(own, 0)
    if trains and is_registered:
        return role(own, 4 if in_search else 2)
    if in_search:
        return role(TRIAL, 3)
    if trains and has_model(run):
        return role(own, 2)
    return role(NESTED_RUN if parent_of(run) else PIPELINE_RUN, 1, is_group=True)


def _own_type(run: Run, rules: Rules) -> str:
    return name(run.data.tags.get(rules.type_tag) or rules.default_type)
