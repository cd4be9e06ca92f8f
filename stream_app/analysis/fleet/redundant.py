"""The redundant work of a fleet, from the indices of its pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest

from stream_app.analysis.fleet.snapshot import PipelineSnapshot
from stream_app.analysis.rates import MICROS
from stream_app.analysis.redundancy import Group, Row, how_to_get

#: Groups of executions that are listed.
GROUPS_MAX = 20


@dataclass(frozen=True, slots=True)
class RedundantWork:
    """The redundant work of one kind and operator: executions, node-seconds, money (None without a rate card)."""

    kind: str
    operator: str
    group: str
    #: What would save it.
    remedy: str
    executions: int
    node_seconds: float
    money: float | None
    #: The part of `node_seconds` of executions without a code version, which are taken to have the same code.
    assumed_node_seconds: float


@dataclass(frozen=True, slots=True)
class RedundantGroup:
    """Executions of a pipeline that repeat one, or that read the same spans."""

    pipeline: str
    work: RedundantWork
    code: str | None
    #: The execution that they repeat; None of an overlap.
    original: str | None
    #: Of their compute.
    share: float
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redundant:
    """The redundant work by kind and operator, and the largest groups, both the largest first."""

    by_operator: list[RedundantWork]
    largest: list[RedundantGroup]


def redundant_work(pipelines: Mapping[str, PipelineSnapshot], *, priced: bool) -> Redundant:
    """Adds up the redundant work of some pipelines.

    Parameters
    ----------
    pipelines
        What is known of each, by name.
    priced
        Whether there is a rate card.

    Returns
    -------
    Redundant
        The figures; kinds do not overlap.
    """
    sums: dict[tuple[str, str, str], Row] = {}
    groups: list[tuple[str, Group]] = []
    for name, snapshot in sorted(pipelines.items()):
        found = snapshot.redundancy
        for row in found.rows:
            key = row.kind, row.type, row.group
            sums[key] = added(sums[key], row) if key in sums else row
        groups.extend((name, group) for group in found.groups)
    largest = nsmallest(GROUPS_MAX, groups, key=lambda each: (-each[1].row.node_ms, each[0], each[1].examples))
    order = sorted(sums.values(), key=lambda row: (-row.node_ms, row.kind, row.type, row.group))
    return Redundant(
        [work_of(row, priced=priced) for row in order],
        [
            RedundantGroup(name, work_of(each.row, priced=priced), each.code, each.original, each.share, each.examples)
            for name, each in largest
        ],
    )


def added(one: Row, other: Row) -> Row:
    """The sums of two rows of the same kind and operator."""
    return Row(
        one.kind, one.type, one.group, one.executions + other.executions, one.node_ms + other.node_ms,
        one.micros + other.micros, one.unpriced_ms + other.unpriced_ms, one.assumed_ms + other.assumed_ms,
    )  # fmt: skip


def work_of(row: Row, *, priced: bool) -> RedundantWork:
    """A row in the units of figures."""
    money = row.micros / MICROS if priced else None
    remedy = how_to_get(row.kind, row.group)
    return RedundantWork(
        row.kind, row.type, row.group, remedy, row.executions, row.node_ms / 1000, money, row.assumed_ms / 1000
    )
