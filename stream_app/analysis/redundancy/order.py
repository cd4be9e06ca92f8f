"""Executions in the order of their starts, and which of them come after the first that completed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence

#: Start in ms since 1970 UTC and id: executions are ordered by both.
Order = tuple[int, str]


class Ordered:
    """Executions that read the same, in order. An execution is *covered* if one that completed comes before it.

    Only the first completed one covers. When it changes, the executions between the old and the new one change, of
    which all but one have not completed: failed tries, and those that still run.
    """

    __slots__ = ("first", "frozen", "orders")

    def __init__(self, frozen: Order | None = None) -> None:
        self.orders: list[Order] = []
        #: The first that completed, and the first of those that were frozen; None without any.
        self.first = self.frozen = frozen

    def covers(self, order: Order) -> bool:
        """Whether one that completed comes before an execution."""
        return self.first is not None and self.first < order

    def add(self, order: Order, completed: bool) -> Sequence[Order]:
        """Adds an execution and returns the others that are covered from now on."""
        insort(self.orders, order)
        former = self.first
        if not completed or (former is not None and former < order):
            return ()
        self.first = order
        end = len(self.orders) if former is None else bisect_right(self.orders, former)
        return self.orders[bisect_right(self.orders, order) : end]

    def remove(self, order: Order, has_completed: Callable[[Order], bool]) -> Sequence[Order]:
        """Removes an execution and returns the others that are no longer covered."""
        position = bisect_left(self.orders, order)
        del self.orders[position]
        if self.first != order:
            return ()
        end = position
        while end < len(self.orders) and not has_completed(self.orders[end]):
            end += 1
        following = self.orders[end] if end < len(self.orders) else None
        if self.frozen is not None and (following is None or self.frozen < following):
            following = self.frozen
        self.first = following
        return self.orders[position : len(self.orders) if following is None else bisect_right(self.orders, following)]

    def freeze(self, order: Order, completed: bool) -> None:
        """Removes an execution that continues to cover those after it."""
        del self.orders[bisect_left(self.orders, order)]
        if completed and (self.frozen is None or order < self.frozen):
            self.frozen = order
