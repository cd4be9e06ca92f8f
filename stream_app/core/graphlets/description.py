"""Descriptions of graphlets and their outcomes as plain values."""

from __future__ import annotations

from typing import Any

from stream_app.core.graphlets.membership import listed
from stream_app.core.operators import Operators
from stream_app.core.state.entities import Graphlet
from stream_app.core.state.pipeline import Pipeline


def describe(pipeline: Pipeline, graphlet: Graphlet, operators: Operators) -> dict[str, Any]:
    """Describes a graphlet as a plain value.

    Parameters
    ----------
    pipeline
        The pipeline of the graphlet.
    graphlet
        The graphlet.
    operators
        Price the executions.

    Returns
    -------
    dict
        Ids, sorted members, outcome, cause, time in ms since 1970 UTC, and cost in node-ms by operator group.
    """
    up, down, side = listed(graphlet)
    cost: dict[str, int] = {}
    for execution in (graphlet.trainer, *graphlet.members):
        node_ms = execution.node_ms(operators.nodes.get(execution.type, 1.0))
        cost[execution.group] = cost.get(execution.group, 0) + node_ms
    return {
        "graphlet": graphlet.id,
        "pipeline": pipeline.name,
        "run": graphlet.trainer.run,
        "trainer": graphlet.trainer.id,
        "up": up,
        "down": down,
        "side": side,
        "outcome": graphlet.kind,
        "cause": graphlet.cause,
        "time_ms": graphlet.time_ms,
        "cost": dict(sorted(cost.items())),
    }
