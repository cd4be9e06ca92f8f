"""What the executions of a pipeline did, kept in the index of redundant work."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stream_app.analysis.fleet.execution_facts import ExecutionFacts
from stream_app.analysis.redundancy import RedundancyIndex, Work, affected_by, work_of
from stream_app.core.state.entities import Execution
from stream_app.core.state.pipeline import Pipeline


class Works:
    """Brings the index of redundant work up to date.

    Parameters
    ----------
    pipeline
        The state, which is read and never changed.
    executions
        Execution id to its facts, those of group run aside.
    has_prices
        Whether there is a rate card.

    Attributes
    ----------
    index
        The index.
    """

    def __init__(self, pipeline: Pipeline, executions: Mapping[str, ExecutionFacts], *, has_prices: bool) -> None:
        self.index = RedundancyIndex()
        self._pipeline = pipeline
        self._executions = executions
        self._has_prices = has_prices

    def take(self, executions: Collection[Execution], held: Mapping[str, Work]) -> dict[Execution, None]:
        """Compares executions, and those that depend on their facts, with what they did before.

        Parameters
        ----------
        executions
            Executions whose facts changed.
        held
            Execution id to what it did, where the state does not tell any more.

        Returns
        -------
        dict
            The executions that were compared.
        """
        concerned = dict.fromkeys(executions)
        for execution in executions:
            for other in affected_by(self._pipeline, execution):
                concerned[other] = None
        for execution in concerned:
            work = self.of(execution, held.get(execution.id))
            if work is None:
                self.index.remove(execution.id)
            else:
                self.index.put(work)
        return concerned

    def of(self, execution: Execution, held: Work | None = None) -> Work | None:
        """What an execution did; None if it did no work of its own."""
        facts = self._executions.get(execution.id)
        if facts is None:
            return None
        micros = facts.micros if self._has_prices else None
        if held is not None:
            return held._replace(node_ms=facts.node_ms, micros=micros)
        return work_of(self._pipeline, execution, facts.node_ms, micros)
