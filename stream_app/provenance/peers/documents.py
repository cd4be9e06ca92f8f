"""Reads the descriptions of nodes, and whole pages, that a peer answers."""

from __future__ import annotations

from typing import Any

from stream_app.provenance.lineage import DEPTH_MAX, LIMIT_MAX
from stream_app.provenance.nodes import FIELDS, GRAPHLETS_MAX
from stream_app.provenance.peers.fields import NUMBER_MAX, fields, flag, listed, number, text, texts, wrong
from stream_app.provenance.peers.rounds import AT

_ALWAYS = {"kind", "name", "id", "pipeline", "type", "graphlets"}
_OR_NULL = ("", ", or null")


def read_node(value: object) -> dict[str, Any]:
    """A node that was received; unknown fields are left out.

    Parameters
    ----------
    value
        What `nodes.describe` made.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    MessageError
        It is no description of a node.
    """
    at = f"{AT}.nodes[]"
    node = fields(value, at)
    for key, kinds in FIELDS.items():
        found = node.get(key)
        if type(found) not in kinds and (found is not None or key in _ALWAYS):
            raise wrong(
                f"{at}.{key}", f"{'' if key in _ALWAYS else 'null or '}{' or '.join(each.__name__ for each in kinds)}"
            )
    graphlets = {
        "count": number(node["graphlets"], "count", f"{at}.graphlets", 0, NUMBER_MAX),
        "ids": texts(node["graphlets"], "ids", f"{at}.graphlets", GRAPHLETS_MAX),
    }
    return {**{key: node.get(key) for key in FIELDS}, "graphlets": graphlets}


def read_page(answer: dict[str, Any]) -> dict[str, Any]:
    """A page that was received, without what was asked.

    Parameters
    ----------
    answer
        What `lineage` made.

    Returns
    -------
    dict
        Its nodes and the fields after them.

    Raises
    ------
    MessageError
        It is no page.
    """
    nodes = []
    for each in listed(answer, "nodes", AT, LIMIT_MAX):
        node = read_node(each)
        distance = each.get("distance")
        if type(distance) is not float or not 0 <= distance <= DEPTH_MAX:
            raise wrong(f"{AT}.nodes[].distance", f"hops from 0.0 to {DEPTH_MAX}.0")
        nodes.append({**node, "distance": distance})
    edges = [
        {end: text(fields(each, f"{AT}.edges[]"), end, f"{AT}.edges[]") for end in ("from", "to")}
        for each in listed(answer, "edges", AT)
    ]
    return {
        "nodes": nodes,
        "edges": edges,
        "edges_omitted": number(answer, "edges_omitted", AT, 0, NUMBER_MAX),
        "next": text(answer, "next", AT) if answer.get("next") is not None else None,
        "truncated": flag(answer, "truncated", AT),
    }
