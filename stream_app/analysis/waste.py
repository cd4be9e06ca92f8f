"""Where the compute went: useful, wasted, by pipeline, owner, operator group and cause. Sums, not estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_app.analysis.rates import Price, Rates, mean_price, merged, money
from stream_app.core.state.ledger import Ledger
from stream_app.core.units import HOUR_MS

#: Rows of a table; what comes after is summed up in one.
ROWS = 15
REST = ""


@dataclass(frozen=True, slots=True)
class Compute:
    """The ledger in node-seconds; `avoided` was never spent, hence an estimate."""

    useful: float
    wasted: float
    pending: float
    unattributed: float
    unknown: float
    total: float
    avoided: float


@dataclass(frozen=True, slots=True)
class Money:
    """The same in the rate card's currency, and the node-seconds that have no price and are not in these amounts.

    `avoided` has the mean price of its pipeline, since it was never used.
    """

    currency: str
    unpriced: float
    useful: float
    wasted: float
    pending: float
    unattributed: float
    unknown: float
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
    #: What the waste cost; None without a rate card.
    wasted_money: float | None = None
    #: How many names are summed up here.
    names: int = 1


@dataclass(frozen=True, slots=True)
class GroupCause:
    """The waste of one operator group for one cause, in node-seconds and in money, None without a rate card."""

    group: str
    cause: str
    wasted: float
    wasted_money: float | None = None


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
        unknown=ledger.unknown / 1000,
        total=ledger.total() / 1000,
        avoided=ledger.avoided / 1000,
    )


def money_of(ledgers: Mapping[str, Ledger], priced: Mapping[str, Mapping[Price, Ledger]], rates: Rates) -> Money | None:
    """What the compute of a fleet cost.

    Parameters
    ----------
    ledgers
        Pipeline to its ledger.
    priced
        Pipeline to its ledgers by price.
    rates
        The rate card.

    Returns
    -------
    Money or None
        None without a rate card.
    """
    if not rates.given:
        return None
    fleet = merged(priced)
    avoided = [
        ledger.avoided / HOUR_MS * mean_price(priced[name], rates.node_hour)
        for name, ledger in ledgers.items()
        if ledger.avoided
    ]
    return Money(
        currency=rates.currency,
        unpriced=fleet[None].total() / 1000 if None in fleet else 0.0,
        useful=money(fleet, lambda ledger: ledger.useful),
        wasted=money(fleet, lambda ledger: ledger.wasted),
        pending=money(fleet, lambda ledger: ledger.pending),
        unattributed=money(fleet, lambda ledger: ledger.unattributed),
        unknown=money(fleet, lambda ledger: ledger.unknown),
        total=money(fleet, Ledger.total),
        avoided=sum(avoided),
    )


#: A name with node-ms wasted, all node-ms (None where they are not told apart), and the money wasted.
_Row = tuple[str, int, int | None, float | None]


def waste_of(
    ledgers: Mapping[str, Ledger],
    priced: Mapping[str, Mapping[Price, Ledger]],
    owners: Mapping[str, str],
    fleet: Ledger,
    rates: Rates,
) -> Waste:
    """The waste of a fleet.

    Parameters
    ----------
    ledgers
        Pipeline to its ledger.
    priced
        Pipeline to its ledgers by price.
    owners
        Pipeline to its owner, where one is known.
    fleet
        All ledgers merged.
    rates
        The rate card.

    Returns
    -------
    Waste
        The largest parts, each with its money if there is a rate card.
    """
    given = rates.given
    pipelines: list[_Row] = [
        (name, ledger.wasted, ledger.total(), money(priced[name], lambda each: each.wasted) if given else None)
        for name, ledger in ledgers.items()
    ]
    of_fleet = merged(priced)
    cells: list[tuple[tuple[str, str], _Row]] = [
        (key, ("", amount, None, _money_of_cell(of_fleet, key) if given else None))
        for key, amount in fleet.wasted_by.items()
    ]
    both = [GroupCause(*key, amount / 1000, cost) for key, (_, amount, _, cost) in cells]
    return Waste(
        by_pipeline=parts(pipelines, fleet.wasted),
        by_owner=parts(summed((owners.get(row[0], ""), *row[1:]) for row in pipelines), fleet.wasted),
        by_group=parts(summed((key[0], *row[1:]) for key, row in cells), fleet.wasted),
        by_cause=parts(summed((key[1], *row[1:]) for key, row in cells), fleet.wasted),
        by_group_and_cause=sorted(both, key=lambda each: (-each.wasted, each.group, each.cause)),
    )


def _money_of_cell(priced: Mapping[Price, Ledger], key: tuple[str, str]) -> float:
    return money(priced, lambda ledger: ledger.wasted_by.get(key, 0))


def summed(rows: Iterable[_Row]) -> list[_Row]:
    """Adds up the rows of each name."""
    found: dict[str, _Row] = {}
    for name, wasted, total, cost in rows:
        if name in found:
            _, wasted_before, total_before, cost_before = found[name]
            wasted += wasted_before
            total = None if total is None or total_before is None else total + total_before
            cost = None if cost is None or cost_before is None else cost + cost_before
        found[name] = (name, wasted, total, cost)
    return list(found.values())


def parts(named: Iterable[_Row], all_wasted: int) -> list[Part]:
    """Parts of the waste, the largest first; the small ones in one row."""
    rows = sorted((row for row in named if row[1]), key=lambda row: (-row[1], row[0]))
    # One row for one name has room for the name.
    listed = ROWS if len(rows) > ROWS + 1 else ROWS + 1
    found = [part(row, all_wasted) for row in rows[:listed]]
    rest = rows[listed:]
    if rest:
        (row,) = summed((REST, *each[1:]) for each in rest)
        found.append(part(row, all_wasted, len(rest)))
    return found


def part(row: _Row, all_wasted: int, names: int = 1) -> Part:
    """A part with its share."""
    name, wasted, total, cost = row
    share = wasted / all_wasted
    return Part(name, wasted / 1000, None if total is None else total / 1000, share, cost, names)
