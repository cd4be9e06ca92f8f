"""The index gives what the definition gives, in any order, after any change, and at a cost that does not grow."""

from __future__ import annotations

import random
import sys
import tracemalloc
from dataclasses import replace
from types import FrameType

from hypothesis import given
from hypothesis import strategies as st

from stream_app.analysis.redundancy import EXACT, TRAINING, RedundancyIndex, Work
from tests.analysis.redundancy.oracle import assess, figures_of, operator, work
from tests.support.builders import DAY, HOUR

OPERATORS = {"Trainer": "train", "StatisticsGen": "analysis", "Transform": "preprocess", "Evaluator": "validate"}
#: Names of executions, of which few give many changes.
NAMES = st.sampled_from("abcdefgh")


@st.composite
def works(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES, from_ms: int = 0) -> Work:
    """Executions that are often alike."""
    kind, group = draw(st.sampled_from(sorted(OPERATORS.items())))
    reads = draw(st.sets(st.sampled_from("wxyz")))
    return work(
        draw(names),
        draw(st.integers(from_ms, from_ms + 5)),
        "".join(reads),
        type=kind,
        group=group,
        code=draw(st.sampled_from((None, "c1", "c1", "c2"))),
        parameters=draw(st.sampled_from(((), (("rate", "0.1"),)))),
        data="".join(each for each in reads if each != "z"),
        unknown=draw(st.sampled_from((0, 0, 0, 1))),
        node_ms=draw(st.sampled_from((0, 1, 100, 1001))),
        micros=draw(st.sampled_from((None, 0, 7, 1000))),
        completed=draw(st.booleans()),
        warm=group == "train" and draw(st.booleans()),
    )


@given(st.lists(works() | NAMES, max_size=40))
def test_figures_are_those_of_the_definition_after_every_change(changes: list[Work | str]) -> None:
    """Executions come, change what they are and what they cost, come again, and are removed."""
    index, kept = RedundancyIndex(), dict[str, Work]()
    for change in changes:
        if isinstance(change, Work):
            kept[change.execution_id] = change
            index.put(change)
        else:
            kept.pop(change, None)
            index.remove(change)

        assert index.figures() == figures_of(kept.values())
    assert len(index) == len(kept)


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


@given(
    st.lists(works(), unique_by=lambda each: each.execution_id),
    st.sets(NAMES),
    works(st.just("later"), from_ms=10),
)
def test_frozen_executions_stay_in_the_sums_and_are_known_while_a_kept_one_reads_the_same(
    found: list[Work], frozen: set[str], later: Work
) -> None:
    """What a later execution repeats of them counts, unless they are forgotten."""
    index = RedundancyIndex()
    for each in found:
        index.put(each)
    for name in sorted(frozen):
        index.freeze(name)
    assert index.figures().rows == figures_of(found).rows

    index.put(later)

    kept = [each for each in found if each.execution_id not in frozen]
    alike = [each for each in kept if operator(each) == operator(later)]
    remembered = [set(each.inputs) for each in alike if not each.unknown]
    equals = [each for each in found if set(each.inputs) in remembered]
    known = {span for each in alike for span in each.spans}
    redundant = assess(later, equals, [(each, known & set(each.spans)) for each in found])
    before = {(row.kind, row.type): row.node_ms for row in figures_of(found).rows}
    after = {(row.kind, row.type): row.node_ms for row in index.figures().rows}
    if redundant is not None:
        before[redundant[0], later.type] = before.get((redundant[0], later.type), 0) + redundant[1]
    assert after == before


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
    return replace(window(day), execution_id=f"t{day}~1", start_ms=day * DAY - HOUR, completed=False)


def calls(runs: int) -> float:
    """Function calls for each run of a rolling window: a failed try, and a training whose end is reported later."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    index = RedundancyIndex()
    found = [(failed_try(day), replace(window(day), completed=False), window(day)) for day in range(runs)]
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
