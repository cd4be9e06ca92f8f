"""The figures of one pipeline, kept up to date from what changed in its state.

The facts of each entity as they are in the sums are kept beside them: a change takes the entity out before it puts it
in again. So the sums are a function of the facts, whatever the order in which they came. What is evicted stays in the
sums. It is also put into `frozen`, from which, with what is kept, the sums are made again after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.contributions import (
    PushCost,
    add_execution,
    add_graphlet,
    add_pair,
    add_push,
    add_run,
)
from stream_app.analysis.fleet.execution_facts import ExecutionFacts, PriceOf, facts_of_execution, graphlets_of
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts, facts_of
from stream_app.analysis.fleet.order import GraphletOrder, Since, Spent
from stream_app.analysis.rates import week_of_time
from stream_app.analysis.redundancy import RedundancyIndex, affected_by, work_of
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.work_list import Changed

#: A cell's week and model type; the type is "" for what is not of one model.
Key = tuple[int, str]
#: A run's week and the number of its trainers.
RunFacts = tuple[int, int]


class PipelineAnalysis:
    """The sums of one pipeline, by week and model type.

    Parameters
    ----------
    pipeline
        The state, which is read and never changed.
    nodes
        Execution type to number of nodes, for executions without a reported cost.
    price_of
        What an execution costs; None without a rate card.
    """

    def __init__(self, pipeline: Pipeline, nodes: Mapping[str, float], price_of: PriceOf | None) -> None:
        self.pipeline = pipeline
        self._nodes = nodes
        self._price_of = price_of
        self.cells: dict[Key, Cell] = {}
        self.frozen: dict[Key, Cell] = {}
        #: The earliest and the latest report of any execution, in ms since 1970 UTC.
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.order = GraphletOrder()
        self.pushes: dict[str, PushCost] = {}
        self.since = Since()
        self.redundancy = RedundancyIndex()
        self._executions: dict[str, ExecutionFacts] = {}
        self._run_of: dict[str, str] = {}
        self._runs: dict[str, RunFacts] = {}
        #: Trainer -> the graphlet before it and its own, as they were compared.
        self._pairs: dict[str, tuple[GraphletFacts, GraphletFacts]] = {}
        self._order_changed = self._costs_changed = False
        everything = dict.fromkeys(pipeline.executions.values())
        graphlets = dict.fromkeys(pipeline.graphlets.values())
        pipeline.work.keep_changes(Changed(executions=everything, graphlets=graphlets, rebooked=dict(everything)))

    def settle(self) -> None:
        """Takes in what changed in the pipeline since the last call."""
        changed = self.pipeline.work.take_changes()
        graphlets = changed.graphlets
        runs: dict[str, None] = {}
        for execution in changed.executions:
            if execution.graphlet is not None:
                graphlets[execution.graphlet] = None
            elif execution.id in self.order.graphlets and execution.id not in self.order.closed:
                self._drop_graphlet(execution.id)
            graphlets.update(dict.fromkeys(execution.members_of or ()))
            self._take_run_of(execution, runs)
        for execution in changed.executions | changed.rebooked:
            self._take_execution(execution)
        self._take_work(changed.executions)
        for graphlet in graphlets:
            self._take_graphlet(graphlet)
        for graphlet in changed.outcomes.keys() - graphlets.keys():
            self._take_outcome(graphlet)
        for run_id in runs:
            self._take_run(run_id)
        if self._order_changed:
            self._settle_pairs()

    def settle_pushes(self) -> None:
        """Adds up what each push cost, once all else is settled."""
        if not self._costs_changed:
            return
        self._costs_changed = False
        costs, self.since = self.order.push_costs(self.share_of)
        pushes = {cost.trainer: cost for cost in costs}
        for trainer, cost in self.pushes.items():
            if pushes.get(trainer) != cost:
                self._replace(cost, None, add_push, key_of)
        for trainer, cost in pushes.items():
            if self.pushes.get(trainer) != cost:
                self._replace(None, cost, add_push, key_of)
        self.pushes = pushes

    def close(self, graphlets: Iterable[Graphlet]) -> None:
        """Keeps the shares of graphlets that are about to be closed; their outcome does not change any more."""
        for graphlet in graphlets:
            facts = self.order.graphlets.get(graphlet.trainer.id)
            if facts is not None:
                self.order.shares[facts.trainer] = self.share_of(facts)

    def share_of(self, facts: GraphletFacts) -> Spent:
        """A graphlet's part of the compute of its executions.

        Parameters
        ----------
        facts
            Of a graphlet that is kept.

        Returns
        -------
        Spent
            Each execution is split evenly over its graphlets, so that shares add up.
        """
        graphlet = self.pipeline.graphlets[facts.trainer]
        node_ms = micros = 0
        for execution in (graphlet.trainer, *graphlet.members):
            own, parts = self._executions[execution.id], graphlets_of(execution)
            node_ms += own.node_ms // parts
            micros += own.micros // parts
        return Spent(node_ms, micros)

    def _take_run_of(self, execution: Execution, runs: dict[str, None]) -> None:
        """Notes the run of an execution, and the one that it was in before."""
        before, run = self._run_of.get(execution.id), execution.run
        runs.update(dict.fromkeys(each for each in (before, run) if each is not None))
        if run is not None:
            self._run_of[execution.id] = run
        elif before is not None:
            del self._run_of[execution.id]

    def _take_execution(self, execution: Execution) -> None:
        self.first_ms = min(self.first_ms if self.first_ms is not None else execution.first_ms, execution.first_ms)
        self.last_ms = max(self.last_ms if self.last_ms is not None else execution.last_ms, execution.last_ms)
        known = self._executions.get(execution.id)
        facts: ExecutionFacts | None = None
        if execution.group != RUN:
            nodes = self._nodes.get(execution.type, 1.0)
            facts = facts_of_execution(self.pipeline.name, execution, nodes, self._price_of)
        if known == facts:
            return
        self._costs_changed = True
        self._replace(known, facts, add_execution, key_of_execution)
        if facts is None:
            del self._executions[execution.id]
        else:
            self._executions[execution.id] = facts
        alone = (facts.start_ms, facts.node_ms, facts.micros) if facts is not None and facts.is_alone else None
        self.order.put_alone(execution.id, alone)

    def _take_work(self, executions: Iterable[Execution]) -> None:
        """Has the work of executions, and of those that depend on their facts, compared with what was done before."""
        pipeline = self.pipeline
        concerned = dict.fromkeys(executions)
        for execution in executions:
            concerned.update(dict.fromkeys(affected_by(pipeline, execution)))
        for execution in concerned:
            facts = self._executions.get(execution.id)
            micros = None if self._price_of is None or facts is None else facts.micros
            work = None if facts is None else work_of(pipeline, execution, facts.node_ms, micros)
            if work is None:
                self.redundancy.remove(execution.id)
            else:
                self.redundancy.put(work)

    def _take_run(self, run_id: str) -> None:
        known, run = self._runs.get(run_id), self.pipeline.runs.get(run_id)
        if known is not None and run is not None and run.had_trainer:
            return  # a part of it was evicted
        facts: RunFacts | None = None
        if run is not None and run.executions:
            week = week_of_time(min(execution.first_ms for execution in run.executions))
            if known is not None and known[0] < week_of_time(self.pipeline.clock.cutoff_ms):
                week = min(week, known[0])  # its first executions may have been evicted
            facts = week, len(run.trainers)
        if known == facts:
            return
        self._replace(known, facts, add_run_facts, key_of_run)
        if facts is None:
            del self._runs[run_id]
        else:
            self._runs[run_id] = facts

    def _take_graphlet(self, graphlet: Graphlet) -> None:
        trainer = graphlet.trainer.id
        self._costs_changed = True
        if self.pipeline.graphlets.get(trainer) is not graphlet or trainer in self.order.closed:
            return
        self._put_graphlet(facts_of(self.pipeline, graphlet, self._executions))

    def _take_outcome(self, graphlet: Graphlet) -> None:
        """Takes in an outcome alone: what the graphlet read may have been evicted since."""
        known = self.order.graphlets.get(graphlet.trainer.id)
        if known is not None and known.trainer not in self.order.closed:
            self._costs_changed = True
            outcome, cause, time_ms = graphlet.kind, graphlet.cause or "", graphlet.time_ms
            self._put_graphlet(replace(known, outcome=outcome, cause=cause, time_ms=time_ms))

    def _put_graphlet(self, facts: GraphletFacts) -> None:
        known = self.order.graphlets.get(facts.trainer)
        if known == facts:
            return
        self._replace(known, facts, add_graphlet, key_of)
        self.order.put(facts)
        self._order_changed = True

    def _drop_graphlet(self, trainer: str) -> None:
        """Takes out the graphlet of an execution that is no trainer any more."""
        self._replace(self.order.drop(trainer), None, add_graphlet, key_of)
        self._order_changed = True

    def _settle_pairs(self) -> None:
        """Compares each graphlet with the one before it."""
        self._order_changed = False
        pairs: dict[str, tuple[GraphletFacts, GraphletFacts]] = {}
        before: GraphletFacts | None = None
        for facts in self.order:
            if before is not None:
                known = self._pairs.pop(facts.trainer, None)
                if known is None or known[0] is not before or known[1] is not facts:
                    self._replace(known, pair := (before, facts), add_pair_facts, key_of_pair)
                    known = pair
                pairs[facts.trainer] = known
            before = facts
        for pair in self._pairs.values():
            self._replace(pair, None, add_pair_facts, key_of_pair)
        self._pairs = pairs

    def freeze_evicted(self) -> None:
        """Freezes what the pipeline has evicted, and lets go of it."""
        pipeline, order = self.pipeline, self.order
        evicted = [each for each in self._executions if each not in pipeline.executions]
        for execution_id in evicted:
            self._freeze(self._executions.pop(execution_id), add_execution, key_of_execution)
            self._run_of.pop(execution_id, None)
            self.redundancy.freeze(execution_id)
        order.merge_alone(evicted)
        for run_id in [each for each in self._runs if each not in pipeline.runs]:
            self._freeze(self._runs.pop(run_id), add_run_facts, key_of_run)
        order.closed.update(dict.fromkeys(each for each in order.graphlets if each not in pipeline.graphlets))
        for facts, cost in order.leaving():
            self._freeze(facts, add_graphlet, key_of)
            pair = self._pairs.pop(facts.trainer, None)
            if pair is not None:
                self._freeze(pair, add_pair_facts, key_of_pair)
            if cost is not None:
                self._replace(self.pushes.pop(facts.trainer, None), cost, add_push, key_of)
                self._freeze(cost, add_push, key_of)
        first = next(iter(order), None)
        if first is not None and first.trainer in self._pairs:  # the one before it has left
            self._freeze(self._pairs.pop(first.trainer), add_pair_facts, key_of_pair)
        self._costs_changed = True

    def _replace(
        self, before: Any, after: Any, add: Callable[[Cell, Any, int], None], key: Callable[[Any], Key]
    ) -> None:
        """Takes the facts of an entity as they were out of its cell, and puts in what they are; None: nothing."""
        if before is not None:
            place = key(before)
            cell = self.cells[place]
            add(cell, before, -1)
            if cell.is_empty:
                del self.cells[place]
        if after is not None:
            place = key(after)
            found = self.cells.get(place)
            if found is None:
                found = self.cells[place] = Cell()
            add(found, after, 1)

    def _freeze(self, facts: Any, add: Callable[[Cell, Any, int], None], key: Callable[[Any], Key]) -> None:
        add(self.frozen.setdefault(key(facts), Cell()), facts, 1)


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
