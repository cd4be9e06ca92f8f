"""What pushes cost, and what was spent since the last, is what a list of everything ever put in gives.

Whatever left the order in between: nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream_app.analysis.fleet import order as module
from stream_app.analysis.fleet.contributions import PushCost
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.analysis.fleet.order import GraphletOrder, Since, Spent
from stream_app.core.outputs import NOT_PUSHED, OPEN, PUSHED

AMOUNT = st.integers(0, 1000)
Alone = tuple[int, int, int]


def graphlet(trainer: str, start_ms: int, time_ms: int | None = None) -> GraphletFacts:
    """A graphlet that is open, or pushed at a time; nothing else of it matters to the order."""
    return GraphletFacts(
        id=f"p/{trainer}", run=None, trainer=trainer, start_ms=start_ms,
        outcome=OPEN if time_ms is None else PUSHED, cause="", time_ms=time_ms, model_type="linear", code="",
        first_ms=start_ms, last_ms=start_ms, busy_ms=0, executions=1, depth=1, node_ms=(), micros=0, train_micros=0,
        types=(), failed=(), inputs=(), data_ms=None, analysed=False, validated=False, tuned=False, warm=False,
        blessed=None,
    )  # fmt: skip


def brute_force(
    graphlets: dict[str, GraphletFacts], shares: dict[str, Spent], alone: dict[str, Alone]
) -> tuple[list[PushCost], Since]:
    """The costs of all pushes in the order of trainings, and what was spent since the last."""
    order = sorted(graphlets.values(), key=lambda each: (each.start_ms, each.trainer))
    pushes = [each for each in order if each.outcome == PUSHED]
    times = sorted(each.time_ms or 0 for each in pushes)
    found, after_ms, tries = [], -1, list(order)
    for push in pushes:
        mine = [each for each in tries if (each.start_ms, each.trainer) <= (push.start_ms, push.trainer)]
        tries = [each for each in tries if each not in mine]
        others = [spent for spent in alone.values() if after_ms < spent[0] <= push.start_ms]
        after_ms = push.start_ms
        earlier = [time for time in times if time < (push.time_ms or 0)]
        found.append(
            PushCost(
                push.trainer, push.model_type, push.start_ms, push.time_ms or 0,
                sum(shares[each.trainer].node_ms for each in mine) + sum(spent[1] for spent in others),
                sum(shares[each.trainer].micros for each in mine) + sum(spent[2] for spent in others),
                len(mine), (push.time_ms or 0) - earlier[-1] if earlier else None,
            )
        )  # fmt: skip
    others = [spent for spent in alone.values() if spent[0] > after_ms]
    return found, Since(
        sum(shares[each.trainer].node_ms for each in tries) + sum(spent[1] for spent in others),
        sum(shares[each.trainer].micros for each in tries) + sum(spent[2] for spent in others),
        len(tries),
    )


class OrderMachine(RuleBasedStateMachine):
    """Graphlets come, change, are closed and leave, as those of a pipeline do.

    What was closed or evicted is older than anything that comes later, as the detector has it. Graphlets begin at even
    times and executions of no graphlet at odd ones; a test of its own has those that begin at the same time.
    """

    maximum = module.ORDER_MAX

    def __init__(self) -> None:
        super().__init__()
        self.order = GraphletOrder()
        #: Everything ever put in.
        self.graphlets: dict[str, GraphletFacts] = {}
        self.shares: dict[str, Spent] = {}
        self.alone: dict[str, Alone] = {}
        #: What does not change any more, though it may still be in the order.
        self.closed: set[str] = set()
        self.evicted: set[str] = set()
        self.left: list[PushCost] = []
        #: Whatever comes, or is pushed, does so later; and the start of the last graphlet that left.
        self.floor = self.left_until = -1
        self.count = 0

    @initialize()
    def patch(self) -> None:
        """The order keeps few graphlets."""
        module.ORDER_MAX = self.maximum

    def teardown(self) -> None:
        module.ORDER_MAX = 5000

    def name(self) -> str:
        self.count += 1
        return f"{self.count * 7919 % 997}-{self.count}"

    def even(self, after: int) -> int:
        return (self.floor // 2 + 1 + after) * 2

    def open_ones(self) -> list[str]:
        return sorted(self.graphlets.keys() - self.closed)

    def undecided(self) -> list[str]:
        """Open ones that were not pushed, or only lately: the interval to an older push may have left with the next."""
        return [each for each in self.open_ones() if (self.graphlets[each].time_ms or self.floor + 1) > self.floor]

    @rule(trainings=st.lists(st.tuples(st.integers(0, 4), AMOUNT, AMOUNT, st.booleans()), min_size=1, max_size=4))
    def train(self, trainings: list[tuple[int, int, int, bool]]) -> None:
        for after, node_ms, micros, is_pushed in trainings:
            facts = graphlet(self.name(), self.even(after))
            self.shares[facts.trainer] = Spent(node_ms, micros)
            self.change(facts)
            if is_pushed:
                self.push_one(facts, after)

    @precondition(lambda self: self.undecided())
    @rule(data=st.data(), after=st.integers(0, 4))
    def push(self, data: st.DataObject, after: int) -> None:
        self.push_one(self.graphlets[data.draw(st.sampled_from(self.undecided()))], after)

    def push_one(self, facts: GraphletFacts, after: int) -> None:
        """Pushes have times of their own: of two at once either may be the first."""
        taken = {each.time_ms for each in self.graphlets.values()}
        time_ms = max(self.floor, facts.start_ms) + 1 + after
        while time_ms in taken:
            time_ms += 1
        self.change(facts._replace(outcome=PUSHED, time_ms=time_ms))

    @precondition(lambda self: self.undecided())
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        facts = self.graphlets[data.draw(st.sampled_from(self.undecided()))]
        self.change(facts._replace(outcome=NOT_PUSHED, time_ms=None))

    @precondition(lambda self: self.open_ones())
    @rule(data=st.data(), after=st.integers(0, 4))
    def move(self, data: st.DataObject, after: int) -> None:
        """A report that comes late moves the start of a training."""
        facts = self.graphlets[data.draw(st.sampled_from(self.open_ones()))]
        if facts.start_ms > self.floor:
            self.change(facts._replace(start_ms=self.even(after)))

    def change(self, facts: GraphletFacts) -> None:
        self.graphlets[facts.trainer] = facts
        self.order.put(facts)

    @precondition(lambda self: self.open_ones())
    @rule(data=st.data(), node_ms=AMOUNT, micros=AMOUNT)
    def share(self, data: st.DataObject, node_ms: int, micros: int) -> None:
        self.shares[data.draw(st.sampled_from(self.open_ones()))] = Spent(node_ms, micros)

    @precondition(lambda self: self.undecided())
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        trainer = data.draw(st.sampled_from(self.undecided()))
        assert self.order.drop(trainer) == self.graphlets.pop(trainer)

    @rule(after=st.integers(0, 4), node_ms=AMOUNT, micros=AMOUNT)
    def run_alone(self, after: int, node_ms: int, micros: int) -> None:
        name, spent = self.name(), (self.even(after) + 1, node_ms, micros)
        self.alone[name] = spent
        assert self.order.put_alone(name, spent)
        assert not self.order.put_alone(name, spent)

    def changeable(self) -> list[str]:
        """Of no graphlet, not evicted, and not counted with a graphlet that has left."""
        return sorted(
            each for each, spent in self.alone.items() if each not in self.evicted and spent[0] > self.left_until
        )

    @precondition(lambda self: self.changeable())
    @rule(data=st.data(), spent=st.one_of(st.none(), st.tuples(AMOUNT, AMOUNT)))
    def change_alone(self, data: st.DataObject, spent: tuple[int, int] | None) -> None:
        """It costs more, or joins a graphlet."""
        name = data.draw(st.sampled_from(self.changeable()))
        if spent is None:
            del self.alone[name]
            self.order.put_alone(name, None)
        else:
            self.alone[name] = (self.alone[name][0], *spent)
            self.order.put_alone(name, self.alone[name])

    @precondition(lambda self: self.open_ones())
    @rule(data=st.data())
    def evict(self, data: st.DataObject) -> None:
        """Closes graphlets, the oldest above all, lets go of executions of no graphlet, and of what may leave."""
        oldest = sorted(self.open_ones(), key=lambda each: self.graphlets[each].sort_key)
        number = data.draw(st.integers(0, len(oldest)), label="how many of the oldest")
        others = data.draw(st.sets(st.sampled_from(oldest), max_size=1), label="others")
        for trainer in {*oldest[:number], *others}:
            facts = self.graphlets[trainer]
            self.order.closed[trainer] = None
            self.order.shares[trainer] = self.shares[trainer]
            self.closed.add(trainer)
            self.floor = max(self.floor, facts.start_ms, facts.time_ms or 0)
        kept = [each for each, spent in self.alone.items() if each not in self.evicted and spent[0] <= self.floor]
        evicted = set(kept) - data.draw(st.sets(st.sampled_from(kept)) if kept else st.just(set()), label="kept")
        self.order.merge_alone([*evicted, "of-a-graphlet"])
        self.evicted |= evicted
        self.leave()

    def leave(self) -> None:
        for facts, cost in self.order.leaving(self.share_of):
            assert facts == self.graphlets[facts.trainer]
            assert facts.trainer in self.closed
            assert (cost is not None) == (facts.outcome == PUSHED)
            self.left_until = facts.start_ms
            if cost is not None:
                self.left.append(cost)

    def share_of(self, facts: GraphletFacts) -> Spent:
        if facts.trainer in self.closed:
            return never(facts)
        return self.shares[facts.trainer]

    @invariant()
    def costs_are_those_of_a_list(self) -> None:
        costs, since = self.order.push_costs(self.share_of)
        expected, expected_since = brute_force(self.graphlets, self.shares, self.alone)

        assert [*self.left, *costs] == expected
        assert since == expected_since

    @invariant()
    def nothing_is_lost(self) -> None:
        costs, since = self.order.push_costs(self.share_of)
        found = sum(each.node_ms for each in (*self.left, *costs)) + since.node_ms
        everything = sum(self.shares[each].node_ms for each in self.graphlets)

        assert found == everything + sum(spent[1] for spent in self.alone.values())

    @invariant()
    def graphlets_are_in_order(self) -> None:
        keys = [each.sort_key for each in self.order]

        assert keys == sorted(keys)
        assert {each.trainer for each in self.order} == self.order.graphlets.keys()


class LateMachine(OrderMachine):
    """Executions of no graphlet also change after the graphlet that they count for has left.

    What they have spent since then counts for a later push, so that only sums are those of a list.
    """

    def changeable(self) -> list[str]:
        return sorted(self.alone.keys() - self.evicted)

    def costs_are_those_of_a_list(self) -> None:
        """Not here."""


FEW_STEPS = settings(max_examples=2 * settings().max_examples, stateful_step_count=25)
TestCosts = OrderMachine.TestCase
TestCosts.settings = FEW_STEPS
TestSums = LateMachine.TestCase
TestSums.settings = FEW_STEPS


# What is kept


def never(facts: GraphletFacts) -> Spent:
    """The share of a graphlet that an eviction has closed is kept with it."""
    raise AssertionError(facts.trainer)


def small(monkeypatch: pytest.MonkeyPatch, maximum: int, pushes: int) -> tuple[GraphletOrder, dict[str, Spent]]:
    """An order of pushes that keeps few of them; each has a share of its own."""
    monkeypatch.setattr(module, "ORDER_MAX", maximum)
    order, shares = GraphletOrder(), {}
    for number in range(pushes):
        order.put(graphlet(f"t{number:03}", 10 * number, 10 * number + 5))
        shares[f"t{number:03}"] = Spent(1 << number, 1)
    return order, shares


@pytest.mark.parametrize("pushes", [0, 1, 3, 4, 5, 30])
def test_the_order_is_bounded(monkeypatch: pytest.MonkeyPatch, pushes: int) -> None:
    """Of more than its maximum the oldest leave, but for the one with which the oldest of the others is compared."""
    order, shares = small(monkeypatch, 3, pushes)
    left = [facts.trainer for facts, _ in order.leaving(lambda facts: shares[facts.trainer])]

    assert left == [f"t{number:03}" for number in range(max(0, pushes - 4))]
    assert [facts.trainer for facts in order] == [f"t{number:03}" for number in range(max(0, pushes - 4), pushes)]
    assert order.closed.keys() <= {facts.trainer for facts in order}


def test_what_leaves_a_full_order_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no eviction has closed it: its push has a cost as any other."""
    order, shares = small(monkeypatch, 3, 6)
    left = [cost.node_ms for _, cost in order.leaving(lambda facts: shares[facts.trainer]) if cost is not None]
    costs, _ = order.push_costs(lambda facts: shares[facts.trainer])

    assert [*left, *(each.node_ms for each in costs)] == [1, 2, 4, 8, 16, 32]


