"""What each entity adds to the sums: the definitions of docs/analysis.md, one function for each kind of entity.

Each function puts the contribution of an entity into a cell with sign 1, and takes it out with sign -1.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.execution_facts import ExecutionFacts
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.core.outputs import OPEN, PUSHED
from stream_app.core.units import DAY_MS

#: Jaccard indices are kept in thousandths.
PER_MILLE = 1000


class PushCost(NamedTuple):
    """What one push cost: its graphlet, and the tries since the push before it that were not pushed.

    Attributes
    ----------
    trainer, model_type
        Of the graphlet.
    start_ms, time_ms
        When its training began, and when it was pushed.
    node_ms, micros
        The shares of these graphlets, and the executions of no graphlet that began since then.
    tries
        How many graphlets that is.
    interval_ms
        The time since the push before it, in the order of pushes; None for the first.
    """

    trainer: str
    model_type: str
    start_ms: int
    time_ms: int
    node_ms: int
    micros: int
    tries: int
    interval_ms: int | None


def add_execution(cell: Cell, facts: ExecutionFacts, sign: int) -> None:
    """Adds an execution to the week of its start; executions of group run are not counted."""
    cell.count(f"executions:{facts.type}", sign)
    # 1970-01-01 was a Thursday: day 0 is a Monday.
    cell.count(f"active:{(facts.start_ms // DAY_MS + 3) % 7}", sign)
    cell.count(f"node_ms:{facts.group}", sign * facts.node_ms)
    if facts.micros:
        cell.count("micros", sign * facts.micros)
    if facts.has_failed:
        cell.count(f"failed:{facts.type}", sign)
    if facts.is_alone:
        cell.count("alone_ms", sign * facts.node_ms)
        cell.count("alone_micros", sign * facts.micros)


def add_run(cell: Cell, trainers: int, sign: int) -> None:
    """Adds a run, with the number of its trainers, to the week of its first event."""
    cell.count("runs", sign)
    cell.put("trainers", trainers, sign)


def add_graphlet(cell: Cell, facts: GraphletFacts, sign: int) -> None:
    """Adds a graphlet to the week of its trainer's start."""
    outcome = facts.outcome
    cell.count(f"outcome:{outcome}", sign)
    if facts.cause:
        cell.count(f"cause:{facts.cause}", sign)
    if facts.analysed:
        cell.count("with:analysis", sign)
    if facts.validated:
        cell.count("with:validation", sign)
    if facts.tuned:
        cell.count("with:tuning", sign)
    if facts.warm:
        cell.count("with:warm_start", sign)
    cell.put("executions", facts.executions, sign)
    cell.put("depth", facts.depth, sign)
    cell.put("inputs", len(facts.inputs), sign)
    if outcome == OPEN:
        return
    duration_ms = facts.last_ms - facts.first_ms
    cell.put("duration_ms", duration_ms, sign)
    cell.put("waiting_ms", duration_ms - facts.busy_ms, sign)
    cell.put("node_ms", facts.total_ms, sign)
    for group, amount in facts.node_ms:
        cell.put(f"node_ms:{group}", amount, sign)
    if outcome == PUSHED and facts.data_ms is not None and facts.time_ms is not None:
        cell.put("data_to_push_ms", facts.time_ms - facts.data_ms, sign)


def add_pair(cell: Cell, before: GraphletFacts, facts: GraphletFacts, sign: int) -> None:
    """Adds a graphlet and the one before it in its pipeline to the week of the later."""
    cell.count("pairs", sign)
    cell.put("training_interval_ms", facts.start_ms - before.start_ms, sign)
    if facts.inputs or before.inputs:
        own, other = set(facts.inputs), set(before.inputs)
        cell.put("overlap", len(own & other) * PER_MILLE // len(own | other), sign)
    if facts.code and before.code:
        cell.count("pairs_with_code", sign)
        if facts.code == before.code:
            cell.count("same_code", sign)
    if [name for name, _ in facts.types] == [name for name, _ in before.types]:
        cell.count("same_operators", sign)


def add_push(cell: Cell, cost: PushCost, sign: int) -> None:
    """Adds a push to the week in which its graphlet's training began."""
    cell.count("push_ms", sign * cost.node_ms)
    cell.count("push_micros", sign * cost.micros)
    cell.put("push_node_ms", cost.node_ms, sign)
    cell.put("push_tries", cost.tries, sign)
    if cost.interval_ms is not None:
        cell.put("push_interval_ms", cost.interval_ms, sign)
