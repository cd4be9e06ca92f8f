"""The figures of one pipeline, kept up to date from what changed in its state.

The facts of each entity as they are in the sums are kept beside them: a change takes the entity out before it puts it
in again. So the sums are a function of the facts, whatever the order in which they came. What is evicted moves to the
frozen sums, which are stored: they and what is kept give the same sums after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from stream_app.analysis.fleet.cells import Cell, Key
from stream_app.analysis.fleet.contributions import (
    PushCost,
    add_execution,
    add_graphlet,
    add_push,
)
from stream_app.analysis.fleet.entity_sums import EntitySums
from stream_app.analysis.fleet.execution_facts import ExecutionFacts, PriceOf, facts_of_execution, graphlets_of
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts, facts_of, note_graphlets
from stream_app.analysis.fleet.held import Held, leaving_with
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
from stream_app.analysis.fleet.shares import Shares
from stream_app.analysis.fleet.works import Works
from stream_app.analysis.rates import text_of, week_of_time
from stream_app.core.operators import ACT, RUN
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
        self._sums = EntitySums()
        self.frozen = self._sums.frozen
        #: Property -> the latest time of an event that had it, and its value as a text.
        self.labels: dict[str, tuple[int, str]] = {}
        #: The earliest and the latest report of any execution, in ms since 1970 UTC.
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.order = GraphletOrder()
        self.pushes: dict[str, PushCost] = {}
        self.since = Since()
        #: Execution -> its facts as they are in the sums; those of group run have none.
        self.executions: dict[str, ExecutionFacts] = {}
        self._shares = Shares()
        self._works = Works(pipeline, self.executions, has_prices=price_of is not None)
        self.redundancy = self._works.index
        self._run_of: dict[str, str] = {}
        self._runs: dict[str, RunFacts] = {}
        #: Runs of which some executions were evicted, and trainers that are kept but have left the order.
        self._partial: dict[str, None] = {}
        self._left: dict[str, None] = {}
        #: Trainer -> the graphlet before it and its own, as they were compared.
        self._pairs: dict[str, tuple[GraphletFacts, GraphletFacts]] = {}
        self._held = Held()
        #: Executions that were evicted and are not frozen yet.
        self._evicted: dict[Execution, None] = {}
        self.revision = 0  # rises with every change of the sums or of what is kept
        #: Whether `to_row` gives another value than at the last save.
        self.is_unsaved = self._is_loading = False
        self._costs_changed = False
        everything = dict.fromkeys(pipeline.executions.values())
        pipeline.work.keep_changes(Changed(everything, graphlets=dict.fromkeys(pipeline.graphlets.values())))

    @property
    def cells(self) -> dict[Key, Cell]:
        """All sums, those of what was evicted among them."""
        return self._sums.cells

    def settle(self) -> None:
        """Takes in what changed in the pipeline since the last call."""
        changed = self.pipeline.work.take_changes()
        self.revision += not changed.is_empty
        self._evicted.update(changed.evicted)
        graphlets: dict[Graphlet, object] = {}
        graphlets.update(changed.graphlets)
        runs: dict[str, None] = {}
        for execution in changed.executions:
            if execution.graphlet is None and self.order.is_open(execution.id):
                self._drop_graphlet(execution.id)
            note_graphlets(execution, graphlets)
            self._take_run_of(execution, runs)
            self._take_execution(execution)
        for execution in changed.members:
            if execution not in changed.executions:
                self._take_membership(execution)
        self._take_work(changed.executions)
        for graphlet in graphlets:
            self._take_graphlet(graphlet)
        for graphlet in changed.outcomes:
            if graphlet not in graphlets:
                self._take_outcome(graphlet)
        for run_id in runs:
            self._take_run(run_id)
        for trainer, pair in self.order.take_pairs():
            self._sums.replace(self._pairs.pop(trainer, None), pair, add_pair_facts, key_of_pair)
            if pair is not None:
                self._pairs[trainer] = pair

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
                self._sums.replace(before, after, add_push, key_of)
        self.pushes = pushes

    def close(self, graphlets: Collection[Graphlet]) -> None:
        """Keeps the shares of graphlets that are about to be closed, and facts that depend on what will be evicted."""
        leaving = leaving_with(self.pipeline, graphlets)
        if not graphlets and not leaving:
            return
        self.settle()
        for graphlet in graphlets:
            facts = self.order.graphlets.get(graphlet.trainer.id)
            if facts is not None:
                self.order.shares[facts.trainer] = self.share_of(facts)
        self._held.before_eviction(leaving, graphlets, self._works.of)

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
        return self._shares.of(self.pipeline.graphlets[facts.trainer])

    def _take_run_of(self, execution: Execution, runs: dict[str, None]) -> None:
        """Notes the run of an execution, and the one that it was in before."""
        before, run = self._run_of.get(execution.id), execution.run
        if run is not None:
            runs[run] = None
            self._run_of[execution.id] = run
        if before is not None and before != run:
            runs[before] = None
            if run is None:
                del self._run_of[execution.id]

    def _take_membership(self, execution: Execution) -> None:
        """Takes in that an execution has joined or left graphlets."""
        known = self.executions.get(execution.id)
        if known is not None and known.is_alone != (not graphlets_of(execution)):
            self._take_execution(execution)
        elif known is not None:
            self._costs_changed = True
            self._shares.put(execution, known)

    def _take_execution(self, execution: Execution) -> None:
        if execution.group == ACT:  # of a person, not of the pipeline
            return
        if self.first_ms is None or execution.first_ms < self.first_ms:
            self.first_ms = execution.first_ms
        if self.last_ms is None or execution.last_ms > self.last_ms:
            self.last_ms = execution.last_ms
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
            self._shares.put(execution, facts)
        if known == facts:
            return
        self._costs_changed = True
        self._sums.replace(known, facts, add_execution, key_of_execution)
        if facts is None:
            del self.executions[execution.id]
            self._shares.remove(execution)
        else:
            self.executions[execution.id] = facts
        if facts is not None and facts.is_alone:
            self.order.put_alone(execution.id, (facts.start_ms, facts.node_ms, facts.micros))
        elif known is None or known.is_alone:
            self.order.put_alone(execution.id, None)

    def _take_work(self, executions: Collection[Execution]) -> None:
        """Has the work of executions, and of those that depend on their facts, compared with what was done before."""
        held = self._held.works if self._is_loading else {}
        for execution in self._works.take(executions, held):
            if not self._is_loading and self._held.works.pop(execution.id, None) is not None:
                self.is_unsaved = True

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
        self._sums.replace(known, facts, add_run_facts, key_of_run)
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
            self._put_graphlet(known._replace(outcome=outcome, cause=cause, time_ms=time_ms))

    def _put_graphlet(self, facts: GraphletFacts) -> None:
        known = self.order.graphlets.get(facts.trainer)
        if known == facts:
            return
        self._sums.replace(known, facts, add_graphlet, key_of)
        self.order.put(facts)

    def _drop_graphlet(self, trainer: str) -> None:
        """Takes out the graphlet of an execution that is no trainer any more."""
        self._sums.replace(self.order.drop(trainer), None, add_graphlet, key_of)

    def freeze_evicted(self) -> None:
        """Freezes what the pipeline has evicted, and lets go of it."""
        pipeline, order = self.pipeline, self.order
        evicted, self._evicted = self._evicted, {}
        runs: dict[str, None] = {}
        for execution in evicted:
            facts = self.executions.pop(execution.id, None)
            if facts is not None:
                self._sums.freeze(facts, add_execution, key_of_execution)
            self.redundancy.freeze(execution.id)
            self._shares.remove(execution)
            run_id = self._run_of.pop(execution.id, None)
            if run_id is not None:
                runs[run_id] = None
        order.merge_alone([execution.id for execution in evicted])
        for run_id in runs:
            self._partial[run_id] = None
            if run_id in self._runs and run_id not in pipeline.runs:
                self._sums.freeze(self._runs.pop(run_id), add_run_facts, key_of_run)
        self._partial = {each: None for each in self._partial if each in self._runs}
        order.closed.update(dict.fromkeys(each for each in order.graphlets if each not in pipeline.graphlets))
        for left, cost in order.leaving(self.share_of):
            self._left[left.trainer] = None
            self._sums.freeze(left, add_graphlet, key_of)
            pair = self._pairs.pop(left.trainer, None)
            if pair is not None:
                self._sums.freeze(pair, add_pair_facts, key_of_pair)
            self._sums.replace(self.pushes.pop(left.trainer, None), None, add_push, key_of)
            if cost is not None:
                self.frozen.add(cost, add_push, key_of)
        self._left = {each: None for each in self._left if each in pipeline.graphlets}
        first = next(iter(order), None)
        if first is not None and first.trainer in self._pairs:  # the one before it has left
            self._sums.freeze(self._pairs.pop(first.trainer), add_pair_facts, key_of_pair)
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
            self._sums.replace(None, facts, add_graphlet, key_of)
        self._costs_changed = True
        self._left = dict.fromkeys(row["left"].keys())
        for run_id, (week, trainers) in row["runs"].items():
            self._runs[run_id] = int(week), int(trainers)
            self._partial[run_id] = None
            self._sums.replace(None, self._runs[run_id], add_run_facts, key_of_run)
        self.redundancy.load_row(row["redundancy"])
        self._is_loading = True
        self.settle()
        self._is_loading = False
