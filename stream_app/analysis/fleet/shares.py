"""The part of each execution's compute that each of its graphlets has."""

from __future__ import annotations

from stream_app.analysis.fleet.execution_facts import ExecutionFacts, graphlets_of
from stream_app.analysis.fleet.order import Spent
from stream_app.core.state.entities import Execution, Graphlet


class Shares:
    """Executions, each of which is split evenly over its graphlets, so that the shares of graphlets add up."""

    def __init__(self) -> None:
        self._node_ms: dict[Execution, int] = {}
        #: Of those that cost something.
        self._micros: dict[Execution, int] = {}

    def put(self, execution: Execution, facts: ExecutionFacts) -> None:
        """Enters an execution, whose facts or graphlets may have changed.

        Parameters
        ----------
        execution
            The execution.
        facts
            Its facts.
        """
        parts = graphlets_of(execution) or 1
        self._node_ms[execution] = facts.node_ms // parts
        if facts.micros:
            self._micros[execution] = facts.micros // parts
        elif self._micros:
            self._micros.pop(execution, None)

    def remove(self, execution: Execution) -> None:
        """Takes an execution out, if it is there."""
        self._node_ms.pop(execution, None)
        self._micros.pop(execution, None)

    def of(self, graphlet: Graphlet) -> Spent:
        """The share of a graphlet.

        Parameters
        ----------
        graphlet
            Its trainer and its members have been entered.
        """
        trainer, members, parts = graphlet.trainer, graphlet.members, self._node_ms
        node_ms = parts[trainer] + sum(map(parts.__getitem__, members))
        if not self._micros:
            return Spent(node_ms, 0)
        return Spent(node_ms, sum(self._micros.get(each, 0) for each in (trainer, *members)))
