"""The facts of one execution of which figures are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stream_app.core.events import CACHED, FAILED
from stream_app.core.state.entities import Execution

#: What an execution of a pipeline costs, in millionths of the rate card's currency, given its node-ms.
PriceOf = Callable[[str, Execution, int], int]


class ExecutionFacts(NamedTuple):
    """What figures need of an execution.

    Attributes
    ----------
    start_ms, last_ms
        Its start, and its end or, where it has none, its last report; in ms since 1970 UTC.
    type, group
        The operator and its group.
    node_ms, micros
        Compute, and what it costs in millionths of the currency; 0 without a rate card.
    has_failed, is_cached
        Whether it ended FAILED, or CACHED.
    is_alone
        Whether it belongs to no graphlet.
    """

    start_ms: int
    last_ms: int
    type: str
    group: str
    node_ms: int
    micros: int
    has_failed: bool
    is_cached: bool
    is_alone: bool


def facts_of_execution(pipeline: str, execution: Execution, nodes: float, price_of: PriceOf | None) -> ExecutionFacts:
    """Collects the facts of an execution.

    Parameters
    ----------
    pipeline
        The name of its pipeline.
    execution
        The execution.
    nodes
        How many nodes it runs on, where it reports no cost.
    price_of
        What it costs; None without a rate card.

    Returns
    -------
    ExecutionFacts
        A function of its facts and of whether it belongs to a graphlet.
    """
    node_ms = execution.node_ms(nodes)
    end_ms = execution.end_ms if execution.end_ms is not None else execution.last_running_ms
    start_ms, eviction, end_state = execution.start_ms, execution.eviction, execution.end_state
    is_alone = not execution.members_of and execution.graphlet is None and (eviction is None or not eviction.graphlets)
    return ExecutionFacts(
        start_ms, end_ms if end_ms is not None and end_ms > start_ms else start_ms, execution.type, execution.group,
        node_ms, 0 if price_of is None else price_of(pipeline, execution, node_ms),
        end_state == FAILED, end_state == CACHED, is_alone,
    )  # fmt: skip


def graphlets_of(execution: Execution) -> int:
    """How many graphlets an execution belongs to, or belonged to before they were evicted; at least 1.

    Parameters
    ----------
    execution
        The execution.
    """
    kept = len(execution.members_of or ()) + (execution.graphlet is not None)
    if execution.eviction is not None:
        kept += execution.eviction.graphlets
    return kept or 1
