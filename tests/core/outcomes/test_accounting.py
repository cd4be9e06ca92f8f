"""Where the compute went: every execution once, under what holds now, with what each policy would have saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Detector
from stream_app.core.events import FAILED, NEW, RUNNING
from stream_app.core.learning.savings import Savings
from stream_app.core.operators import Operators
from stream_app.core.outputs import CONTINUE, PRUNE, Example, Verdict
from stream_app.core.state.ledger import HINDSIGHT, Charge, Ledger, add
from tests.support.builders import DAY, HOUR, MINUTE, at, ended, happened, ran, run_ended, run_pruned, started
from tests.support.simulated import usual_events, usual_fleet
from tests.support.steered import EVALUATE_MS, PERIOD, PREPROCESS_MS, TRAIN_MS, Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]
DAYS = DAY // MINUTE
#: Index of the budget in force, and of one that never flags.
FIRST, SECOND = 0, 1
POLICY = Policy(budget=0.05, budgets=(0.05, 0.1))


def flagging(watch: Watch, **p_at: float) -> Watched:
    """A seasoned pipeline whose first budget flags, by stage: a probability of almost 1 is no flag."""
    learner = Steered(p=0.999_999_9, p_at=p_at, limit=1.0, limit_at={0.1: 0.0})
    return watch(learner, policy=POLICY).feed(past(6), started(20 * PERIOD, "clock", "Custom", run=None, properties={}))


def ledger(watched: Watched) -> Ledger:
    return watched.detector.ledger("p")


def change(watched: Watched, before: Ledger) -> dict[str, object]:
    """What was booked since, of the sums that changed."""
    after = ledger(watched)
    found: dict[str, object] = {}
    for field in fields(Ledger):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(new, dict):
            moved = {k: new.get(k, 0) - old.get(k, 0) for k in {*old, *new} if new.get(k, 0) != old.get(k, 0)}
            if moved:
                found[field.name] = moved
        elif old != new:
            found[field.name] = new - old
    return found


def copy_of(watched: Watched) -> Ledger:
    copied = Ledger()
    copied.merge(ledger(watched))
    return copied


CHARGES = st.builds(
    lambda *charge: charge,
    st.sampled_from(("useful", "wasted", "pending", "unattributed")),
    st.sampled_from(("failed", "run_ended")),
    st.sampled_from(("train", "ingest")),
    st.integers(0, 1000),
    st.integers(0, 7),
)


# The sums


@given(st.lists(CHARGES, max_size=20), st.data())
def test_what_is_taken_back_was_never_booked(charges: list[Charge], data: st.DataObject) -> None:
    """In any order, to the last entry: equal ledgers are equal values."""
    booked, expected = Ledger(), Ledger()
    for charge in charges:
        booked.book(charge, 1)
    back = data.draw(st.lists(st.sampled_from(charges), max_size=len(charges)) if charges else st.just([]))
    back = list((Counter(back) & Counter(charges)).elements())
    for charge in back:
        booked.book(charge, -1)
    for charge in (Counter(charges) - Counter(back)).elements():
        expected.book(charge, 1)

    assert booked == expected
    assert booked.total() == sum(charge[3] for charge in charges) - sum(charge[3] for charge in back)


@given(st.lists(CHARGES), st.lists(CHARGES))
def test_ledgers_add_up(some: list[Charge], others: list[Charge]) -> None:
    """The fleet's is the sum of its pipelines'."""
    first, second, both = Ledger(), Ledger(), Ledger()
    for charges, own in ((some, first), (others, second)):
        for charge in charges:
            own.book(charge, 1)
            both.book(charge, 1)
    first.merge(second)

    assert first == both


def test_what_falls_to_nothing_leaves() -> None:
    """A sparse sum has no zeros."""
    sums: dict[str, int] = {}
    add(sums, "a", 5)
    add(sums, "b", 0)
    add(sums, "a", -5)

    assert sums == {}


def test_every_execution_of_a_fleet_is_charged_once() -> None:
    """The classes add up to what all executions cost, and waste to its causes."""
    detector, _ = usual_fleet()
    nodes = detector.settings.operators.nodes
    for name, pipeline in detector.pipelines.items():
        costs = sum(e.node_ms(nodes.get(e.type, 1.0)) for e in pipeline.executions.values() if e.group != "run")
        booked = detector.ledger(name)
        assert booked.total() == costs > 0
        assert booked.wasted == sum(booked.wasted_by.values())
        for policy in range(len(Policy().budgets)):
            assert booked.saved.get(policy, 0) <= booked.saved.get(HINDSIGHT, 0) <= booked.wasted


def test_a_ledger_with_a_learner_is_the_ledger_without_one() -> None:
    """Classes and causes are facts; only what policies would have saved needs somebody to ask."""
    plain = Detector()
    for event in usual_events():
        plain.step(event)
    for name in plain.pipelines:
        ours, theirs = plain.ledger(name), usual_fleet()[0].ledger(name)
        assert (ours.useful, ours.wasted, ours.pending, ours.unattributed, ours.wasted_by) == (
            theirs.useful,
            theirs.wasted,
            theirs.pending,
            theirs.unattributed,
            theirs.wasted_by,
        )
        assert (ours.saved, ours.harmed, ours.undecided) == ({}, {}, {})


# Classes


def test_waste_is_booked_by_operator_group_and_cause(watch: Watch) -> None:
    """The cause is that of the last graphlet the execution served."""
    watched = watch().feed(
        ran(0, "gen", "CsvExampleGen", run="r0", writes=["a"], node_ms=1),
        ran(1, "one", "Trainer", run="r1", reads=["a"], node_ms=10),
        run_ended(5, "r1"),
        started(6, "two", "Trainer", run="r2", reads=["a"]),
        ended(7, "two", "Trainer", run="r2", state=FAILED, node_ms=100),
        ran(8, "lost", "Transform", run="r3", node_ms=1000),
        run_ended(9, "r3"),
    )

    assert ledger(watched).wasted_by == {
        ("ingest", "failed"): 1, ("train", "run_ended"): 10, ("train", "failed"): 100,
        ("preprocess", "no_trainer"): 1000,
    }  # fmt: skip


def test_an_operator_that_takes_several_nodes_costs_as_many(watch: Watch) -> None:
    """Where the sender tells no cost: duration times nodes, in whole node-milliseconds."""
    operators = Operators(nodes={"Trainer": 4, "Transform": 0.5})
    watched = watch(operators=operators).feed(
        started(0, "prep", "Transform"), happened(1, "prep", "Transform", "COMPLETE", writes=["d"]),
        started(2, "train", "Trainer", reads=["d"]), happened(5, "train", "Trainer", "COMPLETE"),
    )  # fmt: skip

    assert watched.graphlet("train")["cost"] == {"preprocess": MINUTE // 2, "train": 12 * MINUTE}
    assert watched.ledger()["pending"] == MINUTE // 2 + 12 * MINUTE


def test_compute_used_so_far_is_booked_while_it_runs(watch: Watch) -> None:
    """A sender that tells progress; the largest it told counts."""
    watched = watch().feed(
        happened(0, "train", "Trainer", RUNNING, node_ms=5), happened(9, "train", "Trainer", RUNNING, node_ms=70),
        happened(5, "train", "Trainer", RUNNING, node_ms=40),
    )  # fmt: skip

    assert watched.ledger() == {"useful": 0, "wasted": 0, "pending": 70, "unattributed": 0}


def test_classes_move_back(watch: Watch) -> None:
    """A span of a wasted run is used by a later one: pending again, and useful in the end."""
    watched = watch().feed(
        ran(0, "gen", "CsvExampleGen", run="r1", writes=["a"], node_ms=7),
        ran(1, "one", "Trainer", run="r1", reads=["a"], node_ms=1),
        run_ended(5, "r1"),
    )
    seen = [watched.ledger()]
    watched.feed(ran(9, "two", "Trainer", run="r2", reads=["a"], writes=["m"], node_ms=1))
    seen.append(watched.ledger())
    watched.feed(ran(12, "push", "Pusher", run="r2", reads=["m"], node_ms=1))
    seen.append(watched.ledger())

    assert [(s["useful"], s["wasted"], s["pending"]) for s in seen] == [(0, 8, 0), (0, 1, 8), (9, 1, 0)]


def test_what_was_pruned_is_wasted(watch: Watch) -> None:
    """What was spent until then bought nothing."""
    watched = watch(Steered()).feed(ran(0, "prep", "Transform", writes=["d"], node_ms=9))
    watched.feed(started(2, "t", "Trainer", reads=["d"]), run_pruned(3))

    assert ledger(watched).wasted_by == {("preprocess", "pruned"): 9}


# Policies


def test_what_began_after_a_flag_and_was_wasted_would_have_been_saved(watch: Watch) -> None:
    """Flagged at the trainer's start: the trainer and what follows, not the preprocessing before."""
    watched = flagging(watch, preprocess=0.001)
    before = copy_of(watched)

    watched.feed(whole_run(30 * PERIOD, "now"), started(40 * PERIOD, "clock2", "Custom", run=None))

    saved = {FIRST: TRAIN_MS + EVALUATE_MS, HINDSIGHT: PREPROCESS_MS + TRAIN_MS + EVALUATE_MS}
    assert change(watched, before)["saved"] == saved
    assert "harmed" not in change(watched, before)


