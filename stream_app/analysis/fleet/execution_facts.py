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
    start_ms
        In ms since 1970 UTC.
    attempts
        Start and end of each attempt; of one without an end, its last report. Never empty.
    type, group
        The operator and its group.
    node_ms, micros
        Compute, and what it costs in millionths of the currency; 0 without a rate card.
    has_failed, is_cached
        Whether it ended FAILED and does not run again, or ended CACHED.
    is_alone
        Whether it belongs to no graphlet.
    """

    start_ms: int
    attempts: tuple[tuple[int, int], ...]
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
    node_ms, end_state = execution.node_ms(nodes), execution.end_state
    return ExecutionFacts(
        execution.start_ms, attempts_of(execution), execution.type, execution.group,
        node_ms, 0 if price_of is None else price_of(pipeline, execution, node_ms),
        end_state == FAILED and execution.is_over, end_state == CACHED, not graphlets_of(execution),
    )  # fmt: skip


def attempts_of(execution: Execution) -> tuple[tuple[int, int], ...]:
    """Start and end of each attempt of an execution; of one without an end, its last report.

    Parameters
    ----------
    execution
        The execution. Of one with a single attempt the end is never before the start, whatever its clocks said.
    """
    last_ms = execution.last_running_ms
    if execution.reports is None:
        start_ms, end_ms = execution.start_ms, last_ms if execution.end_ms is None else execution.end_ms
        return ((start_ms, start_ms if end_ms is None or end_ms < start_ms else end_ms),)
    return tuple(
        (start_ms, max(start_ms, last_ms or 0) if end_ms is None else end_ms)
        for start_ms, end_ms in execution.attempts()
    )


def graphlets_of(execution: Execution) -> int:
    """How many graphlets an execution belongs to, or belonged to before they were evicted.

    Parameters
    ----------
    execution
        The execution.
    """
    count = len(execution.members_of) if execution.members_of else 0
    if execution.graphlet is not None:
        count += 1
    return count if execution.eviction is None else count + execution.eviction.graphlets
