"""Sums that entities are put into and taken out of, and that add up over pipelines, weeks and workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_app.analysis.fleet.sketch import Buckets, bucket_of

#: A cell's week and model type; the type is "" for what is not of one model.
Key = tuple[int, str]


@dataclass(slots=True)
class Cell:
    """Sums over entities. Nothing in it is zero or empty, so that equal sums are equal cells.

    Attributes
    ----------
    counters
        Counter -> total.
    measures
        Measure -> buckets of its values.
    """

    counters: dict[str, int] = field(default_factory=dict)
    measures: dict[str, Buckets] = field(default_factory=dict)

    def count(self, counter: str, amount: int) -> None:
        """Adds to a counter.

        Parameters
        ----------
        counter
            Its name.
        amount
            What to add; negative to take out.
        """
        total = self.counters.get(counter, 0) + amount
        if total:
            self.counters[counter] = total
        else:
            self.counters.pop(counter, None)

    def put(self, measure: str, value: int, sign: int) -> None:
        """Puts a value among those of a measure, or takes it out.

        Parameters
        ----------
        measure
            The name of the measure.
        value
            The value; taken out only after it was put in.
        sign
            1 or -1.
        """
        buckets = self.measures.get(measure)
        if buckets is None:
            buckets = self.measures[measure] = {}
        bucket = bucket_of(value)
        total = buckets.get(bucket, 0) + sign
        if total:
            buckets[bucket] = total
            return
        buckets.pop(bucket, None)
        if not buckets:
            del self.measures[measure]

    def merge(self, other: Cell) -> None:
        """Adds all that is in another cell. Every amount in a cell is positive, so no sum is 0."""
        counters = self.counters
        for name, amount in other.counters.items():
            counters[name] = counters.get(name, 0) + amount
        for measure, buckets in other.measures.items():
            own = self.measures.get(measure)
            if own is None:
                self.measures[measure] = dict(buckets)
                continue
            for bucket, count in buckets.items():
                own[bucket] = own.get(bucket, 0) + count

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.counters and not self.measures

    def to_row(self) -> list[Any]:
        """The plain value from which `of_row` makes the cell again."""
        measures = {name: sorted(buckets.items()) for name, buckets in sorted(self.measures.items())}
        return [dict(sorted(self.counters.items())), measures]

    @classmethod
    def of_row(cls, row: list[Any]) -> Cell:
        """The cell of a plain value."""
        counters, measures = row
        return cls(
            {str(name): int(amount) for name, amount in counters.items()},
            {name: {int(bucket): int(count) for bucket, count in buckets} for name, buckets in measures.items()},
        )


def merged(cells: Iterable[Cell]) -> Cell:
    """One cell of several."""
    found = Cell()
    for cell in cells:
        found.merge(cell)
    return found


def named(counters: Mapping[str, int], kind: str) -> dict[str, int]:
    """The counters of a kind by name: of `failed:Trainer` the name is `Trainer`.

    Parameters
    ----------
    counters
        All counters of a cell.
    kind
        What stands before the colon.

    Returns
    -------
    dict of str to int
        By name.

    Examples
    --------
    >>> named({"failed:Trainer": 2, "graphlets": 3}, "failed")
    {'Trainer': 2}
    """
    prefix = kind + ":"
    return {name[len(prefix) :]: amount for name, amount in sorted(counters.items()) if name.startswith(prefix)}