def test_what_a_flag_would_have_cost_is_harm(watch: Watch) -> None:
    """The run was pushed: its compute was useful, and pruning it would have lost it."""
    watched = flagging(watch, input=0.001)
    before = copy_of(watched)

    watched.feed(whole_run(30 * PERIOD, "now", pushed=True))

    worth = PREPROCESS_MS + TRAIN_MS + EVALUATE_MS
    assert change(watched, before) == {"useful": worth, "harmed": {FIRST: worth, HINDSIGHT: worth}}


def test_until_the_outcome_is_known_nobody_knows(watch: Watch) -> None:
    """Flagged compute is undecided while its graphlet is open."""
    watched = flagging(watch, preprocess=0.001)
    before = copy_of(watched)

    watched.feed(list(whole_run(30 * PERIOD, "now"))[:4])

    assert change(watched, before)["undecided"] == {FIRST: TRAIN_MS, HINDSIGHT: PREPROCESS_MS + TRAIN_MS}


def test_a_flag_that_was_withdrawn_still_counts(watch: Watch) -> None:
    """Who acts on flags had acted."""
    watched = flagging(watch, preprocess=0.001)
    before = copy_of(watched)
    watched.feed(whole_run(30 * PERIOD, "now"), started(40 * PERIOD, "clock2", "Custom", run=None))

    said = [output.decision for output in watched.outputs if isinstance(output, Verdict) and output.run == "now"]
    assert said == [CONTINUE, PRUNE, CONTINUE, CONTINUE]
    assert change(watched, before)["saved"][FIRST] == TRAIN_MS + EVALUATE_MS  # type: ignore[index]


