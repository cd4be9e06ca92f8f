"""Redundant work by its definition: every execution against every other one, quadratic and without any index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from stream_app.analysis.redundancy import DATA, EXACT, TRAINING, Figures, Group, Row, Work

#: Kind, redundant node-ms, redundant cost.
Redundant = tuple[str, int, int | None]


def work(
    execution_id: str,
    start_ms: int,
    reads: str = "",
    *,
    type: str = "Trainer",  # noqa: A002
    group: str = "train",
    code: str | None = "c1",
    parameters: tuple[tuple[str, str], ...] = (),
    data: str | None = None,
    unknown: int = 0,
    node_ms: int = 1000,
    micros: int | None = None,
    completed: bool = True,
    warm: bool = False,
) -> Work:
    """An execution whose inputs have names of one letter; all of them are data unless `data` has those that are."""
    inputs = tuple(sorted(reads))
    spans = inputs if data is None else tuple(sorted(data))
    spans = spans if group in ("analysis", "preprocess", "train") else ()
    return Work(
        execution_id, start_ms, type, group, code, parameters, inputs, spans, unknown, node_ms, micros, completed, warm
    )


def operator(each: Work) -> tuple[object, ...]:
    """What two executions have in common that may repeat each other."""
    return each.type, each.group, each.code, each.parameters


def comes_before(one: Work, other: Work) -> bool:
    """Whether an execution started before another."""
    return (one.start_ms, one.execution_id) < (other.start_ms, other.execution_id)


def is_equal(one: Work, other: Work) -> bool:
    """Whether two executions of one operator read the same, which is known and something."""
    return bool(one.inputs) and not one.unknown and not other.unknown and set(one.inputs) == set(other.inputs)


def assess(each: Work, equals: Iterable[Work], readers: Iterable[tuple[Work, Collection[str]]]) -> Redundant | None:
    """The redundant work of an execution.

    `equals` are others that it may repeat exactly, `readers` others that it may overlap with and what they read.
    """

    def may_be_repeated(other: Work) -> bool:
        return other.completed and operator(other) == operator(each) and comes_before(other, each)

    if not each.node_ms:
        return None
    if any(may_be_repeated(other) and is_equal(other, each) for other in equals):
        return EXACT, each.node_ms, each.micros
    if each.group not in ("analysis", "preprocess", "train") or each.warm:
        return None
    read = {span for other, spans in readers if may_be_repeated(other) for span in spans}
    covered, total = len(read & set(each.spans)), len(each.spans) + each.unknown
    if not covered:
        return None
    micros = None if each.micros is None else each.micros * covered // total
    return TRAINING if each.group == "train" else DATA, each.node_ms * covered // total, micros


def redundant_of(works: Collection[Work]) -> dict[str, Redundant]:
    """The redundant work of each execution that has some."""
    found = {each.execution_id: assess(each, works, [(other, other.spans) for other in works]) for each in works}
    return {name: redundant for name, redundant in found.items() if redundant is not None}


def row_of(kind: str, members: Collection[Work], redundant: dict[str, Redundant]) -> Row:
    """The sums of executions of one operator."""
    first = next(iter(members))
    parts = [(each, redundant[each.execution_id]) for each in members]
    return Row(
        kind,
        first.type,
        first.group,
        executions=len(parts),
        node_ms=sum(node_ms for _, (_, node_ms, _) in parts),
        micros=sum(micros or 0 for _, (_, _, micros) in parts),
        unpriced_ms=sum(node_ms for _, (_, node_ms, micros) in parts if micros is None),
        assumed_ms=sum(node_ms for each, (_, node_ms, _) in parts if each.code is None),
    )


def figures_of(works: Collection[Work]) -> Figures:
    """All figures."""
    redundant = redundant_of(works)
    by_row: dict[tuple[object, ...], list[Work]] = defaultdict(list)
    by_group: dict[tuple[object, ...], list[Work]] = defaultdict(list)
    for each in works:
        if each.execution_id in redundant:
            kind = redundant[each.execution_id][0]
            by_row[kind, each.type, each.group].append(each)
            by_group[kind, operator(each), each.inputs if kind == EXACT else ()].append(each)
    rows = [row_of(str(of_kind), members, redundant) for (of_kind, *_), members in by_row.items()]
    groups = []
    for (of_kind, *_), members in by_group.items():
        row = row_of(str(of_kind), members, redundant)
        ordered = sorted(members, key=lambda each: (each.start_ms, each.execution_id), reverse=True)
        originals = [
            each
            for each in works
            if each.completed and operator(each) == operator(members[0]) and is_equal(each, members[0])
        ]
        first = min(originals, key=lambda each: (each.start_ms, each.execution_id), default=None)
        groups.append(
            Group(
                row,
                members[0].code,
                first.execution_id if first is not None and row.kind == EXACT else None,
                row.node_ms / sum(each.node_ms for each in members),
                tuple(each.execution_id for each in ordered[:5]),
            )
        )
    groups.sort(
        key=lambda each: (
            -each.row.node_ms,
            each.row.kind,
            each.row.type,
            each.row.group,
            each.original or "",
            each.examples,
        )
    )
    rows.sort(key=lambda row: (-row.node_ms, row.kind, row.type, row.group))
    return Figures(tuple(rows), tuple(groups[:20]))


class Remembering:
    """The redundant work of executions of which some were frozen: by the definition, with what is known of those."""

    def __init__(self) -> None:
        self.kept: dict[str, Work] = {}
        self.booked: list[tuple[Work, Redundant]] = []
        #: Operator and inputs, operator and span -> frozen executions; known while a kept one reads the same.
        self._equals: dict[tuple[object, ...], list[Work]] = defaultdict(list)
        self._readers: dict[tuple[object, ...], list[Work]] = defaultdict(list)

    def put(self, each: Work) -> None:
        """An execution is new or has changed."""
        self.kept[each.execution_id] = each
        self._forget()

    def remove(self, name: str) -> None:
        """An execution is no longer what it was."""
        self.kept.pop(name, None)
        self._forget()

    def freeze(self, name: str) -> None:
        """An execution does not change any more."""
        if name in self.kept:
            redundant = self._redundant(self.kept[name])
            each = self.kept.pop(name)
            if redundant is not None:
                self.booked.append((each, redundant))
            self._equals[operator(each), each.inputs].append(each)
            for span in each.spans:
                self._readers[operator(each), span].append(each)
            self._forget()

    def sums(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        """Executions and redundant node-ms by kind, operator and group."""
        parts = [*self.booked, *((each, self._redundant(each)) for each in self.kept.values())]
        found: dict[tuple[str, str, str], tuple[int, int]] = {}
        for each, redundant in parts:
            if redundant is not None:
                key = redundant[0], each.type, each.group
                executions, node_ms = found.get(key, (0, 0))
                found[key] = (executions + 1, node_ms + redundant[1])
        return found

    def _redundant(self, each: Work) -> Redundant | None:
        frozen_readers = [(other, {str(span)}) for (_, span), others in self._readers.items() for other in others]
        kept = self.kept.values()
        equals = [*kept, *(other for others in self._equals.values() for other in others)]
        return assess(each, equals, [*((other, set(other.spans)) for other in kept), *frozen_readers])

    def _forget(self) -> None:
        equals = {(operator(each), each.inputs) for each in self.kept.values() if not each.unknown}
        readers = {(operator(each), span) for each in self.kept.values() for span in each.spans}
        for known, memory in ((equals, self._equals), (readers, self._readers)):
            for key in set(memory) - known:
                del memory[key]
