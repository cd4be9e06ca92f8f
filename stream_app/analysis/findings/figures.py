"""Findings as the figures of a replay have them: node-seconds, RFC 3339 times, money in the rate card's currency."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stream_app.analysis.findings.values import ActKind, Effect, Finding, Kind
from stream_app.analysis.rates import MICROS
from stream_app.found import EffectFigures
from stream_app.times import time_to_text


@dataclass(frozen=True, slots=True)
class FindingFigures:
    """See `Finding`: node-seconds and money; money is None without a rate card."""

    id: str
    revision: int
    kind: Kind
    pipeline: str
    owner: str
    since: str
    last: str
    trainings: int
    count: int
    graphlets: tuple[str, ...]
    cost: float
    cost_money: float | None
    cost_a_month: float
    counted: int
    counted_cost: float
    counted_money: float | None
    act: ActKind
    parameter: int | None
    effect: EffectFigures


@dataclass(frozen=True, slots=True)
class FindingsFigures:
    """All findings, and what they cost together, each graphlet counted once."""

    graphlets: int
    cost: float
    cost_money: float | None
    findings: list[FindingFigures]


def figures_of_findings(
    findings: Iterable[Finding], owner_of: Callable[[str], str], *, priced: bool
) -> FindingsFigures:
    """Makes the figures of findings.

    Parameters
    ----------
    findings
        In the order in which they are listed.
    owner_of
        The owner of a pipeline; "" where it is not known.
    priced
        Whether there is a rate card.

    Returns
    -------
    FindingsFigures
        The figures.
    """
    found = list(findings)
    return FindingsFigures(
        graphlets=sum(each.counted for each in found),
        cost=sum(each.counted_node_ms for each in found) / 1000,
        cost_money=sum(each.counted_micros for each in found) / MICROS if priced else None,
        findings=[_figures(each, owner_of(each.pipeline), priced=priced) for each in found],
    )


def _figures(finding: Finding, owner: str, *, priced: bool) -> FindingFigures:
    return FindingFigures(
        id=finding.id,
        revision=finding.revision,
        kind=finding.kind,
        pipeline=finding.pipeline,
        owner=owner,
        since=time_to_text(finding.since_ms),
        last=time_to_text(finding.last_ms),
        trainings=finding.trainings,
        count=finding.count,
        graphlets=finding.graphlets,
        cost=finding.node_ms / 1000,
        cost_money=finding.micros / MICROS if priced else None,
        cost_a_month=finding.month_node_ms / 1000,
        counted=finding.counted,
        counted_cost=finding.counted_node_ms / 1000,
        counted_money=finding.counted_micros / MICROS if priced else None,
        act=finding.act.kind,
        parameter=finding.act.parameter,
        effect=_effect(finding.effect, priced=priced),
    )


def _effect(effect: Effect, *, priced: bool) -> EffectFigures:
    return EffectFigures(
        skipped=effect.skipped,
        saved=effect.node_ms / 1000,
        saved_money=effect.micros / MICROS if priced else None,
        saved_a_month=effect.month_node_ms / 1000,
        pushes=effect.pushes,
        lost=effect.lost,
        delayed=effect.delayed,
        delay_median=None if effect.delay_median_ms is None else effect.delay_median_ms / 1000,
        delay_worst=None if effect.delay_worst_ms is None else effect.delay_worst_ms / 1000,
    )
