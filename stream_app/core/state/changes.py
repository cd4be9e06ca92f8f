"""Records which rows of a pipeline's state must be written."""

from __future__ import annotations

from typing import Protocol


class Entity(Protocol):
    """An object that has a row of its own."""

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of the row."""


class Changes:
    """The entities changed and the rows dropped since the last `take`.

    Parameters
    ----------
    collect
        Whether changes are collected at all.
    """

    __slots__ = ("_dropped", "_touched")

    def __init__(self, *, collect: bool) -> None:
        self._touched: dict[Entity, None] | None = {} if collect else None
        self._dropped: dict[tuple[str, str], None] = {}

    def touch(self, entity: Entity) -> None:
        """Records that an entity's row must be written."""
        if self._touched is not None:
            self._touched[entity] = None

    def drop(self, entity: Entity) -> None:
        """Records that an entity was dropped, and its row with it."""
        if self._touched is not None:
            self._touched.pop(entity, None)
            self._dropped[entity.row] = None

    def take(self) -> tuple[list[tuple[str, str]], list[Entity]]:
        """Returns the rows dropped and the entities touched since the last call."""
        taken = list(self._dropped), list(self._touched or ())
        self._dropped = {}
        if self._touched is not None:
            self._touched = {}
        return taken
