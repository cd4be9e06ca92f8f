"""The group and the run of an execution: by what it says itself, and by what other executions say of it.

An execution that another one names as its run is a run, whatever its type: sources that know a run only as a job of its
own send no type for it. It is then of group run, in its own run. A type with a known group holds where the execution
reads or writes artifacts, as a training does whose trials name it as their run. An act is told by its id, and is in no
run.
"""

from __future__ import annotations

from stream_app.core.acts import is_act_id
from stream_app.core.operators import ACT, CUSTOM, RUN, Operators
from stream_app.core.state.entities import Execution
from stream_app.core.state.pipeline import Pipeline


def role_of(pipeline: Pipeline, execution: Execution, operators: Operators) -> tuple[str, str | None]:
    """Finds the group and the run of an execution.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution, with its facts merged.
    operators
        Map execution types to groups.

    Returns
    -------
    group : str
        The operator group.
    run : str or None
        The run's id; None when it is in no run.
    """
    if is_act_id(execution.id):
        return ACT, None
    group = operators.group(execution.type)
    has_artifacts = bool(execution.read_ms or execution.write_ms)
    if group != RUN and (group == CUSTOM or not has_artifacts) and is_named(pipeline, execution):
        return RUN, execution.id
    return group, execution.stated_run


def is_named(pipeline: Pipeline, execution: Execution) -> bool:
    """Whether another execution, or an evicted one, names this one as its run."""
    if execution.eviction is not None and execution.eviction.is_run:
        return True
    return pipeline.stated_runs.get(execution.id, 0) > (execution.stated_run == execution.id)


def count_stated(pipeline: Pipeline, run: str | None, by: int) -> None:
    """Counts, or ceases to count, an execution that names a run."""
    if run is None:
        return
    count = pipeline.stated_runs.get(run, 0) + by
    if count:
        pipeline.stated_runs[run] = count
    else:
        del pipeline.stated_runs[run]
