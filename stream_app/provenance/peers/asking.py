"""The side that asks: lineage over the pipelines of several processes, as if one had them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_app.provenance import cursors
from stream_app.provenance.cursors import Cursor
from stream_app.provenance.graph import Key
from stream_app.provenance.lineage import BOTH, DEPTH, EDGES_MAX, LIMIT, NODES_MAX, check
from stream_app.provenance.names import Target
from stream_app.provenance.paging import Page
from stream_app.provenance.peers.documents import read_node, read_page
from stream_app.provenance.peers.edges import edges_of
from stream_app.provenance.peers.fields import listed, wrong
from stream_app.provenance.peers.finding import find_over
from stream_app.provenance.peers.rounds import AT, Peer, Peers
from stream_app.provenance.peers.walk import Bounds, PeerWalk

#: Times that peers are asked for a step of one page; beyond, the answer is truncated.
ROUNDS_MAX = 1_000


async def lineage_over(
    peers: Sequence[Peer],
    name: str,
    *,
    direction: str = BOTH,
    depth: int = DEPTH,
    limit: int = LIMIT,
    after: str | None = None,
    across: bool = False,
    nodes_max: int = NODES_MAX,
    edges_max: int = EDGES_MAX,
    rounds_max: int = ROUNDS_MAX,
    question_edges_max: int = EDGES_MAX,
) -> dict[str, Any]:
    """Lists what `lineage` lists, over the pipelines of several processes.

    Without `across` nothing leaves a pipeline, so that its process answers at once. With it, peers are asked level by
    level: see `walk`.

    Parameters
    ----------
    peers
        One function a process, which sends a question to it and returns what `answer` answers there, both as read from
        JSON. Each pipeline is in one of them.
    name, direction, depth, limit, after, across
        As of `lineage`; cursors are the same.
    nodes_max, edges_max
        As of `lineage`. The edges of the executions that are visited count, too.
    rounds_max, question_edges_max
        Times that the peers are asked for a step; edges that a peer looks at for one question, doing nothing else.

    Returns
    -------
    dict
        As of `lineage`; `truncated` also where the bound of rounds was reached.

    Raises
    ------
    UnknownNameError, AmbiguousNameError, OptionsError
        As of `lineage`.
    MovedError
        A pipeline moved, or changed, while peers were asked; the question can be asked again.
    MessageError
        A peer answers what this version of the program does not read.
    Exception
        What a peer raises.
    """
    check(direction, depth, limit)
    everyone = Peers(peers)
    target = await find_over(everyone, name)
    question = (target, direction, depth, across)
    cursor = cursors.read(question, after) if after is not None else None
    asked = {"id": target.name, "direction": direction, "depth": depth, "across": across}
    if not across:
        how = {"direction": direction, "depth": depth, "limit": limit, "after": after, "nodes": nodes_max}
        return {**asked, **await _page(everyone, target, {**how, "edges": min(edges_max, question_edges_max)})}
    page = Page(limit, cursor, _in_level)
    walk = PeerWalk(everyone, direction, Bounds(nodes_max, edges_max, rounds_max, question_edges_max))
    await _fill(page, walk, target, 2 * depth)
    distance = walk.visited.distance
    edges, omitted = edges_of(page.nodes, walk.visited)
    last = page.nodes[-1] if page.follows else None
    return {
        **asked,
        "nodes": await _described(everyone, page.nodes, distance),
        "edges": edges,
        "edges_omitted": omitted,
        "next": cursors.write(question, Cursor(distance[last], last)) if last is not None else None,
        "truncated": walk.truncated,
    }


async def _page(peers: Peers, target: Target, how: dict[str, Any]) -> dict[str, Any]:
    """The whole page, by the peer that has all of it."""
    question = {"ask": "page", "target": list(target), **how}
    [(_, found)] = await peers.ask({peers.owner(target.pipeline): question})
    return read_page(found)


async def _fill(page: Page[Key], walk: PeerWalk, target: Target, steps: int) -> None:
    """Walks until the page is full, or nothing follows."""
    step, level = 0, await walk.start(target)
    while not page.add(step, level) and step < steps and not walk.over:
        step += 1
        level = await walk.advance(step)


def _in_level(key: Key) -> tuple[str, str, str]:
    """The key of a node among those of one distance, which are of one kind."""
    return key[1:]


async def _described(peers: Peers, keys: list[Key], distance: dict[Key, int]) -> list[dict[str, Any]]:
    """The descriptions of nodes, each by the peer that has it."""
    by_peer: dict[int, list[Key]] = {}
    for key in keys:
        by_peer.setdefault(peers.owner(key[1]), []).append(key)
    questions = {peer: {"ask": "nodes", "vertices": [*map(list, asked)]} for peer, asked in by_peer.items()}
    nodes: dict[Key, dict[str, Any]] = {}
    for peer, answer in await peers.ask(questions):
        found = listed(answer, "nodes", AT)
        if len(found) != len(by_peer[peer]):
            raise wrong(f"{AT}.nodes", "one node for each vertex")
        for key, node in zip(by_peer[peer], found, strict=True):
            nodes[key] = {**read_node(node), "distance": distance[key] / 2}
    return [nodes[key] for key in keys]