def test_shared_work_is_saved_when_all_it_served_were_flagged(watch: Watch) -> None:
    """One graphlet that would have gone on needs the span all the same."""
    watched = flagging(watch, input=0.001)
    before = copy_of(watched)
    start = 30 * PERIOD
    watched.feed(
        started(start, "prep-a", "Transform", run="a"),
        started(start + 1, "shared", "Tuner", run="a"),
        ended(start + 2, "shared", "Tuner", run="a", writes=["params"], node_ms=HOUR),
        ran(start + 3, "train-a", "Trainer", run="a", reads=["params"], node_ms=0),
        run_ended(start + 5, "a"),
        started(start + 6, "clock3", "Custom", run=None),
    )
    alone = change(watched, before)["saved"]

    watched.feed(ran(start + 9, "train-b", "Trainer", run="b", reads=["params"], node_ms=0), run_ended(start + 11, "b"))

    assert alone == {FIRST: HOUR, HINDSIGHT: HOUR}
    assert "saved" not in change(watched, before)
    assert change(watched, before)["wasted"] == HOUR


def test_hindsight_saves_all_that_began_after_the_first_stage(watch: Watch) -> None:
    """It knows every outcome as soon as anybody could have been asked; work before that no prediction saves."""
    watched = watch(Steered(limit=None)).feed(
        ran(0, "gen", "CsvExampleGen", writes=["a"], node_ms=1),
        ran(2, "prep", "Transform", reads=["a"], writes=["d"], node_ms=10),
        ran(4, "train", "Trainer", reads=["d"], node_ms=100),
        run_ended(9),
        started(2 * PERIOD, "clock", "Custom", run=None),
    )

    assert ledger(watched).saved == {HINDSIGHT: 110}


def test_a_run_without_a_trainer_would_have_been_saved_by_its_own_flag(watch: Watch) -> None:
    """Its work belongs to no graphlet, but it was predicted."""
    watched = flagging(watch, input=0.001)
    before = copy_of(watched)
    watched.feed(ran(30 * PERIOD, "prep", "Transform", run="now", node_ms=50), run_ended(30 * PERIOD + 9, "now"))

    assert change(watched, before)["saved"] == {FIRST: 50, HINDSIGHT: 50}
    assert change(watched, before)["wasted_by"] == {("preprocess", "no_trainer"): 50}


def test_what_serves_no_model_is_nobodys_saving(watch: Watch) -> None:
    """Unattributed compute is neither saved nor harmed, nor undecided."""
    watched = flagging(watch)
    before = copy_of(watched)
    watched.feed(ran(30 * PERIOD, "notebook", "Custom", run=None, node_ms=50))

    assert change(watched, before) == {"unattributed": 50}


# Avoided


@pytest.mark.parametrize("trains", [False, True], ids=["before its trainer", "in its trainer"])
def test_a_prune_avoids_what_was_expected_to_be_left(watch: Watch, trains: bool) -> None:
    """At the verdict that stopped it; an estimate, since it is never spent."""
    watched = watch(Steered(), policy=Policy(mode=ENFORCE, budget=0.05)).feed(past(6))
    start = 30 * PERIOD
    watched.feed(started(start, "prep", "Transform", run="now"))
    if trains:
        watched.feed(
            ended(start + 1, "prep", "Transform", run="now", writes=["d"], node_ms=PREPROCESS_MS),
            started(start + 2, "train", "Trainer", run="now", reads=["d"]),
        )
    watched.feed(run_pruned(start + 3, "now"))

    left = TRAIN_MS + EVALUATE_MS + (0 if trains else PREPROCESS_MS)
    assert ledger(watched).avoided == pytest.approx(left, rel=1e-9)


