"""The index gives what the definition gives, in any order, after any change, and at a cost that does not grow."""

from __future__ import annotations

import random
import sys
import tracemalloc
from types import FrameType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_app.analysis.redundancy import EXACT, TRAINING, RedundancyIndex, Work
from tests.analysis.redundancy.oracle import Remembering, figures_of, work
from tests.support.builders import DAY, HOUR

#: Names of executions, of which few give many changes.
NAMES = st.sampled_from("abcdef")


#: What sets executions apart that are otherwise alike.
DIFFERENCES: tuple[dict[str, Any], ...] = (
    *(
        {"type": "StatisticsGen", "group": group, "completed": completed}
        for group in ("analysis", "validate")
        for completed in (True, False)
    ),
    {"code": None},
    {"parameters": (("rate", "0.1"),)},
    {"unknown": 1},
    {"warm": True},
    {"node_ms": 0},
    {"micros": 1000},
    *({"completed": completed} for completed in (False, True, False, True, False)),
)


@st.composite
def works(draw: st.DrawFn) -> Work:
    """Executions that are mostly alike."""
    reads = draw(st.sampled_from(("wx", "wxz", "xy", "wx", "", "z")))
    facts: dict[str, Any] = {"data": reads.replace("z", ""), "node_ms": 1001, **draw(st.sampled_from(DIFFERENCES))}
    return work(draw(NAMES), draw(st.integers(0, 5)), reads, **facts)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Facts of which one changes."""
    name, values = draw(
        st.sampled_from(
            (
                ("completed", st.booleans()),
                ("start_ms", st.integers(0, 5)),
                ("node_ms", st.integers(0, 3)),
                ("micros", st.none() | st.integers(0, 3)),
                ("unknown", st.integers(0, 2)),
                ("warm", st.booleans()),
            )
        )
    )
    return {name: draw(values)}


def apply(index: RedundancyIndex, model: Remembering, step: Step) -> None:
    """Takes one step in both."""
    kind, name, change = step
    if isinstance(change, Work):
        found = change._replace(execution_id=name)
    elif name not in model.kept:
        return
    else:
        found = model.kept[name]._replace(**change)
    if kind == "put":
        index.put(found)
        model.put(found)
    else:
        getattr(index, kind)(name)
        getattr(model, kind)(name)


#: What happens, to which execution, and what it is then, or which of its facts change.
Step = tuple[str, str, Work | dict[str, Any]]


def steps(*kinds: str) -> st.SearchStrategy[list[Step]]:
    """Things that happen, many of them: most of what goes wrong needs several executions that are alike."""
    return st.lists(st.tuples(st.sampled_from(kinds), NAMES, works() | changes()), min_size=25, max_size=40)


@given(steps("put", "put", "put", "remove"))
def test_figures_are_those_of_the_definition_after_every_change(found: list[Step]) -> None:
    """Executions come, change what they are and what they cost, come again, and are removed."""
    index, model = RedundancyIndex(), Remembering()
    for step in found:
        apply(index, model, step)

        assert index.figures() == figures_of(model.kept.values())
    assert len(index) == len(model.kept)


@given(steps("put", "put", "put", "freeze", "freeze", "remove"))
def test_frozen_executions_stay_in_the_sums_and_are_known_while_a_kept_one_reads_the_same(found: list[Step]) -> None:
    """In whatever order executions are frozen, change, and come back."""
    index, model = RedundancyIndex(), Remembering()
    for step in found:
        apply(index, model, step)

        rows = index.figures().rows
        assert {(row.kind, row.type, row.group): (row.executions, row.node_ms) for row in rows} == model.sums()
    assert len(index) == len(model.kept)


@given(st.lists(works(), unique_by=lambda each: each.execution_id), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(found: list[Work], chance: random.Random) -> None:
    """The figures are a function of the set."""
    shuffled = [*found, *found]
    chance.shuffle(shuffled)
    index = RedundancyIndex()
    for each in shuffled:
        index.put(each)

    assert index.figures() == figures_of(found)


@given(st.lists(works(), unique_by=lambda each: each.execution_id))
def test_removing_everything_leaves_nothing(found: list[Work]) -> None:
    """No sum and no memory of it."""
    index = RedundancyIndex()
    for each in found:
        index.put(each)
    for each in found:
        index.remove(each.execution_id)

    assert vars(index) == vars(RedundancyIndex())


def test_an_input_whose_version_is_not_known_lowers_the_share() -> None:
    """Also when it comes later."""
    index = RedundancyIndex()
    index.put(work("t1", 0, "ab"))
    for unknown, share in ((1, 2 / 3), (2, 2 / 4)):
        index.put(work("t2", 1, "ab", unknown=unknown, node_ms=12))

        assert index.figures().groups[0].share == share


def test_the_first_of_the_frozen_ones_is_the_original() -> None:
    """In whatever order they were frozen, and when the first kept one is removed."""
    for names in (("t0", "t1"), ("t1", "t0")):
        index = RedundancyIndex()
        for number in range(4):
            index.put(work(f"t{number}", number, "a"))
        for name in names:
            index.freeze(name)
        index.put(work("early", -1, "a"))
        index.remove("early")

        assert index.figures().groups[0].original == "t0"


def test_what_an_execution_no_longer_reads_is_forgotten() -> None:
    """An execution that changes leaves nothing of what it was."""
    index = RedundancyIndex()
    for reads in ("ab", "bc", "cd"):
        index.put(work("t", 0, reads, parameters=(("window", reads),)))

    assert len(index._sources) == 2
    assert [sorted(source.readers) for source in index._sources.values() if source.readers] == [["c", "d"]]


@given(st.lists(works(), unique_by=lambda each: each.execution_id))
def test_freezing_everything_releases_everything_but_sums_and_groups(found: list[Work]) -> None:
    """The largest groups stay, with the examples that were known last."""
    index = RedundancyIndex()
    for each in found:
        index.put(each)
    for each in found:
        index.freeze(each.execution_id)

    assert index.figures() == figures_of(found)
    assert not index._entries
    assert not index._sources


def test_a_group_that_ended_is_listed_beside_those_that_go_on() -> None:
    """The twenty largest of both."""
    index = RedundancyIndex()
    for number in range(30):
        for each in range(2):
            index.put(work(f"{number}.{each}", each, "x", code=f"c{number}", node_ms=number + 1))
        if number % 2:
            index.freeze(f"{number}.0")
            index.freeze(f"{number}.1")

    groups = index.figures().groups

    assert [group.row.node_ms for group in groups] == list(range(30, 10, -1))
    assert {group.row.kind for group in groups} == {EXACT}
    assert groups[0].original == "29.0"
    assert groups[0].examples == ("29.1",)


def test_examples_are_the_latest_five_of_kept_and_frozen_ones() -> None:
    """The latest first."""
    index = RedundancyIndex()
    for number in range(9):
        index.put(work(f"t{number}", number, "x"))
    for number in (1, 2, 3, 4, 5, 6, 8):
        index.freeze(f"t{number}")

    [group] = index.figures().groups

    assert group.examples == ("t8", "t7", "t6", "t5", "t4")
    assert all(len(source.late) <= 5 for source in index._sources.values())


def test_a_frozen_execution_covers_a_window_as_long_as_it_moves() -> None:
    """A window of 60 spans outlives the executions that read them first; the share stays 59 of 60."""
    index = RedundancyIndex()
    for day in range(200):
        index.put(window(day, spans=60))
        index.freeze(f"t{day - 37}")
        assert len(index) <= 37

    [row] = index.figures().rows

    assert (row.kind, row.executions) == (TRAINING, 199)
    assert row.node_ms == sum(6000 * min(day, 59) // min(day + 1, 60) for day in range(200))


def window(day: int, spans: int = 7) -> Work:
    """A training on the last spans, one of which is new each day."""
    reads = tuple(sys.intern(f"span-{each:06d}") for each in range(max(0, day - spans + 1), day + 1))
    return Work(f"t{day}", day * DAY, "Trainer", "train", "c1", (), reads, reads, 0, 6000, None, True)


def failed_try(day: int) -> Work:
    """A try of the same training an hour before, which failed."""
    return window(day)._replace(execution_id=f"t{day}~1", start_ms=day * DAY - HOUR, completed=False)


def calls(runs: int) -> float:
    """Function calls for each run of a rolling window: a failed try, and a training whose end is reported later."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    index = RedundancyIndex()
    found = [(failed_try(day), window(day)._replace(completed=False), window(day)) for day in range(runs)]
    sys.setprofile(count)
    try:
        for of_run in found:
            for each in of_run:
                index.put(each)
    finally:
        sys.setprofile(None)
    return counted / runs


def test_the_calls_for_an_execution_do_not_grow_with_their_number() -> None:
    """The same for ten times as many executions."""
    assert calls(20_000) <= calls(2_000) * 1.01


def test_memory_for_a_kept_execution_is_bounded() -> None:
    """With a window of seven spans, whose ids the core keeps anyway: two lists of equal ones, and one span is new."""
    found = [window(day) for day in range(5_000)]
    tracemalloc.start()
    try:
        index = RedundancyIndex()
        for each in found:
            index.put(each)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(index) == 5_000
    assert used / 5_000 < 1_000
