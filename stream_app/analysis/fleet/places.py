"""The cell of the facts of each kind of entity, by week and model type."""

from __future__ import annotations

from stream_app.analysis.fleet.cells import Cell, Key
from stream_app.analysis.fleet.contributions import PushCost, add_pair, add_run
from stream_app.analysis.fleet.execution_facts import ExecutionFacts
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.analysis.rates import week_of_time

#: A run's week and the number of its trainers.
RunFacts = tuple[int, int]


def key_of(facts: GraphletFacts | PushCost) -> Key:
    """The cell of a graphlet, and of its push."""
    return week_of_time(facts.start_ms), facts.model_type


def key_of_execution(facts: ExecutionFacts) -> Key:
    """The cell of an execution."""
    return week_of_time(facts.start_ms), ""


def key_of_run(facts: RunFacts) -> Key:
    """The cell of a run."""
    return facts[0], ""


def key_of_pair(pair: tuple[GraphletFacts, GraphletFacts]) -> Key:
    """The cell of two consecutive graphlets."""
    return key_of(pair[1])


def add_run_facts(cell: Cell, facts: RunFacts, sign: int) -> None:
    """Adds a run."""
    add_run(cell, facts[1], sign)


def add_pair_facts(cell: Cell, pair: tuple[GraphletFacts, GraphletFacts], sign: int) -> None:
    """Adds two consecutive graphlets."""
    add_pair(cell, *pair, sign)