def test_what_nobody_pruned_is_not_avoided(watch: Watch) -> None:
    """Canceled by hand, or ended: flags alone avoid nothing."""
    watched = flagging(watch, input=0.001).feed(
        whole_run(30 * PERIOD, "now"), run_ended(31 * PERIOD, "x", state=FAILED)
    )

    assert ledger(watched).avoided == 0


def test_a_prune_that_is_told_twice_avoids_once(watch: Watch) -> None:
    """By the trainer and by the run, and each of them again."""
    watched = watch(Steered(), policy=Policy(mode=ENFORCE, budget=0.05)).feed(past(6))
    start = 30 * PERIOD
    pruned = [
        ended(start + 3, "t", "Trainer", run="now", state="CANCELED", properties={"pruned_by": "p/t#1"}),
        run_pruned(start + 3, "now"),
    ]
    watched.feed(started(start, "t", "Trainer", run="now"), pruned, pruned)

    assert ledger(watched).avoided == pytest.approx(TRAIN_MS + EVALUATE_MS, rel=1e-9)


def test_the_ledger_needs_no_learner(watch: Watch) -> None:
    """Nothing but events."""
    watched = watch().feed(past(3, pushed=True))

    assert watched.ledger()["useful"] == 3 * (PREPROCESS_MS + TRAIN_MS + EVALUATE_MS)


def test_what_ended_before_a_late_verdict_was_not_saved_by_it(watch: Watch) -> None:
    """The trainer's start comes in when its evaluator is done: a flag then could have spared nothing of that."""
    watched = flagging(watch, preprocess=0.001)
    before, start = copy_of(watched), 21 * PERIOD
    watched.feed(
        ended(start + 20, "eval", "Evaluator", reads=["m"], node_ms=50 * MINUTE),
        started(start + 15, "eval", "Evaluator", reads=["m"]),
        happened(start + 1, "t", "Trainer", RUNNING, writes=["m"]),
        run_ended(start + 30),
    )

    assert [v.time_ms for v in watched.outputs if isinstance(v, Verdict)][-1] == at(start + 20)
    assert FIRST not in change(watched, before).get("saved", {})


def test_an_avoided_run_is_avoided_once(watch: Watch) -> None:
    """Said of the run, and nothing more is avoided with the trainer that is heard of later."""
    watched = watch(Steered(), policy=Policy(mode=ENFORCE, salt="x")).feed(past(6))
    watched.feed(started(1001, "prep", "Transform", run="now"), run_pruned(1002, "now"))
    once = ledger(watched).avoided
    assert once > 0

    watched.feed(happened(1001, "t", "Trainer", NEW, run="now"))

    assert ledger(watched).avoided == once


def test_a_prune_by_the_runs_flag_avoids_what_the_run_had_left(watch: Watch) -> None:
    """Its trainer's own word was to go on, tagged `keep` as it was; the run was stopped all the same."""
    watched = watch(Steered(), policy=Policy(mode=ENFORCE, salt="x")).feed(past(6))
    watched.feed(
        started(1000, "prep", "Transform", run="now"),
        started(1002, "t", "Trainer", run="now", properties={"keep": True}),
        run_pruned(1003, "now"),
    )

    decisions = [v.decision for v in watched.outputs if isinstance(v, Verdict) and v.run == "now"]
    assert decisions == ["prune", "continue"]
    assert ledger(watched).avoided == pytest.approx(PREPROCESS_MS + TRAIN_MS + EVALUATE_MS, rel=1e-9)


@pytest.mark.parametrize("keep", [False, True], ids=["by the trainer's flag", "by the run's flag"])
def test_savings_and_ledger_book_the_same_prune(watch: Watch, keep: bool) -> None:
    """The run and its trainer have an example each, and the run was pruned once."""
    watched = watch(Steered(), policy=Policy(mode=ENFORCE, salt="x")).feed(past(6))
    watched.feed(
        started(1000, "prep", "Transform", run="now"),
        started(1002, "t", "Trainer", run="now", properties={"keep": keep}),
        run_pruned(1003, "now"),
    )
    savings = Savings()
    for output in watched.outputs:
        if isinstance(output, Example):
            savings.add(output)

    assert savings.saved().pruned == 1
    assert savings.saved().estimated == pytest.approx(ledger(watched).avoided / 1000, rel=1e-9)
