"""Finds the redundant work of one pipeline as its executions come and change.

* **Exact repeat**: an execution with the same operator, group, code version, parameters and inputs as one that
  completed and started before it. All of its compute is redundant. The first that completed is the original: what
  failed before it is no repeat, what came after it is one, completed or not. Inputs must be known, and there must be
  some.
* **Overlap**: an execution of group analysis, preprocess or train that repeats none exactly, some of whose spans were
  read by one with the same operator, group, code version and parameters that completed and started before it. Redundant
  is the same share of its compute as of its spans, rounded down to whole node-ms; an input whose version is not known
  counts as a span that was never read. Of a training it is what a warm start could save at most; what
  started warm has no overlap.

Both are defined by the first execution that completed among those that read the same (`Ordered`). So the figures are a
function of the set of works, whatever the order in which they came. A work costs O(inputs) look-ups and insertions into
sorted lists, of which those that come in the order of time append. It also changes those that started between it and
the next execution that completed, which are few: failed tries, and executions that still run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any, TypeVar

import orjson

from stream_app.analysis.redundancy.figures import (
    DATA,
    EXACT,
    EXAMPLES_MAX,
    GROUPS_MAX,
    TRAINING,
    Figures,
    Group,
    by_size,
    group_of_row,
    group_to_row,
)
from stream_app.analysis.redundancy.order import Order, Ordered
from stream_app.analysis.redundancy.source import Booking, Source, Sums
from stream_app.analysis.redundancy.work import Work
from stream_app.core.operators import TRAIN

_DIGEST_BYTES = 16
Key = TypeVar("Key")


class _Entry:
    """What the index keeps of one execution."""

    __slots__ = (
        "booking",
        "completed",
        "covered",
        "equals",
        "micros",
        "node_ms",
        "operator",
        "order",
        "overlaps",
        "spans",
        "unknown",
    )  # fmt: skip

    def __init__(self, work: Work, equals: Source | None, operator: Source | None) -> None:
        self.order: Order = (work.start_ms, work.execution_id)
        self.completed = work.completed
        self.node_ms, self.micros = work.node_ms, work.micros
        self.equals = equals
        self.operator = operator
        self.spans = work.spans if operator is not None else ()
        self.unknown = work.unknown
        self.overlaps = not work.warm
        #: How many of the spans were read before.
        self.covered = 0
        self.booking: Booking | None = None

    def is_placed_as(self, other: _Entry) -> bool:
        """Whether only cost sets it apart from another entry of the same execution."""
        return (
            self.order == other.order
            and self.completed == other.completed
            and self.equals is other.equals
            and self.operator is other.operator
            and self.overlaps == other.overlaps
            and self.spans == other.spans
            and self.unknown == other.unknown
        )

    def assess(self) -> Booking | None:
        """Its redundant work; None without any."""
        if self.node_ms <= 0:
            return None
        if self.equals is not None and self.equals.members.covers(self.order):
            return self.equals, self.node_ms, self.micros, self.node_ms
        if self.operator is None or not self.covered or not self.overlaps:
            return None
        spans = len(self.spans) + self.unknown
        micros = None if self.micros is None else self.micros * self.covered // spans
        return self.operator, self.node_ms * self.covered // spans, micros, self.node_ms


class RedundancyIndex:
    """The redundant work of one pipeline.

    Memory is bounded by the executions that are kept. A frozen execution costs nothing but a share of sums; it is known
    as an original, or as a reader of a span, as long as a kept execution of the same operator, code and parameters
    reads the same. Later it is forgotten, and the next one that reads the same is an original. Its own contribution is
    final.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        #: By what their executions have in common.
        self._sources: dict[bytes, Source] = {}
        #: Those with redundant work, and their sums.
        self._redundant: dict[Source, Sums] = {}
        #: Kind, operator and group -> sums.
        self._sums: dict[tuple[str, str, str], Sums] = {}
        #: The part of them that frozen executions have.
        self._frozen: dict[tuple[str, str, str], Sums] = {}
        #: The largest groups of which no execution is kept any more, sorted.
        self._past: list[Group] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, work: Work) -> None:
        """Takes in an execution that is new or has changed; its former contribution is replaced.

        Parameters
        ----------
        work
            What it did.
        """
        former = self._entries.get(work.execution_id)
        entry = self._entry(work)
        if former is not None and former.is_placed_as(entry):
            former.node_ms, former.micros = entry.node_ms, entry.micros
            self._book(former)
            return
        if former is not None:
            self._unlink(former)
        self._link(entry)
        if former is not None:
            self._drop_empty(former)

    def remove(self, execution_id: str) -> None:
        """Takes an execution out: it is no longer what it was.

        Parameters
        ----------
        execution_id
            The execution; one that is not in the index changes nothing.
        """
        entry = self._entries.get(execution_id)
        if entry is not None:
            self._unlink(entry)
            self._drop_empty(entry)

    def freeze(self, execution_id: str) -> None:
        """Releases the memory of an execution that will not change any more; its contribution stays in the sums.

        Parameters
        ----------
        execution_id
            The execution; one that is not in the index changes nothing.
        """
        entry = self._entries.pop(execution_id, None)
        if entry is None:
            return
        if entry.booking is not None:
            source = entry.booking[0]
            self._frozen.setdefault(source.key, Sums()).book(entry.booking, 1)
            if source.frozen is None:
                source.frozen = Sums()
            source.frozen.book(entry.booking, 1)
            source.late = tuple(sorted((*source.late, entry.order))[-EXAMPLES_MAX:])
        for source in _sources_of(entry):
            source.members.freeze(entry.order, entry.completed)
        for readers in _readers_of(entry):
            readers.freeze(entry.order, entry.completed)
        self._drop_empty(entry)

    def figures(self) -> Figures:
        """The redundant work so far.

        Returns
        -------
        Figures
            Sums by kind and operator, and the largest groups. It costs O(operators + groups).
        """
        rows = [sums.row(*key) for key, sums in self._sums.items()]
        largest = nsmallest(
            GROUPS_MAX, self._redundant, key=lambda source: (-self._redundant[source].node_ms, source.digest)
        )
        groups = sorted([*self._past, *map(self._group, largest)], key=_by_size)
        return Figures(tuple(sorted(rows, key=by_size)), tuple(groups[:GROUPS_MAX]))

    def to_row(self) -> dict[str, Any]:
        """What frozen executions have left, as the plain value that `load_row` takes."""
        kept = (source for source in self._sources.values() if source.members.orders)
        return {
            "sums": [[*key, *sums.to_row()] for key, sums in self._frozen.items()],
            "past": [group_to_row(group) for group in self._past],
            "sources": [row for source in kept if (row := source.to_row()) is not None],
        }

    def load_row(self, row: Mapping[str, Any]) -> None:
        """Takes in what the frozen executions of another index have left; this one is new.

        Parameters
        ----------
        row
            As of `to_row`.

        Raises
        ------
        LookupError, TypeError, ValueError
            Nothing of this program wrote it.
        """
        for kind, type_, group, *amounts in row["sums"]:
            self._frozen[kind, type_, group] = Sums.of_row(amounts)
            self._sums[kind, type_, group] = Sums.of_row(amounts)
        self._past = sorted(map(group_of_row, row["past"]), key=_by_size)
        for each in row["sources"]:
            source = Source.of_row(each)
            self._sources[source.digest] = source
            if source.frozen is not None:
                self._redundant[source] = Sums.of_row(source.frozen.to_row())

    def _entry(self, work: Work) -> _Entry:
        common = orjson.dumps((work.type, work.group, work.code, work.parameters))
        operator = equals = None
        if work.spans:
            operator = self._source(DATA if work.group != TRAIN else TRAINING, common, work)
        if work.inputs and not work.unknown:
            equals = self._source(EXACT, b"\n".join((common, orjson.dumps(work.inputs))), work)
        return _Entry(work, equals, operator)

    def _source(self, kind: str, common: bytes, work: Work) -> Source:
        digest = hashlib.blake2b(common, digest_size=_DIGEST_BYTES, person=kind.encode()).digest()
        source = self._sources.get(digest)
        if source is None:
            source = self._sources[digest] = Source(kind, digest, work.type, work.group, work.code)
        return source

    def _link(self, entry: _Entry) -> None:
        """Adds an entry, and books it and those that it changes."""
        order, completed = entry.order, entry.completed
        self._entries[order[1]] = entry
        if entry.operator is not None and entry.operator.readers is not None:
            readers = entry.operator.readers
            entry.operator.members.add(order, completed)
            for span in entry.spans:
                of_span = readers.get(span)
                if of_span is None:
                    of_span = readers[span] = Ordered()
                self._cover(of_span.add(order, completed), 1)
                entry.covered += of_span.covers(order)
        if entry.equals is not None:
            self._cover(entry.equals.members.add(order, completed), 0)
        self._book(entry)

    def _unlink(self, entry: _Entry) -> None:
        """Removes an entry and its contribution, and books those that it changes. What becomes empty stays."""
        for readers in _readers_of(entry):
            self._cover(readers.remove(entry.order, self._has_completed), -1)
        for source in _sources_of(entry):
            changed = source.members.remove(entry.order, self._has_completed)
            if source.kind == EXACT:
                self._cover(changed, 0)
        del self._entries[entry.order[1]]
        self._rebook(entry, None)

    def _has_completed(self, order: Order) -> bool:
        return self._entries[order[1]].completed

    def _cover(self, orders: Sequence[Order], by: int) -> None:
        """Changes the number of covered spans of executions and books them again."""
        for order in orders:
            entry = self._entries[order[1]]
            entry.covered += by
            self._book(entry)

    def _book(self, entry: _Entry) -> None:
        booking = entry.assess()
        if booking != entry.booking:
            self._rebook(entry, booking)

    def _rebook(self, entry: _Entry, booking: Booking | None) -> None:
        """Replaces the contribution of an entry."""
        for each, sign in ((entry.booking, -1), (booking, 1)):
            if each is None:
                continue
            source = each[0]
            _add(self._sums, source.key, each, sign)
            _add(self._redundant, source, each, sign)
        entry.booking = booking

    def _drop_empty(self, entry: _Entry) -> None:
        """Forgets what no kept execution reads any more, and remembers the groups that have ended."""
        if entry.operator is not None and entry.operator.readers is not None:
            readers = entry.operator.readers
            for span in entry.spans:
                if span in readers and not readers[span].orders:
                    del readers[span]
        for source in _sources_of(entry):
            if source.members.orders or self._sources.get(source.digest) is not source:
                continue
            del self._sources[source.digest]
            if source in self._redundant:
                self._past = sorted([*self._past, self._group(source)], key=_by_size)[:GROUPS_MAX]
                del self._redundant[source]

    def _group(self, source: Source) -> Group:
        """A group as a value."""
        latest: list[Order] = []
        for order in reversed(source.members.orders):
            booking = self._entries[order[1]].booking
            if booking is not None and booking[0] is source:
                latest.append(order)
                if len(latest) == EXAMPLES_MAX:
                    break
        latest = sorted((*latest, *source.late), reverse=True)[:EXAMPLES_MAX]
        first, sums = source.members.first, self._redundant[source]
        return Group(
            row=sums.row(source.kind, source.type, source.group),
            code=source.code,
            original=first[1] if first is not None and source.kind == EXACT else None,
            share=sums.node_ms / sums.compute_ms,
            examples=tuple(name for _, name in latest),
        )


def _add(sums: dict[Key, Sums], key: Key, booking: Booking, sign: int) -> None:
    """Adds a contribution to sums that are there while they have any."""
    own = sums.get(key)
    if own is None:
        own = sums[key] = Sums()
    own.book(booking, sign)
    if not own.executions:
        del sums[key]


def _sources_of(entry: _Entry) -> Iterator[Source]:
    """What an entry is a member of."""
    if entry.equals is not None:
        yield entry.equals
    if entry.operator is not None:
        yield entry.operator


def _readers_of(entry: _Entry) -> Iterator[Ordered]:
    """The readers of each of its spans."""
    if entry.operator is not None and entry.operator.readers is not None:
        for span in entry.spans:
            yield entry.operator.readers[span]


def _by_size(group: Group) -> tuple[tuple[int, str, str, str], str, tuple[str, ...]]:
    """The key that sorts groups, the largest first."""
    return by_size(group.row), group.original or "", group.examples
