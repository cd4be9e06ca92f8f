"""A breadth-first walk over the executions and versions of several peers, level by level.

An execution comes with its edges. So a step from executions costs a round only where versions of other pipelines may
be read; a step from versions asks the peers that have them, and all peers for readers in other pipelines.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stream_app.provenance.graph import ARTIFACT, Key
from stream_app.provenance.lineage import BOTH, DOWN, UP
from stream_app.provenance.names import Target
from stream_app.provenance.peers.edges import Visited
from stream_app.provenance.peers.entities import read_execution, read_version
from stream_app.provenance.peers.errors import MovedError
from stream_app.provenance.peers.fields import flag, listed, number, places
from stream_app.provenance.peers.rounds import AT, Peers


class Bounds(NamedTuple):
    """What a walk may cost.

    Parameters
    ----------
    nodes_max, edges_max, rounds_max
        Nodes that are visited, edges that peers look at, and times that peers are asked for a step, in all.
    question_edges_max
        Edges that a peer looks at for one question.
    """

    nodes_max: int
    edges_max: int
    rounds_max: int
    question_edges_max: int


class _Way:
    """One direction of a walk: what it has seen, and the nodes that it follows next."""

    def __init__(self, roots: list[Key]) -> None:
        self.seen = set(roots)
        self.frontier = roots


class PeerWalk:
    """A walk up, down or both at once.

    Parameters
    ----------
    peers
        Have the pipelines.
    direction
        `up`, `down` or `both`.
    bounds
        What it may cost.
    """

    def __init__(self, peers: Peers, direction: str, bounds: Bounds) -> None:
        self.visited = Visited()
        #: Whether a bound was reached.
        self.truncated = False
        self._peers = peers
        self._direction = direction
        self._bounds = bounds
        self._edges_left = bounds.edges_max
        self._rounds_left = bounds.rounds_max
        self._ways: dict[str, _Way] = {}

    @property
    def over(self) -> bool:
        """Whether nothing follows, or nothing more may be visited."""
        return self.truncated or not any(way.frontier for way in self._ways.values())

    @property
    def _edges(self) -> int:
        """The edges that a peer may look at for the next question."""
        return min(self._edges_left, self._bounds.question_edges_max)

    async def start(self, target: Target) -> list[Key]:
        """The nodes at distance 0."""
        question = {"ask": "roots", "target": list(target), "edges": self._edges}
        everywhere = target.kind == ARTIFACT and target.writer is None
        asked = self._peers.everyone(question) if everywhere else {self._peers.owner(target.pipeline): question}
        found: list[Key] = []
        for _, executions, versions in await self._ask(asked):
            found += versions if target.kind == ARTIFACT else executions
        if not self.truncated and target.kind == ARTIFACT and all(key[1] != target.pipeline for key in found):
            raise MovedError(f"{target.name} is not here, or no longer")
        level = [each for each in found if self._visit(each, 0)]
        self._ways = {name: _Way(level) for name in (UP, DOWN) if self._direction in (name, BOTH)}
        return level

    async def advance(self, step: int) -> list[Key]:
        """Follows all edges of the nodes of a step before; the nodes that were not visited before."""
        frontiers = {name: way.frontier for name, way in self._ways.items()}
        of_versions = any(frontier[0][0] == ARTIFACT for frontier in frontiers.values() if frontier)
        follow = self._from_versions if of_versions else self._from_executions
        found = await follow(frontiers.get(UP, []), frontiers.get(DOWN, []))
        level: list[Key] = []
        for name, keys in found.items():
            if name in self._ways:
                self._reach(self._ways[name], keys, step, level)
        return level

    async def _from_executions(self, up: list[Key], down: list[Key]) -> dict[str, list[Key]]:
        """What executions have read, and what others have written."""
        readers = [self.visited.executions[key] for key in up]
        read = [version for each in readers for _, version in each.reads]
        written = [version for key in down for version in self.visited.executions[key].writes]
        readings = dict.fromkeys(
            (pipeline, id_, time) for each in readers for time, (_, pipeline, id_, _) in each.reads if time is not None
        )
        if readings:
            if not self._next_round():
                return {}
            question = {"ask": "versions", "readings": [*map(list, readings)], "edges": self._edges}
            for _, _, versions in await self._ask(self._peers.everyone(question)):
                read += versions
        return {UP: read, DOWN: written}

    async def _from_versions(self, up: list[Key], down: list[Key]) -> dict[str, list[Key]]:
        """The writers of versions, and the readers of others."""
        spans = [self.visited.versions[key] for key in down]
        elsewhere = [[each.pipeline, each.id, *each.span] for each in spans if each.span.until != each.span.since]
        questions: dict[int, dict[str, Any]] = {}
        for name, keys in (("before", up), ("after", down)):
            for _, *version in keys:
                peer = self._peers.owner(version[0])
                questions.setdefault(peer, self._executions_question())[name].append(version)
        for peer in self._peers.everyone({}) if elsewhere else ():
            questions.setdefault(peer, self._executions_question())["elsewhere"] = elsewhere
        if not self._next_round():
            return {}
        found: dict[str, list[Key]] = {UP: [], DOWN: []}
        for answer, executions, _ in await self._ask(questions):
            for name, field in ((UP, "before"), (DOWN, "after")):
                found[name] += [executions[place] for place in places(answer, field, AT, len(executions))]
        return found

    def _executions_question(self) -> dict[str, Any]:
        return {"ask": "executions", "before": [], "after": [], "elsewhere": [], "edges": self._edges}

    async def _ask(self, questions: dict[int, dict[str, Any]]) -> list[tuple[dict[str, Any], list[Key], list[Key]]]:
        """Asks, counts edges, and keeps the executions and versions of each answer."""
        found = []
        most = self._edges
        for peer, answer in await self._peers.ask(questions):
            remote = [read_version(each, f"{AT}.versions[]") for each in listed(answer, "versions", AT)]
            versions = [each.key for each in remote]
            for key, version in zip(versions, remote, strict=True):
                self.visited.versions.setdefault(key, version)
            executions = []
            for each in listed(answer, "executions", AT):
                execution = read_execution(each, versions, f"{AT}.executions[]")
                executions.append(execution.key)
                self.visited.executions.setdefault(execution.key, execution)
            for pipeline in {key[1] for key in (*executions, *versions)}:
                self._peers.owns(peer, pipeline)
            self._edges_left -= number(answer, "edges", AT, 0, most)
            self.truncated |= flag(answer, "truncated", AT)
            found.append((answer, executions, versions))
        if self._edges_left < 0:
            self._edges_left, self.truncated = 0, True
        return found

    def _next_round(self) -> bool:
        """Counts a round; False where none is left."""
        self._rounds_left -= 1
        self.truncated |= self._rounds_left < 0
        return self._rounds_left >= 0

    def _reach(self, way: _Way, keys: list[Key], step: int, level: list[Key]) -> None:
        """Moves a way on, and adds what no way has visited before to the level."""
        way.frontier = []
        for key in keys:
            if key in way.seen:
                continue
            if self._visit(key, step):
                level.append(key)
            elif key not in self.visited.distance:
                return
            way.seen.add(key)
            way.frontier.append(key)

    def _visit(self, key: Key, step: int) -> bool:
        """Keeps the distance of a node; False where it was visited before, or no more may be."""
        distance = self.visited.distance
        if key in distance:
            return False
        if len(distance) >= self._bounds.nodes_max:
            self.truncated = True
            return False
        distance[key] = step
        return True
