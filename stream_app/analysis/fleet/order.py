"""The graphlets of a pipeline in order: each beside the one before it, and what every push cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from stream_app.analysis.fleet.contributions import PushCost
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.analysis.fleet.stored_facts import facts_of_row, facts_to_row
from stream_app.core.outputs import PUSHED

#: Graphlets that are kept in order; of more, the oldest do not change any more.
ORDER_MAX = 5000
LEFT_PUSHES_MAX = 32
#: How the names of merged executions begin, before the trainer after which they began; that of the first ones is empty.
_AFTER = "\x00"
_MERGED = ("", _AFTER)


class Spent(NamedTuple):
    """Compute, and what it costs in millionths of the currency."""

    node_ms: int
    micros: int


#: A graphlet's part of the compute of its executions, each of which is split evenly over its graphlets.
ShareOf = Callable[[GraphletFacts], Spent]


@dataclass(slots=True)
class Since:
    """What was spent since the last push.

    Attributes
    ----------
    node_ms, micros
        Compute, and what it costs. They are below 0 where pushes have paid for an execution that joined a graphlet
        afterwards, which has it in its share: what they paid too much is taken off the cost of the next ones.
    tries
        Graphlets that were not pushed.
    """

    node_ms: int = 0
    micros: int = 0
    tries: int = 0

    def add(self, node_ms: int, micros: int) -> None:
        """Adds compute."""
        self.node_ms += node_ms
        self.micros += micros

    @property
    def to_pay(self) -> Since:
        """What a push pays now: never less than nothing."""
        return Since(max(0, self.node_ms), max(0, self.micros), self.tries)

    @property
    def paid_too_much(self) -> Since:
        """What is left once a push has paid."""
        return Since(min(0, self.node_ms), min(0, self.micros))


class GraphletOrder:
    """The graphlets of one pipeline by start and trainer, and its executions that belong to none."""

    def __init__(self) -> None:
        self.graphlets: dict[str, GraphletFacts] = {}
        #: Start and trainer of each, sorted.
        self._order: list[tuple[int, str]] = []
        #: Trainers whose facts, or the graphlet before them, have changed since `take_pairs`.
        self._changed: dict[str, None] = {}
        #: Trainers of graphlets that were evicted; they stay while one that may change is before them.
        self.closed: dict[str, None] = {}
        #: Executions of no graphlet: id -> start, node-ms, micros.
        self._alone: dict[str, tuple[int, int, int]] = {}
        #: Those among them that are kept, but counted with graphlets that have left.
        self._counted: dict[str, tuple[int, int, int]] = {}
        #: Trainer -> the share that its graphlet had when it was closed.
        self.shares: dict[str, Spent] = {}
        #: Of the graphlets that have left.
        self.since = Since()
        #: The latest pushes of the graphlets that have left: a push that comes before them may still be there.
        self.left_pushes: list[int] = []

    def put(self, facts: GraphletFacts) -> None:
        """Enters a graphlet, or replaces its facts."""
        known = self.graphlets.get(facts.trainer)
        if known is not None and known.start_ms != facts.start_ms:
            self._take_out(known)
            known = None
        slot = bisect_left(self._order, facts.sort_key)
        if known is None:
            self._order.insert(slot, facts.sort_key)
        self.graphlets[facts.trainer] = facts
        self._changed.update((trainer, None) for _, trainer in self._order[slot : slot + 2])

    def drop(self, trainer: str) -> GraphletFacts:
        """Takes a graphlet out; returns its facts."""
        facts = self.graphlets.pop(trainer)
        self._take_out(facts)
        return facts

    def _take_out(self, facts: GraphletFacts) -> None:
        slot = bisect_left(self._order, facts.sort_key)
        self._changed.update((trainer, None) for _, trainer in self._order[slot : slot + 2])
        del self._order[slot]

    def take_pairs(self) -> Iterator[tuple[str, tuple[GraphletFacts, GraphletFacts] | None]]:
        """The trainers of graphlets whose facts, or the one before them, have changed since the last call.

        Each comes with the graphlet before it and its own; None where there is none before it, or it was taken out.
        """
        taken, self._changed = self._changed, {}
        for trainer in taken:
            facts, pair = self.graphlets.get(trainer), None
            if facts is not None:
                slot = bisect_left(self._order, facts.sort_key)
                if slot:
                    pair = self.graphlets[self._order[slot - 1][1]], facts
            yield trainer, pair

    def put_alone(self, execution_id: str, spent: tuple[int, int, int] | None) -> bool:
        """Sets start, node-ms and micros of an execution of no graphlet (None: it is in one); whether that changed."""
        counted = self._counted.get(execution_id)
        alone = self._alone if counted is None else self._counted
        before = alone.get(execution_id)
        if before == spent:
            return False
        if counted is not None:  # what it has spent since counts for the next push
            _, node_ms, micros = spent or (0, 0, 0)
            self.since.add(node_ms - counted[1], micros - counted[2])
        if spent is None:
            del alone[execution_id]
        else:
            alone[execution_id] = spent
        return True

    def is_open(self, trainer: str) -> bool:
        """Whether the graphlet of a trainer is there and was not closed."""
        return trainer in self.graphlets and trainer not in self.closed

    def __iter__(self) -> Iterator[GraphletFacts]:
        return (self.graphlets[trainer] for _, trainer in self._order)

    def push_costs(self, share_of: ShareOf) -> tuple[list[PushCost], Since]:
        """What each push cost, in order, and what was spent since the last."""
        intervals = self._intervals()
        alone = sorted(self._alone.values(), reverse=True)
        since, found = replace(self.since), []
        for facts in self:
            spend(since, facts, self.shares.get(facts.trainer) or share_of(facts), alone)
            if facts.outcome == PUSHED:
                found.append(cost_of(facts, since.to_pay, intervals.get(facts.trainer)))
                since = since.paid_too_much
        for _, node_ms, micros in alone:
            since.add(node_ms, micros)
        return found, since

    def _intervals(self) -> dict[str, int]:
        """Trainer -> ms since the push before its own, in the order of pushes."""
        pushes = [(each.time_ms or 0, each.trainer) for each in self.graphlets.values() if each.outcome == PUSHED]
        pushes += [(time_ms, "") for time_ms in self.left_pushes]
        pushes.sort()
        return {trainer: time_ms - before_ms for (before_ms, _), (time_ms, trainer) in pairwise(pushes)}

    def merge_alone(self, evicted: list[str]) -> None:
        """Merges evicted executions of no graphlet between which no graphlet began."""
        for execution_id in evicted:
            self._counted.pop(execution_id, None)
            spent = self._alone.pop(execution_id, None)
            if spent is not None:
                start_ms, node_ms, micros = spent
                slot = bisect_left(self._order, (start_ms, ""))  # what begins with a training counts for its push
                after = f"{_AFTER}{self._order[slot - 1][1]}" if slot else ""
                before = self._alone.get(after, (0, 0, 0))
                self._alone[after] = max(before[0], start_ms), before[1] + node_ms, before[2] + micros

    def leaving(self, share_of: ShareOf = lambda _: Spent(0, 0)) -> Iterator[tuple[GraphletFacts, PushCost | None]]:
        """Lets go of closed graphlets with which nothing will be compared, in order, each with the cost of its push."""
        if len(self._order) > ORDER_MAX:
            for _, trainer in self._order[:-ORDER_MAX]:
                self.closed[trainer] = None
        intervals, count = self._intervals(), 0
        while count < len(self._order) and self._order[count][1] in self.closed:
            count += 1
        # The last one stays: the next graphlet is compared with it.
        left, self._order = self._order[: max(0, count - 1)], self._order[max(0, count - 1) :]
        for _, trainer in left:
            facts, cost = self.graphlets.pop(trainer), None
            del self.closed[trainer]
            past = [each for each, spent in self._alone.items() if spent[0] <= facts.start_ms]
            self._counted.update((each, self._alone[each]) for each in past if each[:1] not in _MERGED)
            alone = sorted((self._alone.pop(each) for each in past), reverse=True)
            share = self.shares.pop(trainer, None) or share_of(facts)  # of more than `ORDER_MAX`, some are still kept
            spend(self.since, facts, share, alone)
            if facts.outcome == PUSHED:
                cost = cost_of(facts, self.since.to_pay, intervals.get(trainer))
                self.since = self.since.paid_too_much
                self.left_pushes = sorted([*self.left_pushes, facts.time_ms or 0])[-LEFT_PUSHES_MAX:]
            yield facts, cost

    def to_row(self) -> dict[str, Any]:
        """What is not known from the state of the pipeline any more, as the plain value that `load_row` takes."""
        return {
            "closed": [facts_to_row(self.graphlets[trainer]) for trainer in self.closed],
            "shares": {trainer: [*share] for trainer, share in self.shares.items()},
            "alone": {name: spent for name, spent in self._alone.items() if name[:1] in _MERGED},
            "counted": self._counted,
            "since": [self.since.node_ms, self.since.micros, self.since.tries],
            "left_pushes": self.left_pushes,
        }

    def load_row(self, row: Mapping[str, Any]) -> None:
        """Takes in what another one knew that the state of the pipeline does not tell; this one is new."""
        for each in row["closed"]:
            facts = facts_of_row(each)
            self.put(facts)
            self.closed[facts.trainer] = None
        self.shares = {trainer: Spent(*map(int, share)) for trainer, share in row["shares"].items()}
        for own, stored in ((self._alone, row["alone"]), (self._counted, row["counted"])):
            for name, (start_ms, node_ms, micros) in stored.items():
                own[name] = (int(start_ms), int(node_ms), int(micros))
        self.since = Since(*map(int, row["since"]))
        self.left_pushes = [int(time_ms) for time_ms in row["left_pushes"]]


def cost_of(facts: GraphletFacts, since: Since, interval_ms: int | None) -> PushCost:
    """The cost of a push, given all that was spent since the one before."""
    return PushCost(
        facts.trainer, facts.model_type, facts.start_ms, facts.time_ms or 0,
        since.node_ms, since.micros, since.tries, interval_ms,
    )  # fmt: skip


def spend(since: Since, facts: GraphletFacts, share: Spent, alone: list[tuple[int, int, int]]) -> None:
    """Adds a graphlet's share, and the executions of no graphlet that began up to its start, which are the last."""
    since.node_ms += share[0]
    since.micros += share[1]
    since.tries += 1
    while alone and alone[-1][0] <= facts.start_ms:
        _, node_ms, micros = alone.pop()
        since.add(node_ms, micros)
