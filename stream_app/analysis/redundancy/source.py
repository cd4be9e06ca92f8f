"""What executions with redundant work have in common, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_app.analysis.redundancy.figures import EXACT, Row
from stream_app.analysis.redundancy.order import Order, Ordered


class Sums:
    """Sums of contributions."""

    __slots__ = ("assumed_ms", "compute_ms", "executions", "micros", "node_ms", "unpriced_ms")

    def __init__(self) -> None:
        self.executions = self.node_ms = self.micros = self.unpriced_ms = self.assumed_ms = self.compute_ms = 0

    def book(self, booking: Booking, sign: int) -> None:
        """Adds a contribution, or takes it out."""
        source, node_ms, micros, compute_ms = booking
        self.executions += sign
        self.node_ms += sign * node_ms
        self.compute_ms += sign * compute_ms
        if micros is None:
            self.unpriced_ms += sign * node_ms
        else:
            self.micros += sign * micros
        if source.code is None:
            self.assumed_ms += sign * node_ms

    def to_row(self) -> list[int]:
        """The plain value from which `of_row` makes the sums again."""
        return [self.executions, self.node_ms, self.micros, self.unpriced_ms, self.assumed_ms, self.compute_ms]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Sums:
        """The sums of a plain value."""
        sums = cls()
        amounts = map(int, row)
        sums.executions, sums.node_ms, sums.micros, sums.unpriced_ms, sums.assumed_ms, sums.compute_ms = amounts
        return sums

    def row(self, kind: str, type_: str, group: str) -> Row:
        """The sums as a value."""
        amounts = (self.executions, self.node_ms, self.micros, self.unpriced_ms, self.assumed_ms)
        return Row(kind, type_, group, *amounts)


#: The source, redundant node-ms, redundant cost in micros (None without a price), and all compute in node-ms.
Booking = tuple["Source", int, int | None, int]


class Source:
    """Executions with the same reason of redundant work: equal ones, or those of one operator, code and parameters."""

    __slots__ = ("code", "digest", "frozen", "group", "kind", "late", "members", "readers", "type")

    def __init__(self, kind: str, digest: bytes, type_: str, group: str, code: str | None) -> None:
        self.kind = kind
        self.digest = digest
        self.type, self.group, self.code = type_, group, code
        self.members = Ordered()
        #: Of the frozen executions with redundant work; None without any.
        self.frozen: Sums | None = None
        #: The latest frozen executions with redundant work, sorted.
        self.late: tuple[Order, ...] = ()
        #: Span -> its readers; None of equal executions.
        self.readers: dict[str, Ordered] | None = None if kind == EXACT else {}

    @property
    def key(self) -> tuple[str, str, str]:
        """What its sums belong to: kind, operator and group."""
        return self.kind, self.type, self.group

    def to_row(self) -> list[Any] | None:
        """What its frozen executions have left, as a plain value; None for nothing."""
        read = {span: readers.frozen for span, readers in (self.readers or {}).items() if readers.frozen is not None}
        if self.members.frozen is None and not read and self.frozen is None:
            return None
        known = [self.kind, self.digest.hex(), self.type, self.group, self.code]
        return [*known, (self.frozen or Sums()).to_row(), self.late, self.members.frozen, read]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Source:
        """The source of a plain value."""
        kind, digest, type_, group, code, sums, late, frozen, read = row
        source = cls(kind, bytes.fromhex(digest), type_, group, code)
        frozen_sums = Sums.of_row(sums)
        source.frozen = frozen_sums if frozen_sums.executions else None
        source.late = tuple((int(start_ms), str(name)) for start_ms, name in late)
        if frozen is not None:
            source.members = Ordered((int(frozen[0]), str(frozen[1])))
        if source.readers is not None:
            source.readers.update((span, Ordered((int(first[0]), str(first[1])))) for span, first in read.items())
        return source
