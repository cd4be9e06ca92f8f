"""Compact sets of graphlets: most versions have one graphlet, a few shared ones have thousands."""

from __future__ import annotations

from typing import TypeVar

#: Beyond this many a tuple becomes a set.
TUPLE_MAX = 4

T = TypeVar("T")
GraphletSet = tuple[T, ...] | set[T]


def with_graphlet(graphlets: GraphletSet[T], graphlet: T) -> GraphletSet[T]:
    """Adds a graphlet to a compact set.

    Parameters
    ----------
    graphlets
        The set, which does not have the graphlet; a large one is changed in place.
    graphlet
        The graphlet to add.

    Returns
    -------
    tuple or set
        The set with the graphlet.
    """
    if isinstance(graphlets, set):
        graphlets.add(graphlet)
        return graphlets
    return (*graphlets, graphlet) if len(graphlets) < TUPLE_MAX else {*graphlets, graphlet}


def without_graphlet(graphlets: GraphletSet[T], graphlet: T) -> GraphletSet[T]:
    """Removes a graphlet from a compact set.

    Parameters
    ----------
    graphlets
        The set, with or without the graphlet; a large one is changed in place.
    graphlet
        The graphlet to remove.

    Returns
    -------
    tuple or set
        The set without the graphlet.
    """
    if isinstance(graphlets, set):
        graphlets.discard(graphlet)
        return graphlets
    return tuple(other for other in graphlets if other is not graphlet)
