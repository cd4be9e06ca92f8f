"""The sums of the entities of one pipeline: of those that are kept, and of those that were evicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stream_app.analysis.fleet.cells import Cell, Key, merged
from stream_app.analysis.fleet.frozen_cells import FrozenCells

Facts = TypeVar("Facts")


class EntitySums:
    """Cells that the facts of entities are put into, and taken out of.

    Attributes
    ----------
    frozen
        The sums of what was evicted.
    """

    def __init__(self) -> None:
        self._kept: dict[Key, Cell] = {}
        self.frozen = FrozenCells()

    @property
    def cells(self) -> dict[Key, Cell]:
        """All sums, those of what was evicted among them."""
        found = dict(self._kept)
        for key, cell in self.frozen.cells.items():
            found[key] = merged((found[key], cell)) if key in found else cell
        return found

    def replace(
        self,
        before: Facts | None,
        after: Facts | None,
        add: Callable[[Cell, Facts, int], None],
        key: Callable[[Facts], Key],
    ) -> None:
        """Takes the facts of an entity as they were out of its cell, and puts in what they are.

        Parameters
        ----------
        before, after
            The facts; None for nothing.
        add, key
            What adds them to a cell, and finds the cell.
        """
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

    def freeze(self, facts: Facts, add: Callable[[Cell, Facts, int], None], key: Callable[[Facts], Key]) -> None:
        """Moves the facts of an entity to the frozen sums.

        Parameters
        ----------
        facts
            The facts.
        add, key
            As of `replace`.
        """
        self.replace(facts, None, add, key)
        self.frozen.add(facts, add, key)