def test_what_was_evicted_in_no_graphlet_is_one_entry_between_two_graphlets(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many executions that were, so that they do not outgrow the graphlets."""
    order, shares = small(monkeypatch, 3, 4)
    for number in range(400):
        order.put_alone(f"a{number}", (number % 40 // 10 * 10 + 1, 1, 0))
    order.merge_alone([f"a{number}" for number in range(400)])
    costs, since = order.push_costs(lambda facts: shares[facts.trainer])

    assert [each.node_ms for each in costs] == [1, 2 + 100, 4 + 100, 8 + 100]
    assert since == Since(100, 0, 0)
    assert len(order._alone) == 4


def test_few_pushes_that_have_left_are_remembered() -> None:
    """The latest, from which the interval of the next one is counted."""
    order = GraphletOrder()
    for number in range(100):
        order.put(graphlet(f"t{number:03}", 10 * number, 10 * number + 5))
        order.closed[f"t{number:03}"] = None
        order.shares[f"t{number:03}"] = Spent(1, 0)
    left = [cost for _, cost in order.leaving(never)]
    (last,), _ = order.push_costs(lambda _: Spent(1, 0))

    assert [cost.interval_ms for cost in left if cost is not None] == [None] + [10] * 98
    assert last.interval_ms == 10
    assert len(order.left_pushes) == module.LEFT_PUSHES_MAX


def test_a_closed_graphlet_waits_for_an_earlier_one_that_may_change() -> None:
    """A push costs what its tries cost, and one that is not decided yet may still be a push of its own."""
    order = GraphletOrder()
    for number in range(3):
        order.put(graphlet(f"t{number}", number))
        order.shares[f"t{number}"] = Spent(1, 0)
    order.closed |= {"t1": None, "t2": None}

    assert list(order.leaving(never)) == []
    order.closed["t0"] = None
    assert [facts.trainer for facts, _ in order.leaving(never)] == ["t0", "t1"]


def test_what_began_with_a_training_counts_for_its_push_after_eviction() -> None:
    """As it does before: executions that began up to the start of the training."""
    order = GraphletOrder()
    order.put(graphlet("t0", 10, 11))
    order.put(graphlet("t1", 30, 31))
    order.put_alone("a", (10, 100, 0))
    order.put_alone("b", (20, 1000, 0))
    before, _ = order.push_costs(lambda _: Spent(1, 0))
    assert [each.node_ms for each in before] == [101, 1001]
    order.merge_alone(["a", "b"])
    after, _ = order.push_costs(lambda _: Spent(1, 0))

    assert after == before


@pytest.mark.parametrize(("spent", "total"), [((0, 150, 0), 152), (None, 2)])
def test_what_runs_on_in_no_graphlet_counts_once(spent: Alone | None, total: int) -> None:
    """An execution that has not been evicted may still report what it costs, or join a graphlet."""
    order = GraphletOrder()
    order.put(graphlet("t0", 10, 11))
    order.put(graphlet("t1", 20, 21))
    order.put_alone("stream", (0, 100, 0))
    order.closed["t0"], order.shares["t0"] = None, Spent(1, 0)
    order.closed["t1"], order.shares["t1"] = None, Spent(1, 0)
    left = [cost.node_ms for _, cost in order.leaving(never) if cost is not None]
    order.put_alone("stream", spent)
    costs, since = order.push_costs(lambda _: Spent(1, 0))

    assert sum(left) + sum(each.node_ms for each in costs) + since.node_ms == total


def test_no_push_costs_less_than_nothing() -> None:
    """What pushes have paid for an execution that joins a graphlet later is taken off the next ones."""
    order = GraphletOrder()
    order.put_alone("span", (0, 100, 7))
    for number in range(6):
        order.put(graphlet(f"t{number}", 10 + number, 20 + number))
    for trainer in ("t0", "t1", "t2"):
        order.closed[trainer], order.shares[trainer] = None, Spent(30, 2)
    left = [cost for _, cost in order.leaving(never)]
    order.put_alone("span", None)  # it joins the graphlet of t5
    shares = {"t5": Spent(130, 9)}
    costs, since = order.push_costs(lambda facts: shares.get(facts.trainer, Spent(30, 2)))

    paid = [(each.node_ms, each.micros) for each in (*left, *costs) if each is not None]
    assert sum(node_ms for node_ms, _ in paid) == 5 * 30 + 130
    assert paid == [(130, 9), (30, 2), (0, 0), (0, 0), (0, 0), (120, 8)]
    assert since == Since()
