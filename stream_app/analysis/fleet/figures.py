"""Makes the figures of a fleet: of everything, by owner, model type, pipeline and week (docs/analysis.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import itemgetter

from stream_app.analysis.fleet.cells import Cell, merged, named
from stream_app.analysis.fleet.contributions import PER_MILLE
from stream_app.analysis.fleet.sketch import quantile
from stream_app.analysis.fleet.snapshot import PipelineSnapshot
from stream_app.analysis.fleet.values import (
    FleetFigures,
    GroupFigures,
    OperatorFigures,
    PipelineFigures,
    Quantiles,
    Totals,
    WeekFigures,
)
from stream_app.analysis.rates import MICROS, week_of_time, week_start_ms
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, PUSHED, UNKNOWN
from stream_app.core.units import DAY_MS
from stream_app.times import time_to_text

#: Weeks that are listed, up to the newest.
WEEKS_MAX = 26
#: Operators that are listed, those with the most executions; the rest are one.
OPERATORS_MAX = 40
REST = "other"
_SHARES = (0.1, 0.5, 0.9)


def totals_of(cell: Cell, *, priced: bool, of_type: bool = False) -> Totals:
    """The figures of a cell.

    Parameters
    ----------
    cell
        Sums over the time.
    priced
        Whether there is a rate card.
    of_type
        Whether it has the graphlets of one model type alone.

    Returns
    -------
    Totals
        The figures.
    """
    counters = cell.counters
    outcomes, use = named(counters, "outcome"), named(counters, "with")
    graphlets, pushed, not_pushed = sum(outcomes.values()), outcomes.get(PUSHED, 0), outcomes.get(NOT_PUSHED, 0)
    by_group = named(counters, "node_ms")
    return Totals(
        runs=None if of_type else counters.get("runs", 0),
        graphlets=graphlets,
        pushed=pushed,
        not_pushed=not_pushed,
        pruned=outcomes.get(PRUNED, 0),
        unknown=outcomes.get(UNKNOWN, 0),
        open=outcomes.get(OPEN, 0),
        share_pushed=ratio(pushed, pushed + not_pushed),
        causes=named(counters, "cause"),
        node_seconds=None if of_type else sum(by_group.values()) / 1000,
        alone_node_seconds=None if of_type else counters.get("alone_ms", 0) / 1000,
        money=counters.get("micros", 0) / MICROS if priced and not of_type else None,
        node_seconds_by_group={name: amount / 1000 for name, amount in by_group.items()},
        operators=operators_of(counters),
        use={name: use.get(name, 0) / graphlets for name in ("analysis", "validation", "tuning", "warm_start")}
        if graphlets
        else {},
        push_node_seconds=ratio(counters.get("push_ms", 0) / 1000, pushed),
        push_money=ratio(counters.get("push_micros", 0) / MICROS, pushed) if priced else None,
        same_code=ratio(counters.get("same_code", 0), counters.get("pairs_with_code", 0)),
        same_operators=ratio(counters.get("same_operators", 0), counters.get("pairs", 0)),
        quantiles=quantiles_of(cell),
    )


def ratio(part: float, whole: float) -> float | None:
    """A share or a mean; None of nothing."""
    return part / whole if whole else None


def operators_of(counters: Mapping[str, int]) -> list[OperatorFigures]:
    """The operators with the most executions, and the rest as one."""
    executions, failed = named(counters, "executions"), named(counters, "failed")
    order = sorted(executions, key=lambda name: (-executions[name], name))
    found = [OperatorFigures(name, executions[name], failed.get(name, 0)) for name in order[:OPERATORS_MAX]]
    rest = order[OPERATORS_MAX:]
    if rest:
        found.append(OperatorFigures(REST, sum(map(executions.__getitem__, rest)), sum(failed.get(n, 0) for n in rest)))
    return found


def quantiles_of(cell: Cell) -> dict[str, Quantiles]:
    """The quantiles of every measure; those of times in seconds, of compute in node-seconds."""
    found = {}
    for measure, buckets in sorted(cell.measures.items()):
        values = [in_units(measure, quantile(buckets, share) or 0.0) for share in _SHARES]
        name = measure.replace("node_ms", "node_seconds").replace("_ms", "_seconds")
        found[name] = Quantiles(sum(buckets.values()), *values)
    return found


def in_units(measure: str, value: float) -> float:
    """A quantile of a measure in the units of figures: seconds, a share, or a whole number."""
    if "_ms" in measure:
        return value / 1000
    return min(1.0, round(value) / PER_MILLE) if measure == "overlap" else round(value)


def weeks_of(
    cells: Mapping[int, Cell], period: tuple[int, int], *, priced: bool, of_type: bool = False
) -> list[WeekFigures]:
    """The weeks up to the one in which the events end, without gaps, each with its change.

    Parameters
    ----------
    cells
        Number of the week to its sums.
    period
        From when to when there are events, in ms since 1970 UTC.
    priced, of_type
        As of `totals_of`.

    Returns
    -------
    list of WeekFigures
        At most `WEEKS_MAX`.
    """
    last = week_of_time(period[1])
    listed = [number for number in cells if last - WEEKS_MAX < number <= last]
    if not listed:
        return []
    first = min(listed)
    found: list[WeekFigures] = []
    for number in range(first, last + 1):
        whole = period[0] <= week_start_ms(number) and week_start_ms(number + 1) <= period[1]
        week = week_figures(number, cells.get(number, Cell()), whole=whole, priced=priced, of_type=of_type)
        if found and whole and found[-1].whole:
            week = replace(week, change=changes(found[-1], week))
        found.append(week)
    return found


def week_figures(number: int, cell: Cell, *, whole: bool, priced: bool, of_type: bool) -> WeekFigures:
    """The figures of a week, without its change."""
    counters = cell.counters
    outcomes = named(counters, "outcome")
    pushed, not_pushed = outcomes.get(PUSHED, 0), outcomes.get(NOT_PUSHED, 0)
    return WeekFigures(
        start=time_to_text(week_start_ms(number))[:10],
        whole=whole,
        runs=None if of_type else counters.get("runs", 0),
        graphlets=sum(outcomes.values()),
        pushed=pushed,
        share_pushed=ratio(pushed, pushed + not_pushed),
        node_seconds=None if of_type else sum(named(counters, "node_ms").values()) / 1000,
        money=counters.get("micros", 0) / MICROS if priced and not of_type else None,
        push_node_seconds=ratio(counters.get("push_ms", 0) / 1000, pushed),
        active_days=len(named(counters, "active")),
        change={},
    )


def changes(before: WeekFigures, now: WeekFigures) -> dict[str, float]:
    """Figure -> its change, as a share of what it was."""
    found = {}
    for name in ("runs", "graphlets", "pushed", "share_pushed", "node_seconds", "money", "push_node_seconds"):
        old, new = getattr(before, name), getattr(now, name)
        if old and new is not None:
            found[name] = new / old - 1
    return found


def by_week(cells: Iterable[tuple[int, Cell]]) -> dict[int, Cell]:
    """Week -> all of its cells as one."""
    found: dict[int, Cell] = {}
    for week, cell in cells:
        found.setdefault(week, Cell()).merge(cell)
    return found


def pipeline_figures(snapshot: PipelineSnapshot, owner: str, *, priced: bool) -> PipelineFigures:
    """The figures of one pipeline.

    Parameters
    ----------
    snapshot
        What is known of it.
    owner
        Its owner; "" where none is known.
    priced
        Whether there is a rate card.

    Returns
    -------
    PipelineFigures
        The figures.
    """
    cells = snapshot.cells
    totals = totals_of(merged(cells.values()), priced=priced)
    first_ms, last_ms, now_ms = snapshot.first_ms, snapshot.last_ms, snapshot.now_ms
    # A report of a clock that is far ahead, which the pipeline's does not follow, does not make it live longer.
    lifespan_ms = 0 if first_ms is None or last_ms is None else min(last_ms, max(first_ms, now_ms)) - first_ms
    days = max(1.0, lifespan_ms / DAY_MS)
    types: dict[str, int] = {}
    for (_, model_type), cell in sorted(cells.items(), key=itemgetter(0)):
        graphlets = sum(named(cell.counters, "outcome").values())
        if graphlets:
            types[model_type] = types.get(model_type, 0) + graphlets
    since = snapshot.since
    return PipelineFigures(
        pipeline=snapshot.name,
        owner=owner,
        first=None if first_ms is None else time_to_text(first_ms),
        last=None if last_ms is None else time_to_text(last_ms),
        age_days=0.0 if first_ms is None else max(0, now_ms - first_ms) / DAY_MS,
        lifespan_days=lifespan_ms / DAY_MS,
        runs_a_day=(totals.runs or 0) / days,
        trainings_a_day=totals.graphlets / days,
        model_types=types,
        since_push_node_seconds=since.node_ms / 1000,
        since_push_money=since.micros / MICROS if priced else None,
        since_push_graphlets=since.tries,
        totals=totals,
        weeks=weeks_of(
            by_week((week, cell) for (week, _), cell in cells.items()),
            (first_ms or 0, now_ms),
            priced=priced,
        ),
    )


def fleet_figures(
    pipelines: Mapping[str, PipelineSnapshot], owner_of: Callable[[str], str], currency: str | None
) -> FleetFigures:
    """The figures of a fleet.

    Parameters
    ----------
    pipelines
        What is known of each pipeline, by name.
    owner_of
        The owner of a pipeline.
    currency
        Of the rate card; None without one.

    Returns
    -------
    FleetFigures
        The figures. What is of no model type is not in those by model type.
    """
    priced = currency is not None
    period = (
        min((each.first_ms for each in pipelines.values() if each.first_ms is not None), default=0),
        max((each.now_ms for each in pipelines.values()), default=0),
    )
    everything: list[tuple[int, Cell]] = []
    owners: dict[str, list[tuple[int, Cell]]] = {}
    types: dict[str, list[tuple[int, Cell]]] = {}
    of_owner: dict[str, set[str]] = {}
    of_type: dict[str, set[str]] = {}
    for name, snapshot in pipelines.items():
        owner = owner_of(name)
        of_owner.setdefault(owner, set()).add(name)
        for (week, model_type), cell in snapshot.cells.items():
            everything.append((week, cell))
            owners.setdefault(owner, []).append((week, cell))
            if model_type:
                types.setdefault(model_type, []).append((week, cell))
                of_type.setdefault(model_type, set()).add(name)
    return FleetFigures(
        currency=currency,
        fleet=group("", len(pipelines), everything, period, priced=priced),
        by_owner=[
            group(name, len(of_owner[name]), owners.get(name, []), period, priced=priced) for name in sorted(of_owner)
        ],
        by_model_type=[
            group(name, len(of_type[name]), types[name], period, priced=priced, of_type=True) for name in sorted(types)
        ],
    )


def group(
    name: str,
    pipelines: int,
    cells: list[tuple[int, Cell]],
    period: tuple[int, int],
    *,
    priced: bool,
    of_type: bool = False,
) -> GroupFigures:
    """The figures of a group of pipelines."""
    weeks = by_week(cells)
    totals = totals_of(merged(weeks.values()), priced=priced, of_type=of_type)
    return GroupFigures(name, pipelines, totals, weeks_of(weeks, period, priced=priced, of_type=of_type))
