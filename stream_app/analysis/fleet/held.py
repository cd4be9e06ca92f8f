"""Facts that would be others now that what they depend on is evicted: they are stored as they were."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from stream_app.analysis.fleet.order import GraphletOrder
from stream_app.analysis.fleet.stored_facts import facts_of_row, facts_to_row
from stream_app.analysis.redundancy import Work, work_of_row, work_to_row
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.units import DAY_MS


class Held:
    """Graphlets, by their trainers, and works that are kept and have read what was evicted."""

    def __init__(self) -> None:
        self.trainers: dict[str, None] = {}
        self.works: dict[str, Work] = {}

    def before_eviction(
        self, leaving: Collection[Execution], closing: Collection[Graphlet], work_of: Callable[[Execution], Work | None]
    ) -> None:
        """Adds those that stay and have read what will be evicted."""
        for reader, trainers in held_after(leaving, frozenset(closing)):
            work = work_of(reader)
            if work is not None:
                self.works.setdefault(reader.id, work)
            self.trainers.update(dict.fromkeys(trainers))

    def after_eviction(self, pipeline: Pipeline, order: GraphletOrder) -> None:
        """Drops those that were evicted themselves."""
        kept, closed = pipeline.graphlets, order.closed
        self.trainers = {each: None for each in self.trainers if each in kept and each not in closed}
        self.works = {each: work for each, work in self.works.items() if each in pipeline.executions}

    def to_row(self, order: GraphletOrder) -> dict[str, Any]:
        """The facts of all of them, as the plain value that `load_row` takes."""
        graphlets = [facts_to_row(order.graphlets[each]) for each in self.trainers if each in order.graphlets]
        return {"graphlets": graphlets, "works": [work_to_row(work) for work in self.works.values()]}

    def load_row(self, row: Mapping[str, Any], order: GraphletOrder) -> None:
        """Takes in a stored value, and enters the graphlets into the order."""
        for facts in map(facts_of_row, row["graphlets"]):
            self.trainers[facts.trainer] = None
            order.put(facts)
        self.works = {work.execution_id: work for work in map(work_of_row, row["works"])}


def leaving_with(pipeline: Pipeline, closing: Collection[Graphlet]) -> set[Execution]:
    """Finds the executions that will be evicted, and those of group run that may be.

    Parameters
    ----------
    pipeline
        The pipeline, before the eviction.
    closing
        The graphlets that will be closed.
    """
    cutoff_day = pipeline.clock.cutoff_ms // DAY_MS
    closed = frozenset(closing)
    return {
        execution
        for execution in pipeline.executions.values()
        if execution.touched_day < cutoff_day
        and (execution.graphlet is None or execution.graphlet in closed)
        and all(graphlet in closed for graphlet in execution.members_of or ())
    }


def held_after(leaving: Collection[Execution], closed: Collection[Graphlet]) -> Iterator[tuple[Execution, list[str]]]:
    """Finds the executions that stay and have read something from an execution that will be evicted.

    Whether a training started warm, and whether an artifact is data, is told by the writers of what was read.

    Parameters
    ----------
    leaving
        The executions that will be evicted.
    closed
        The graphlets that will be closed.

    Yields
    ------
    Execution
        The reader.
    list of str
        The trainers of those of its graphlets that stay.
    """
    for execution in leaving:
        for version in execution.writes.values():
            for reader in version.all_readers():
                if reader not in leaving:
                    own = (reader.graphlet, *(reader.members_of or ()))
                    yield reader, [each.trainer.id for each in own if each is not None and each not in closed]
