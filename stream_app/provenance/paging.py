"""One page of nodes, out of levels that come by their distance."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nsmallest
from typing import Generic, TypeVar

from stream_app.provenance.cursors import Cursor

Node = TypeVar("Node")


class Page(Generic[Node]):
    """The nodes after a cursor, up to a number of them.

    Parameters
    ----------
    limit
        Nodes of the page.
    after
        The last node of the page before; None: the first page.
    place
        The place of a node among those of its level, which are of one kind: pipeline, id, and writer of a version.
    """

    def __init__(self, limit: int, after: Cursor | None, place: Callable[[Node], tuple[str, str, str]]) -> None:
        self.nodes: list[Node] = []
        #: Whether more nodes follow.
        self.follows = False
        self._limit = limit
        self._after = after
        self._place = place

    def add(self, step: int, level: list[Node]) -> bool:
        """Adds the nodes of a level.

        Parameters
        ----------
        step
            Edges between them and what was asked for.
        level
            The nodes in any order.

        Returns
        -------
        bool
            Whether the page is full: no further level is needed.
        """
        after, place = self._after, self._place
        if after is not None and step < after.step:
            return False
        if after is not None and step == after.step:
            level = [each for each in level if place(each) > after.key[1:]]
        self.nodes += nsmallest(self._limit + 1 - len(self.nodes), level, key=place)
        self.follows = len(self.nodes) > self._limit
        del self.nodes[self._limit :]
        return self.follows
