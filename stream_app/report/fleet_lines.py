"""The figures of a fleet as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from stream_app.analysis.fleet.values import PipelineFigures, Totals, WeekFigures
from stream_app.analysis.fleet_document import FleetDocument
from stream_app.figures.findings_wording import advice, sentence
from stream_app.figures.fleet_wording import KINDS, REMEDIES, change, duration
from stream_app.figures.numbers import amount, count, node_hours, percent, plural

#: Pipelines, findings and rows of redundant work that are listed.
_LISTED = 10
_INTERVAL = "training_interval_seconds"


def summary_lines(found: FleetDocument) -> Iterator[str]:
    """What was trained, pushed and spent, and how the last whole week compares.

    Parameters
    ----------
    found
        The figures.

    Yields
    ------
    str
        A line.
    """
    fleet, currency = found.figures.fleet, found.figures.currency
    totals = fleet.totals
    yield (
        f"{plural(fleet.pipelines, 'pipeline')}, {plural(totals.runs or 0, 'run')}, "
        f"{plural(totals.graphlets, 'graphlet')}: {count(totals.pushed)} pushed"
        f"{_of_decided(totals)}, {count(totals.open)} open"
    )
    yield f"spent: {spent(totals.node_seconds, totals.money, currency)}"
    if totals.push_node_seconds is not None:
        yield (
            f"a deployed model costs {spent(totals.push_node_seconds, totals.push_money, currency)}, "
            "with the tries before it"
        )
    yield from _weeks(fleet.weeks)
    total = sum(each.node_seconds for each in found.redundant.by_operator)
    if total:
        yield f"redundant work: {node_hours(total)} node-hours at most"
    if found.findings.findings:
        cost = spent(found.findings.cost, found.findings.cost_money, currency)
        yield f"{plural(len(found.findings.findings), 'finding')}: {cost}"


def spent(node_seconds: float | None, money: float | None, currency: str | None) -> str:
    """Compute, and money where there is a rate card."""
    words = f"{node_hours(node_seconds or 0.0)} node-hours"
    return words if money is None else f"{words}, {amount(money)} {currency}"


def _of_decided(totals: Totals) -> str:
    return "" if totals.share_pushed is None else f" ({percent(totals.share_pushed)} of those decided)"


def _weeks(weeks: list[WeekFigures]) -> Iterator[str]:
    """The last whole week against the one before."""
    week = next((each for each in reversed(weeks) if each.whole), None)
    if week is None:
        return
    changed = [
        f"{name} {change(week.change[key])}"
        for key, name in (("graphlets", "graphlets"), ("pushed", "pushes"), ("node_seconds", "compute"))
        if key in week.change
    ]
    if changed:
        yield f"week of {week.start} against the week before: {', '.join(changed)}"


def finding_lines(found: FleetDocument) -> Iterator[str]:
    """The findings that cost most, each with what to do.

    Parameters
    ----------
    found
        The figures.

    Yields
    ------
    str
        A line.
    """
    for each in found.findings.findings[:_LISTED]:
        cost = f" ({node_hours(each.cost)} node-hours)" if each.cost else ""
        yield f"{each.pipeline}{cost}: {sentence(each)}"
        yield f"  {advice(each)}"
    if len(found.findings.findings) > _LISTED:
        yield f"and {count(len(found.findings.findings) - _LISTED)} more: --report or --json lists all"


def redundant_rows(found: FleetDocument) -> list[list[str]]:
    """The redundant work by kind and operator: what, executions, node-hours, what would save it."""
    return [
        [
            f"{each.operator}: {KINDS[each.kind]}",
            count(each.executions),
            node_hours(each.node_seconds),
            REMEDIES[each.remedy],
        ]
        for each in found.redundant.by_operator[:_LISTED]
    ]


PIPELINE_HEADS = ("pipeline", "owner", "trainings", "pushed", "node-hours", "a push costs", "trains every")


def pipeline_rows(found: FleetDocument) -> list[list[str]]:
    """The pipelines that spent most, as `PIPELINE_HEADS` has them."""
    return [_pipeline_row(each) for each in found.pipelines[:_LISTED]]


def _pipeline_row(found: PipelineFigures) -> list[str]:
    totals, interval = found.totals, found.totals.quantiles.get(_INTERVAL)
    return [
        found.pipeline,
        found.owner,
        count(totals.graphlets),
        "never" if not totals.pushed else count(totals.pushed),
        node_hours(totals.node_seconds or 0.0),
        "" if totals.push_node_seconds is None else f"{node_hours(totals.push_node_seconds)} node-hours",
        "" if interval is None else duration(interval.p50),
    ]
