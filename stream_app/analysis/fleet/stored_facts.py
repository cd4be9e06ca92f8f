"""The facts of a graphlet as a plain value, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.analysis.fleet.graphlet_facts import GraphletFacts


def facts_to_row(facts: GraphletFacts) -> dict[str, Any]:
    """The plain value from which `facts_of_row` makes the facts again."""
    return facts._asdict()


def facts_of_row(row: Mapping[str, Any]) -> GraphletFacts:
    """The facts of a plain value, which has lists where they have tuples.

    Parameters
    ----------
    row
        As of `facts_to_row`, possibly after JSON.

    Raises
    ------
    LookupError, TypeError
        Nothing of this program wrote it.
    """
    return GraphletFacts(**{name: _frozen(row[name]) for name in GraphletFacts._fields})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
