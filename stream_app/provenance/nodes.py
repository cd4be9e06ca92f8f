"""Nodes of an answer as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import Any

from stream_app.core.operators import Operators
from stream_app.core.state.entities import Execution, Graphlet, Version
from stream_app.provenance.graph import ARTIFACT, EXECUTION, Vertex
from stream_app.times import time_to_text

#: Graphlets that a node lists.
GRAPHLETS_MAX = 20


def describe(vertex: Vertex, operators: Operators) -> dict[str, Any]:
    """Describes a node.

    Parameters
    ----------
    vertex
        The execution or version.
    operators
        Price the executions.

    Returns
    -------
    dict
        The same keys for executions and artifacts: what an artifact has not is None.
    """
    pipeline, id_, entity, writer = vertex
    if isinstance(entity, Version):
        return {
            **_EMPTY, "kind": ARTIFACT, "name": vertex.name, "id": id_, "pipeline": pipeline.name,
            "type": pipeline.artifacts[id_].type, "writer": writer, "graphlets": _graphlets_of_version(entity),
        }  # fmt: skip
    return {
        **_EMPTY, "kind": EXECUTION, "name": vertex.name, "id": id_, "pipeline": pipeline.name, "type": entity.type,
        "group": entity.group, "state": entity.state, "run": entity.run, "start": time_to_text(entity.start_ms),
        "end": time_to_text(entity.end_ms) if entity.end_ms is not None else None,
        "node_seconds": entity.node_ms(operators.nodes.get(entity.type, 1.0)) / 1000,
        "graphlets": _graphlets_of(entity),
    }  # fmt: skip


_EMPTY = dict.fromkeys(
    ("kind", "name", "id", "pipeline", "type", "group", "state", "run", "writer", "start", "end", "node_seconds")
)

#: The keys of a node, and what their values may be besides None.
FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_EMPTY, (str,)),
    "node_seconds": (int, float),
    "graphlets": (dict,),
}


def _graphlets_of(execution: Execution) -> dict[str, Any]:
    """The graphlets that an execution belongs to, and its own."""
    own = [execution.graphlet] if execution.graphlet is not None else []
    return _listed([*own, *(execution.members_of or ())])


def _graphlets_of_version(version: Version) -> dict[str, Any]:
    """The graphlets that pass a version: their trainer or a member wrote it, or read it on the way to the trainer."""
    return _listed({*version.up, *version.down, *version.reach})


def _listed(graphlets: Iterable[Graphlet]) -> dict[str, Any]:
    found = list(graphlets)
    return {
        "count": len(found),
        "ids": [each.id for each in nsmallest(GRAPHLETS_MAX, found, key=lambda each: each.trainer.id)],
    }
