"""Answers about lineage as text: a tree, plain lines, and a path with the rule that ends it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from stream_app.cli.tables import line, table

#: Rule -> what keeps an execution out of a graphlet; `at` is where the rule holds.
RULES = {
    "other_pipeline": "it is of another pipeline",
    "run": "it is a run, which is in no graphlet itself",
    "oversized": "the graphlet has over 10,000 members, which are not kept",
    "of_other_run": "it is not of this run",
    "trainer": "it is a trainer, and a trainer is in its own graphlet alone",
    "trainer_between": "the trainer {at} ends the path",
    "own_model": "{at} reads a model of its own run, and this one as a baseline alone",
    "other_model": "{at} deploys what another trainer wrote",
    "not_analysis": "{at} uses the same data, but does not lead to the trainer and is no analysis",
    "no_run": "{at} is an analysis in no run, and does not read what the graphlet ingested",
    "analysis_of_other_run": "{at} is an analysis of a run that is not among the graphlet's",
    "unrelated": "no path joins them",
    "not_searched": "there are too many edges to find out",
}
_HEADS = ("distance", "name", "type", "state", "start", "node-hours", "graphlets")


def plain_lines(answer: dict[str, Any]) -> list[str]:
    """The nodes of a page, a line each, in the order of the answer.

    Parameters
    ----------
    answer
        The answer of `stream_app.provenance.lineage`.
    """
    rows = [
        (
            f"{node['distance']:g}", node["name"], node["type"], node["state"] or "-", node["start"] or "-",
            f"{node['node_seconds'] / 3600:.3g}" if node["node_seconds"] is not None else "-", _graphlets(node),
        )
        for node in answer["nodes"]
    ]  # fmt: skip
    return table(_HEADS, rows).splitlines()


def _graphlets(node: dict[str, Any]) -> str:
    found = node["graphlets"]
    if not found["count"]:
        return "-"
    return found["ids"][0] if found["count"] == 1 else f"{found['ids'][0]} and {found['count'] - 1} more"


def notes_of(answer: dict[str, Any]) -> list[str]:
    """What a reader of a page has to know: that more follows, or that something is left out."""
    notes = []
    if answer["edges_omitted"]:
        notes.append(f"{answer['edges_omitted']:,} edges are left out: a node lists 20 each way")
    if answer["truncated"]:
        notes.append("truncated: there is more than an answer may visit; ask with a smaller --depth, or from nearer")
    if answer["next"] is not None:
        notes.append(f"more follows: --after {answer['next']}")
    return ["", *notes] if notes else []


def tree_lines(answer: dict[str, Any]) -> list[str]:
    """A page as trees: what is behind it above, what came of it below. Each node is named once.

    Parameters
    ----------
    answer
        The answer of `stream_app.provenance.lineage`. A node that is met again is numbered, and the number is given.
    """
    ways = ("up", "down") if answer["direction"] == "both" else (answer["direction"],)
    forest = _Forest(answer)
    drawn = {way: list(forest.draw(way)) for way in ways}
    counts = Counter(name for way in ways for _, name, _ in drawn[way])
    placed = {name for way in ways for _, name, in_place in drawn[way] if in_place}
    again = (name for name, count in counts.items() if count > 1)
    numbers = {name: number for number, name in enumerate(again, 1)}
    lines, named = [], set[str]()
    for way in ways:
        if len(ways) > 1 and drawn[way]:
            lines.append({"up": "behind it", "down": "what came of it"}[way])
        for stem, name, in_place in drawn[way]:
            number = f"[{numbers[name]}]" if name in numbers else ""
            if name in named or (not in_place and name in placed):
                lines.append(f"{stem}see {number}")
                continue
            lines.append(f"{stem}{number} {forest.label(name)}" if number else f"{stem}{forest.label(name)}")
            named.add(name)
    return [*lines, *(forest.label(name) for name in forest.nodes if name not in named)]


class _Forest:
    """The trees of a page, breadth first, so that a node stands where it is nearest."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.nodes = {node["name"]: node for node in answer["nodes"]}
        self._edges = answer["edges"]
        before = [edge[end] for edge in self._edges for end in ("from", "to") if edge[end] not in self.nodes]
        #: What was asked for; on later pages what the nodes of the page are joined to.
        self.roots = dict.fromkeys([*(name for name, node in self.nodes.items() if not node["distance"]), *before])
        self._placed = set(self.roots)

    def draw(self, way: str) -> Iterator[tuple[str, str, bool]]:
        """The lines of one way: the branches before a name, the name, and whether this is its place in the tree."""
        children = _children(self._edges, way, self.nodes)
        placed = self._place(children)
        for root in self.roots:
            if root not in children:
                continue
            yield "", root, True
            # What stands before a child, whether it is the last, its parent, and the child; the last entry is next.
            waiting = _branches(root, children, "")
            while waiting:
                indent, is_last, parent, child = waiting.pop()
                in_place = (parent, child) in placed
                yield f"{indent}{'└─' if is_last else '├─'} ", child, in_place
                if in_place:
                    waiting += _branches(child, children, f"{indent}{'  ' if is_last else '│ '} ")

    def _place(self, children: dict[str, list[str]]) -> set[tuple[str, str]]:
        """The edges along which nodes are placed in trees."""
        edges: set[tuple[str, str]] = set()
        waiting = deque(self.roots)
        while waiting:
            parent = waiting.popleft()
            for child in children.get(parent, ()):
                if child not in self._placed:
                    self._placed.add(child)
                    edges.add((parent, child))
                    waiting.append(child)
        return edges

    def label(self, name: str) -> str:
        """What is said of a node."""
        node = self.nodes.get(name)
        return _printable(_described(node) if node is not None else f"{name}  (on a page before)")


def _branches(parent: str, children: dict[str, list[str]], indent: str) -> list[tuple[str, bool, str, str]]:
    found = children.get(parent, [])
    return [(indent, place == len(found) - 1, parent, child) for place, child in reversed(list(enumerate(found)))]


def _children(edges: list[dict[str, str]], way: str, nodes: dict[str, Any]) -> dict[str, list[str]]:
    """Node -> what is beneath it in the tree of a way, in the order of the answer."""
    order = {name: place for place, name in enumerate(nodes)}
    found: dict[str, list[str]] = {}
    for edge in edges:
        parent, child = (edge["to"], edge["from"]) if way == "up" else (edge["from"], edge["to"])
        found.setdefault(parent, []).append(child)
    return {parent: sorted(children, key=lambda each: order.get(each, -1)) for parent, children in found.items()}


def why_lines(answer: dict[str, Any]) -> list[str]:
    """Why an execution is in a graphlet, or why not, with the path.

    Parameters
    ----------
    answer
        The answer of `stream_app.provenance.why`.
    """
    if answer["member"]:
        first = f"{answer['execution']} is in {answer['graphlet']}: {', '.join(answer['sets'])}"
    else:
        rule = answer["rule"]
        words = RULES.get(rule, rule).format(at=answer["at"])
        first = f"{answer['execution']} is not in {answer['graphlet']}: {words}"
    return [_printable(first), *(_printable(f"  {_described(node)}") for node in answer["path"])]


def _described(node: dict[str, Any]) -> str:
    return line((node["name"], " ".join(filter(None, (node["type"], node["state"])))), (0, 0))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
