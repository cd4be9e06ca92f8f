"""The sums of what was evicted from a pipeline: they only grow, and their number is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from stream_app.analysis.fleet.cells import Cell, Key

#: Weeks that are told apart, up to that of the pipeline's clock; older ones are one.
WEEKS_MAX = 54
#: Model types that are told apart in a week, those of the graphlets that were evicted first; the rest are one.
TYPES_MAX = 16
#: The number of the week that stands for all older ones, and the name of the rest of the model types.
OLDER, OTHER = 0, "other"


class FrozenCells:
    """Cells by week and model type, at most `(WEEKS_MAX + 1) * (TYPES_MAX + 2)` of them once folded."""

    def __init__(self) -> None:
        self.cells: dict[Key, Cell] = {}
        #: Cells that have changed, or are no longer there, since they were taken last.
        self._changed: dict[Key, None] = {}

    def add(self, facts: Any, add: Callable[[Cell, Any, int], None], key: Callable[[Any], Key]) -> None:
        """Adds the facts of an entity to its cell.

        Parameters
        ----------
        facts
            The facts.
        add, key
            What adds them to a cell, and finds the cell.
        """
        add(self._cell(key(facts)), facts, 1)

    def fold(self, week: int) -> None:
        """Merges the weeks that are too old to be told apart.

        Parameters
        ----------
        week
            The week of the pipeline's clock.
        """
        for place in sorted(each for each in self.cells if OLDER < each[0] <= week - WEEKS_MAX):
            self._changed[place] = None
            cell = self.cells.pop(place)
            self._cell((OLDER, place[1])).merge(cell)

    def load(self, key: Key, cell: Cell) -> None:
        """Takes in a cell that was stored."""
        self.cells[key] = cell

    def take_changed(self) -> Iterator[tuple[Key, Cell | None]]:
        """The cells that have changed since the last call; None for one that is no longer there."""
        taken, self._changed = self._changed, {}
        return ((key, self.cells.get(key)) for key in taken)

    def _cell(self, place: Key) -> Cell:
        week, model_type = place
        if place not in self.cells and model_type not in ("", OTHER):
            types = sum(1 for each in self.cells if each[0] == week and each[1] not in ("", OTHER))
            if types >= TYPES_MAX:
                place = week, OTHER
        self._changed[place] = None
        return self.cells.setdefault(place, Cell())
