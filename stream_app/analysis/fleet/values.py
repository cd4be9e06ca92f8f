"""The figures of a fleet, as people and programs read them: of everything, by owner, model type, pipeline and week.

Compute is in node-seconds, durations in seconds, money in the rate card's currency (None without one), shares between
0 and 1. docs/analysis.md defines each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a measure: how many values there are, and the values below which 10, 50 and 90 % of them are."""

    count: int
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class OperatorFigures:
    """The executions of an operator, and those that ended FAILED."""

    operator: str
    executions: int
    failed: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of some pipelines over some time."""

    #: Runs; None of a model type, as all figures of executions are: a run may train models of several types.
    runs: int | None
    #: Graphlets by outcome.
    graphlets: int
    pushed: int
    not_pushed: int
    pruned: int
    unknown: int
    open: int
    #: Of those that were pushed or not; None where there are none.
    share_pushed: float | None
    #: Why graphlets were not pushed.
    causes: Mapping[str, int]
    #: Compute, that of executions in no graphlet, and money.
    node_seconds: float | None
    alone_node_seconds: float | None
    money: float | None
    node_seconds_by_group: Mapping[str, float]
    operators: list[OperatorFigures]
    #: The share of graphlets with an analysis of their data, a validation, a tuner, and a warm start.
    use: Mapping[str, float]
    #: What an average push cost, failed tries included; None where there was no push.
    push_node_seconds: float | None
    push_money: float | None
    #: Of graphlets with one before them: the share with the same code (where both report it), the same operators.
    same_code: float | None
    same_operators: float | None
    quantiles: Mapping[str, Quantiles]


@dataclass(frozen=True, slots=True)
class WeekFigures:
    """A week: the figures that are compared from week to week, and their change in shares of the week before."""

    #: The Monday, and whether the events cover the week from its beginning to its end.
    start: str
    whole: bool
    runs: int | None
    graphlets: int
    pushed: int
    share_pushed: float | None
    node_seconds: float | None
    money: float | None
    push_node_seconds: float | None
    #: Days on which an execution started.
    active_days: int
    #: Figure -> change against the week before, where both are whole; what was 0 then, or has no value, has none.
    change: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The figures of a group of pipelines: the fleet, an owner, or of a model type."""

    name: str
    pipelines: int
    totals: Totals
    weeks: list[WeekFigures]


@dataclass(frozen=True, slots=True)
class PipelineFigures:
    """The figures of one pipeline."""

    pipeline: str
    owner: str
    #: Its first and its last report; and days from the first to now by its clock, and to the last.
    first: str | None
    last: str | None
    age_days: float
    lifespan_days: float
    #: Over its lifespan, of a day at least.
    runs_a_day: float
    trainings_a_day: float
    model_types: Mapping[str, int]
    #: Spent since its last push.
    since_push_node_seconds: float
    since_push_money: float | None
    since_push_graphlets: int
    totals: Totals
    weeks: list[WeekFigures]


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """The figures of a fleet."""

    currency: str | None
    fleet: GroupFigures
    by_owner: list[GroupFigures]
    by_model_type: list[GroupFigures]
