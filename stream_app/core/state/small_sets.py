"""Small sets kept small: most versions are passed by one graphlet, a few hubs by thousands."""

from __future__ import annotations

from typing import TypeVar

#: Beyond this many a tuple becomes a set.
TUPLE_MAX = 4

T = TypeVar("T")
GraphletSet = tuple[T, ...] | set[T]


def with_graphlet(graphlets: GraphletSet[T], graphlet: T) -> GraphletSet[T]:
    """The marks with one more graphlet, which is not among them."""
    if isinstance(graphlets, set):
        graphlets.add(graphlet)
        return graphlets
    return (*graphlets, graphlet) if len(graphlets) < TUPLE_MAX else {*graphlets, graphlet}


def without_graphlet(graphlets: GraphletSet[T], graphlet: T) -> GraphletSet[T]:
    """The marks without a graphlet, whether or not it is among them."""
    if isinstance(graphlets, set):
        graphlets.discard(graphlet)
        return graphlets
    return tuple(other for other in graphlets if other is not graphlet)
