"""The figures of one pipeline, kept up to date from what changed in its state.

The facts of each entity as they are in the sums are kept beside them: a change takes the entity out before it puts it
in again. So the sums are a function of the facts, whatever the order in which they came. What is evicted moves to the
frozen sums, which are stored: they and what is kept give the same sums after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from stream_app.analysis.fleet.cells import Cell, Key, merged
from stream_app.analysis.fleet.contributions import (
    PushCost,
    add_execution,
    add_graphlet,
    add_push,
)
from stream_app.analysis.fleet.execution_facts import ExecutionFacts, PriceOf, facts_of_execution, graphlets_of
from stream_app.analysis.fleet.frozen_cells import FrozenCells
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts, facts_of, graphlets_about
from stream_app.analysis.fleet.held import Held
from stream_app.analysis.fleet.order import GraphletOrder, Since, Spent
from stream_app.analysis.fleet.places import (
    RunFacts,
    add_pair_facts,
    add_run_facts,
    key_of,
    key_of_execution,
    key_of_pair,
    key_of_run,
)
from stream_app.analysis.rates import text_of, week_of_time
from stream_app.analysis.redundancy import RedundancyIndex, Work, affected_by, work_of
from stream_app.core.operators import RUN
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.work_list import Changed


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
    label_names
        The properties of executions of which the latest value is kept.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        nodes: Mapping[str, float],
        price_of: PriceOf | None,
        label_names: Collection[str] = (),
    ) -> None:
        self.pipeline = pipeline
        self._nodes = nodes
        self._price_of = price_of
        self._label_names = label_names
        #: The sums of what is kept, and of what was evicted.
        self._kept: dict[Key, Cell] = {}
        self.frozen = FrozenCells()
        #: Property -> the latest time of an event that had it, and its value as a text.
        self.labels: dict[str, tuple[int, str]] = {}
        #: The earliest and the latest report of any execution, in ms since 1970 UTC.
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.order = GraphletOrder()
        self.pushes: dict[str, PushCost] = {}
        self.since = Since()
        self.redundancy = RedundancyIndex()
        #: Execution -> its facts as they are in the sums; those of group run have none.
        self.executions: dict[str, ExecutionFacts] = {}
        self._run_of: dict[str, str] = {}
        self._runs: dict[str, RunFacts] = {}
        #: Runs of which some executions were evicted, and trainers that are kept but have left the order.
        self._partial: dict[str, None] = {}
        self._left: dict[str, None] = {}
        #: Trainer -> the graphlet before it and its own, as they were compared.
        self._pairs: dict[str, tuple[GraphletFacts, GraphletFacts]] = {}
        self._held = Held()
        self.revision = 0  # rises with every change of the sums or of what is kept
        #: Whether `to_row` gives another value than at the last save.
        self.is_unsaved = self._is_loading = False
        self._order_changed = self._costs_changed = False
        everything = dict.fromkeys(pipeline.executions.values())
        graphlets = dict.fromkeys(pipeline.graphlets.values())
        pipeline.work.keep_changes(Changed(executions=everything, graphlets=graphlets, rebooked=dict(everything)))

    @property
    def cells(self) -> dict[Key, Cell]:
        """All sums, those of what was evicted among them."""
        found = dict(self._kept)
        for key, cell in self.frozen.cells.items():
            found[key] = merged((found[key], cell)) if key in found else cell
        return found

    def settle(self) -> None:
        """Takes in what changed in the pipeline since the last call."""
        changed = self.pipeline.work.take_changes()
        self.revision += any((changed.executions, changed.graphlets, changed.outcomes, changed.rebooked))
        graphlets = changed.graphlets
        runs: dict[str, None] = {}
        for execution in changed.executions:
            is_known = execution.id in self.order.graphlets and execution.id not in self.order.closed
            if is_known and execution.graphlet is None:
                self._drop_graphlet(execution.id)
            graphlets.update(dict.fromkeys(graphlets_about(execution)))
            self._take_run_of(execution, runs)
        for execution in changed.executions | changed.rebooked:
            self._take_execution(execution)
        self._take_work(changed.executions)
        for graphlet in graphlets:
            self._take_graphlet(graphlet)
        for graphlet in changed.outcomes:
            if graphlet not in graphlets:
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
        for trainer in self.pushes | pushes:
            before, after = self.pushes.get(trainer), pushes.get(trainer)
            if before != after:
                self._replace(before, after, add_push, key_of)
        self.pushes = pushes

    def close(self, graphlets: Collection[Graphlet]) -> None:
        """Keeps the shares of graphlets that are about to be closed, and facts that depend on what will be evicted."""
        for graphlet in graphlets:
            facts = self.order.graphlets.get(graphlet.trainer.id)
            if facts is not None:
                self.order.shares[facts.trainer] = self.share_of(facts)
        self._held.before_eviction(self.pipeline, graphlets, self._work_of)

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
            own, parts = self.executions[execution.id], graphlets_of(execution)
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
        for name in self._label_names:
            if execution.properties is not None and name in execution.properties:
                time_ms, value = execution.properties[name]
                latest = (time_ms, text_of(value))
                self.labels[name] = max(self.labels.get(name, latest), latest)
        known = self.executions.get(execution.id)
        facts: ExecutionFacts | None = None
        if execution.group != RUN:
            nodes = self._nodes.get(execution.type, 1.0)
            facts = facts_of_execution(self.pipeline.name, execution, nodes, self._price_of)
        if known == facts:
            return
        self._costs_changed = True
        self._replace(known, facts, add_execution, key_of_execution)
        if facts is None:
            del self.executions[execution.id]
        else:
            self.executions[execution.id] = facts
        alone = (facts.start_ms, facts.node_ms, facts.micros) if facts is not None and facts.is_alone else None
        self.order.put_alone(execution.id, alone)

    def _take_work(self, executions: Iterable[Execution]) -> None:
        """Has the work of executions, and of those that depend on their facts, compared with what was done before."""
        pipeline = self.pipeline
        concerned = dict.fromkeys(executions)
        for execution in executions:
            concerned.update(dict.fromkeys(affected_by(pipeline, execution)))
        for execution in concerned:
            held = self._held.works.get(execution.id)
            if held is not None and not self._is_loading:
                held = None
                del self._held.works[execution.id]
                self.is_unsaved = True
            work = self._work_of(execution, held)
            if work is None:
                self.redundancy.remove(execution.id)
            else:
                self.redundancy.put(work)

    def _work_of(self, execution: Execution, held: Work | None = None) -> Work | None:
        facts = self.executions.get(execution.id)
        if facts is None:
            return None
        micros = None if self._price_of is None else facts.micros
        if held is not None:
            return replace(held, node_ms=facts.node_ms, micros=micros)
        return work_of(self.pipeline, execution, facts.node_ms, micros)

    def _take_run(self, run_id: str) -> None:
        known, run = self._runs.get(run_id), self.pipeline.runs.get(run_id)
        if known is not None and run is not None and run.had_trainer:
            return  # a trainer of it was evicted
        facts: RunFacts | None = None
        if run is not None and run.executions:
            week = week_of_time(min(execution.first_ms for execution in run.executions))
            if known is not None and run_id in self._partial:
                week = min(week, known[0])
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
        if self.pipeline.graphlets.get(trainer) is not graphlet:
            return
        if trainer in self.order.closed or trainer in self._left:
            return
        if trainer in self._held.trainers:
            if self._is_loading:
                self._take_outcome(graphlet)
                return
            del self._held.trainers[trainer]
            self.is_unsaved = True
        self._put_graphlet(facts_of(self.pipeline, graphlet, self.executions))

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
        evicted = [each for each in self.executions if each not in pipeline.executions]
        for execution_id in evicted:
            self._freeze(self.executions.pop(execution_id), add_execution, key_of_execution)
            self.redundancy.freeze(execution_id)
        order.merge_alone(evicted)
        for execution_id in [each for each in self._run_of if each not in pipeline.executions]:
            self._partial[self._run_of.pop(execution_id)] = None
        for run_id in [each for each in self._runs if each not in pipeline.runs]:
            self._freeze(self._runs.pop(run_id), add_run_facts, key_of_run)
        self._partial = {each: None for each in self._partial if each in self._runs}
        order.closed.update(dict.fromkeys(each for each in order.graphlets if each not in pipeline.graphlets))
        for facts, cost in order.leaving(self.share_of):
            self._left[facts.trainer] = None
            self._freeze(facts, add_graphlet, key_of)
            pair = self._pairs.pop(facts.trainer, None)
            if pair is not None:
                self._freeze(pair, add_pair_facts, key_of_pair)
            self._replace(self.pushes.pop(facts.trainer, None), None, add_push, key_of)
            if cost is not None:
                self.frozen.add(cost, add_push, key_of)
        self._left = {each: None for each in self._left if each in pipeline.graphlets}
        first = next(iter(order), None)
        if first is not None and first.trainer in self._pairs:  # the one before it has left
            self._freeze(self._pairs.pop(first.trainer), add_pair_facts, key_of_pair)
        self._held.after_eviction(pipeline, order)
        self.frozen.fold(week_of_time(pipeline.clock.now_ms))
        self._costs_changed = self.is_unsaved = True
        self.revision += 1

    def to_row(self) -> dict[str, Any]:
        """What is not known from the state of the pipeline any more, but for `frozen`, as a plain value."""
        return {
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "labels": self.labels,
            "order": self.order.to_row(),
            "left": self._left,
            "runs": {run_id: self._runs[run_id] for run_id in self._partial},
            "redundancy": self.redundancy.to_row(),
            "held": self._held.to_row(self.order),
        }

    def load_row(self, row: Mapping[str, Any]) -> None:
        """Takes in what another one knew that the state of the pipeline does not tell; this one is new."""
        self.first_ms, self.last_ms = int(row["first_ms"]), int(row["last_ms"])
        self.labels = {name: (int(time_ms), str(value)) for name, (time_ms, value) in row["labels"].items()}
        self.order.load_row(row["order"])
        self._held.load_row(row["held"], self.order)
        for facts in self.order:
            self._replace(None, facts, add_graphlet, key_of)
        self._order_changed = self._costs_changed = True
        self._left = dict.fromkeys(row["left"].keys())
        for run_id, (week, trainers) in row["runs"].items():
            self._runs[run_id] = int(week), int(trainers)
            self._partial[run_id] = None
            self._replace(None, self._runs[run_id], add_run_facts, key_of_run)
        self.redundancy.load_row(row["redundancy"])
        self._is_loading = True
        self.settle()
        self._is_loading = False

    def _replace(
        self, before: Any, after: Any, add: Callable[[Cell, Any, int], None], key: Callable[[Any], Key]
    ) -> None:
        """Takes the facts of an entity as they were out of its cell, and puts in what they are; None: nothing."""
        if before is not None:
            place = key(before)
            cell = self._kept[place]
            add(cell, before, -1)
            if cell.is_empty:
                del self._kept[place]
        if after is not None:
            place = key(after)
            found = self._kept.get(place)
            if found is None:
                found = self._kept[place] = Cell()
            add(found, after, 1)

    def _freeze(self, facts: Any, add: Callable[[Cell, Any, int], None], key: Callable[[Any], Key]) -> None:
        """Moves the facts of an entity to the frozen sums."""
        self._replace(facts, None, add, key)
        self.frozen.add(facts, add, key)
