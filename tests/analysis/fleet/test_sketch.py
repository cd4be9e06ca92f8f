"""Quantiles are within 1 % of the true ones, whatever was put in and taken out, and cells add up without a trace."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.analysis.fleet.cells import Cell, merged, named
from stream_app.analysis.fleet.sketch import RELATIVE_ERROR, ZERO, Buckets, bucket_of, quantile, value_of

#: What rounding of doubles may add to the relative error.
ROUNDING = 1e-9
#: Small and large alike: a uniform draw would hardly ever be below 2**50.
VALUES = st.one_of(st.integers(0, 3), st.integers(0, 2000), st.integers(0, 62).flatmap(lambda n: st.integers(0, 2**n)))
SHARES = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.floats(0, 1))
NAMES = st.sampled_from(["a", "b", "node_ms:train"])


def buckets_of(values: list[int]) -> Buckets:
    return dict(Counter(map(bucket_of, values)))


def cell_of(counts: list[tuple[str, int]], values: list[tuple[str, int]]) -> Cell:
    cell = Cell()
    for name, amount in counts:
        cell.count(name, amount)
    for name, value in values:
        cell.put(name, value, 1)
    return cell


CELLS = st.builds(
    cell_of,
    st.lists(st.tuples(NAMES, st.integers(-(2**50), 2**50)), max_size=8),
    st.lists(st.tuples(NAMES, VALUES), max_size=12),
)


def assert_close(found: float | None, expected: float) -> None:
    assert found is not None
    assert abs(found - expected) <= (RELATIVE_ERROR + ROUNDING) * expected


# Quantiles


@given(values=st.lists(VALUES, min_size=1, max_size=60), share=SHARES)
def test_a_quantile_is_within_one_percent_of_numpys(values: list[int], share: float) -> None:
    """Of the value with floor(share * (n - 1)) before it."""
    expected = np.quantile(np.array(values, dtype=np.int64), share, method="lower")

    assert_close(quantile(buckets_of(values), share), float(expected))


@given(value=VALUES)
def test_a_bucket_stands_for_each_of_its_values(value: int) -> None:
    """Zero for itself alone."""
    assert_close(value_of(bucket_of(value)), value)
    assert (bucket_of(value) == ZERO) == (value == 0)


@given(value=st.integers(-(2**62), 0))
def test_what_is_negative_counts_as_zero(value: int) -> None:
    """As where clocks differ."""
    assert quantile({bucket_of(value): 1}, 0.5) == 0.0


@given(first=VALUES, second=VALUES)
def test_buckets_are_in_the_order_of_values(first: int, second: int) -> None:
    """A smaller value is never in a later bucket."""
    assert bucket_of(min(first, second)) <= bucket_of(max(first, second))


def test_there_is_no_quantile_of_nothing() -> None:
    """Nor a bucket for it."""
    assert quantile({}, 0.5) is None


def test_all_values_have_few_buckets() -> None:
    """Those below 2**63 have fewer than 2,200."""
    assert bucket_of(2**63 - 1) + 2 < 2200


@given(data=st.data(), values=st.lists(VALUES, min_size=1, max_size=40), share=SHARES)
def test_a_quantile_knows_nothing_of_what_was_taken_out(data: st.DataObject, values: list[int], share: float) -> None:
    """Put in and taken out in any order, each value taken out only after it was put in."""
    kept = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)), label="kept")
    chance = random.Random(data.draw(st.integers(0, 2**16), label="seed"))
    cell, taken = Cell(), []
    for value, is_kept in zip(values, kept, strict=True):
        cell.put("m", value, 1)
        if not is_kept:
            taken.append(value)
        if taken and chance.random() < 0.5:
            cell.put("m", taken.pop(chance.randrange(len(taken))), -1)
    for value in taken:
        cell.put("m", value, -1)
    left = [value for value, is_kept in zip(values, kept, strict=True) if is_kept]

    assert cell.measures.get("m", {}) == buckets_of(left)
    if left:
        assert_close(quantile(cell.measures["m"], share), float(np.quantile(np.array(left), share, method="lower")))


# Cells


@given(first=CELLS, second=CELLS, third=CELLS)
def test_merging_has_no_order(first: Cell, second: Cell, third: Cell) -> None:
    """Cells of weeks, pipelines and workers add up to the same, however they are grouped."""
    assert merged([first, second]) == merged([second, first])
    assert merged([merged([first, second]), third]) == merged([first, merged([second, third])])
    assert merged([first, Cell()]) == first


@given(
    counts=st.lists(st.tuples(NAMES, st.integers(-(2**50), 2**50))),
    values=st.lists(st.tuples(NAMES, VALUES)),
    cut=st.integers(0, 20),
)
def test_merged_cells_are_one_that_had_everything(
    counts: list[tuple[str, int]], values: list[tuple[str, int]], cut: int
) -> None:
    """Wherever what was put in is cut in two."""
    parts = [cell_of(counts[:cut], values[:cut]), cell_of(counts[cut:], values[cut:])]

    assert merged(parts) == cell_of(counts, values)


@given(cell=CELLS, other=CELLS)
def test_a_merge_leaves_the_other_cell_alone(cell: Cell, other: Cell) -> None:
    """What is added later is not added to it."""
    before = Cell.of_row(other.to_row())
    cell.merge(other)
    cell.count("a", 1)
    cell.put("a", 7, 1)

    assert other == before


@given(cell=CELLS)
def test_a_row_makes_the_cell_again(cell: Cell) -> None:
    """Also by way of JSON, and equal cells have equal bytes."""
    row = orjson.dumps(cell.to_row())

    assert Cell.of_row(orjson.loads(row)) == cell
    assert orjson.dumps(Cell.of_row(orjson.loads(row)).to_row()) == row


@given(cell=CELLS)
def test_nothing_in_a_cell_is_zero_or_empty(cell: Cell) -> None:
    """Whatever was counted up and down."""
    assert all(cell.counters.values())
    assert all(cell.measures.values())
    assert all(count for buckets in cell.measures.values() for count in buckets.values())


@given(
    counts=st.lists(st.tuples(NAMES, st.integers(-(2**50), 2**50))),
    values=st.lists(st.tuples(NAMES, VALUES)),
    seed=st.integers(0, 2**16),
)
def test_a_cell_from_which_all_is_taken_out_is_empty(
    counts: list[tuple[str, int]], values: list[tuple[str, int]], seed: int
) -> None:
    """In any order."""
    cell = cell_of(counts, values)
    random.Random(seed).shuffle(values)
    for name, amount in reversed(counts):
        cell.count(name, -amount)
    for name, value in values:
        cell.put(name, value, -1)

    assert cell.is_empty
    assert cell == Cell()


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("failed:Trainer", "failed", "Trainer"), ("failed:a:b", "failed", "a:b"), ("failed:", "failed", "")],
)
def test_counters_have_names_after_their_kinds(name: str, kind: str, expected: str) -> None:
    """A name may have colons, or be empty."""
    assert named({name: 2, "failures": 1, "graphlets": 3}, kind) == {expected: 2}
