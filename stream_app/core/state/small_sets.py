"""Small sets kept small: most versions are passed by one graphlet, a few hubs by thousands."""

from __future__ import annotations

from typing import TypeVar

#: Beyond this many a tuple becomes a set.
TUPLE_MAX = 4

T = TypeVar("T")
Marks = tuple[T, ...] | set[T]


def marked(marks: Marks[T], graphlet: T) -> Marks[T]:
    """The marks with one more graphlet, which is not among them."""
    if isinstance(marks, set):
        marks.add(graphlet)
        return marks
    return (*marks, graphlet) if len(marks) < TUPLE_MAX else {*marks, graphlet}


def unmarked(marks: Marks[T], graphlet: T) -> Marks[T]:
    """The marks without a graphlet, whether or not it is among them."""
    if isinstance(marks, set):
        marks.discard(graphlet)
        return marks
    return tuple(other for other in marks if other is not graphlet)
