"""Where the compute went: useful, wasted, by pipeline, owner, operator group and cause. Sums, not estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_app.core.state.ledger import Ledger

#: Rows of a table; what comes after is summed up in one.
ROWS = 15
REST = ""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate card: money for a node-hour, None where nobody said; the currency by ISO 4217."""

    node_hour: float | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Compute:
    """The ledger in node-seconds; `avoided` was never spent, hence an estimate."""

    useful: float
    wasted: float
    pending: float
    unattributed: float
    total: float
    avoided: float


@dataclass(frozen=True, slots=True)
class Money:
    """The same in the rate card's currency."""

    currency: str
    useful: float
    wasted: float
    pending: float
    unattributed: float
    total: float
    avoided: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the waste; an empty name stands for all the rest, or for what has no name."""

    name: str
    #: Node-seconds wasted, and all compute of the same name (None where it is not told apart).
    wasted: float
    total: float | None
    #: Of the fleet's waste.
    share: float
    #: How many names are summed up here.
    names: int = 1


@dataclass(frozen=True, slots=True)
class GroupCause:
    """The waste of one operator group for one cause, in node-seconds."""

    group: str
    cause: str
    wasted: float


@dataclass(frozen=True, slots=True)
class Waste:
    """The waste, four ways; each adds up to all of it."""

    by_pipeline: list[Part]
    by_owner: list[Part]
    by_group: list[Part]
    by_cause: list[Part]
    by_group_and_cause: list[GroupCause]


def compute_of(ledger: Ledger) -> Compute:
    """A ledger in node-seconds."""
    return Compute(
        useful=ledger.useful / 1000,
        wasted=ledger.wasted / 1000,
        pending=ledger.pending / 1000,
        unattributed=ledger.unattributed / 1000,
        total=ledger.total() / 1000,
        avoided=ledger.avoided / 1000,
    )


def money_of(compute: Compute, rates: Rates) -> Money | None:
    """What it cost, or None without a rate card."""
    rate = rates.node_hour
    if rate is None:
        return None
    return Money(
        currency=rates.currency,
        useful=compute.useful / 3600 * rate,
        wasted=compute.wasted / 3600 * rate,
        pending=compute.pending / 3600 * rate,
        unattributed=compute.unattributed / 3600 * rate,
        total=compute.total / 3600 * rate,
        avoided=compute.avoided / 3600 * rate,
    )


def waste_of(ledgers: Mapping[str, Ledger], owners: Mapping[str, str], fleet: Ledger) -> Waste:
    """The waste of a fleet.

    Parameters
    ----------
    ledgers
        Pipeline -> its ledger.
    owners
        Pipeline -> its owner, where one was told.
    fleet
        All ledgers merged.
    """
    pipelines = [(name, ledger.wasted, ledger.total()) for name, ledger in ledgers.items()]
    of_owner: dict[str, tuple[int, int]] = {}
    for name, wasted, total in pipelines:
        owner = owners.get(name, "")
        before = of_owner.get(owner, (0, 0))
        of_owner[owner] = (before[0] + wasted, before[1] + total)
    groups: dict[str, int] = {}
    causes: dict[str, int] = {}
    for (group, cause), amount in fleet.wasted_by.items():
        groups[group] = groups.get(group, 0) + amount
        causes[cause] = causes.get(cause, 0) + amount
    both = [GroupCause(group, cause, amount / 1000) for (group, cause), amount in fleet.wasted_by.items()]
    return Waste(
        by_pipeline=parts(pipelines, fleet.wasted),
        by_owner=parts([(owner, *sums) for owner, sums in of_owner.items()], fleet.wasted),
        by_group=parts([(group, amount, None) for group, amount in groups.items()], fleet.wasted),
        by_cause=parts([(cause, amount, None) for cause, amount in causes.items()], fleet.wasted),
        by_group_and_cause=sorted(both, key=lambda each: (-each.wasted, each.group, each.cause)),
    )


def parts(named: Iterable[tuple[str, int, int | None]], all_wasted: int) -> list[Part]:
    """Parts of the waste, the largest first, from (name, wasted, total) in node-ms; the small ones in one row."""
    rows = sorted((row for row in named if row[1]), key=lambda row: (-row[1], row[0]))
    found = [part(name, wasted, total, all_wasted) for name, wasted, total in rows[:ROWS]]
    rest = rows[ROWS:]
    if rest:
        wasted = sum(row[1] for row in rest)
        total = None if rest[0][2] is None else sum(row[2] or 0 for row in rest)
        found.append(part(REST, wasted, total, all_wasted, len(rest)))
    return found


def part(name: str, wasted: int, total: int | None, all_wasted: int, names: int = 1) -> Part:
    """A part with its share."""
    return Part(name, wasted / 1000, None if total is None else total / 1000, wasted / all_wasted, names)
