"""The edges between executions and versions that were visited, wherever their pipelines are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from heapq import nsmallest

from stream_app.provenance.graph import Key
from stream_app.provenance.lineage import NODE_EDGES_MAX
from stream_app.provenance.peers.entities import RemoteExecution, RemoteVersion


class Visited:
    """What a walk has visited, with the distances in steps, and all executions and versions that it knows of."""

    def __init__(self) -> None:
        self.distance: dict[Key, int] = {}
        self.executions: dict[Key, RemoteExecution] = {}
        self.versions: dict[Key, RemoteVersion] = {}

    def name(self, key: Key) -> str:
        """The name of a node."""
        return (self.executions.get(key) or self.versions[key]).name


class _Elsewhere:
    """Finds which versions of other pipelines a reading reads."""

    def __init__(self, versions: Mapping[Key, RemoteVersion], visited: Collection[Key]) -> None:
        by_id: dict[str, dict[str, list[RemoteVersion]]] = {}
        for key in visited:
            version = versions.get(key)
            if version is not None:
                by_id.setdefault(version.id, {}).setdefault(version.pipeline, []).append(version)
        #: Artifact id -> pipeline -> versions by the begin of their span; the spans of a pipeline do not overlap.
        self._by_id = by_id
        for pipelines in by_id.values():
            for found in pipelines.values():
                found.sort(key=_since)

    def read(self, pipeline: str, artifact_id: str, time: int) -> Iterator[Key]:
        """The versions that a reading of a pipeline reads."""
        for other, versions in self._by_id.get(artifact_id, {}).items():
            place = bisect_right(versions, time, key=lambda each: each.span.since) - 1
            if other != pipeline and place >= 0 and versions[place].span.holds(time):
                yield versions[place].key


def _since(version: RemoteVersion) -> tuple[int, str]:
    return version.span.since, version.writer


def edges_of(page: list[Key], visited: Visited) -> tuple[list[dict[str, str]], int]:
    """The edges between nodes of a page and nearer nodes, as `lineage` gives them, and how many are left out.

    Parameters
    ----------
    page
        The nodes of the page.
    visited
        All nodes that are not farther.

    Returns
    -------
    list of dict, and int
        `from` and `to`, names; the number of edges beyond 20 of a node either way.
    """
    distance = visited.distance
    nearer: dict[Key, tuple[list[Key], list[Key]]] = {key: ([], []) for key in page}
    for one, other in _edges(visited):
        if distance[one] < distance[other]:
            if other in nearer:
                nearer[other][0].append(one)
        elif one in nearer:
            nearer[one][1].append(other)
    edges: list[dict[str, str]] = []
    omitted = 0
    for key in page:
        for found, backward in zip(nearer[key], (True, False), strict=True):
            kept = nsmallest(NODE_EDGES_MAX, found, key=lambda each: (-distance[each], each))
            omitted += len(found) - len(kept)
            name = visited.name(key)
            names = ((visited.name(each), name) if backward else (name, visited.name(each)) for each in kept)
            edges += ({"from": one, "to": other} for one, other in names)
    return edges, omitted


def _edges(visited: Visited) -> Iterator[tuple[Key, Key]]:
    """All edges between visited nodes, which are an execution and a version each."""
    distance = visited.distance
    elsewhere = _Elsewhere(visited.versions, distance)
    for key in distance:
        execution = visited.executions.get(key)
        if execution is None:
            continue
        for time, version in execution.reads:
            if version in distance:
                yield version, key
            if time is not None:
                for other in elsewhere.read(execution.pipeline, version[2], time):
                    yield other, key
        for version in execution.writes:
            if version in distance:
                yield key, version
