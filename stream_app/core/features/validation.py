"""Whether validators blessed a model."""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.core.operators import VALIDATE
from stream_app.core.properties import is_true
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.pipeline import Pipeline


def blessing(pipeline: Pipeline, executions: Iterable[Execution]) -> float | None:
    """The joint result of the validators among some executions.

    Parameters
    ----------
    pipeline
        The pipeline of the executions.
    executions
        Executions of any group.

    Returns
    -------
    float or None
        1 when every validator that reports `blessed` blessed the model, 0 when one refused, None when none reports it.
    """
    results = []
    for execution in executions:
        if execution.group != VALIDATE:
            continue
        own = execution.value_of("blessed")
        if own is not None:
            results.append(own)
        for artifact_id in execution.writes:
            value = pipeline.artifacts[artifact_id].value_of("blessed")
            if value is not None:
                results.append(value)
    if not results:
        return None
    return float(all(is_true(value) for value in results))


def is_blessed(pipeline: Pipeline, graphlet: Graphlet) -> bool:
    """Whether the validators of a graphlet's own run have blessed it so far."""
    return blessing(pipeline, [e for e in graphlet.members if e.run == graphlet.trainer.run]) == 1.0
