"""All figures of a replay, as one document: what `--json` prints, the summary says and the report draws.

Compute is in node-seconds, times are RFC 3339, shares are between 0 and 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.budgets import Tradeoff, tradeoff
from stream_app.analysis.findings import FindingsFigures
from stream_app.analysis.fleet_document import FleetDocument
from stream_app.analysis.intervals import Estimate, share
from stream_app.analysis.quality import StageFigures, stage_figures
from stream_app.analysis.rates import Price, Rates, mean_price, merged, money
from stream_app.analysis.summary import FindingLine, Summary, summarise, weeks_of
from stream_app.analysis.sums import PipelineSums, ReplayStatistics
from stream_app.analysis.waste import Compute, Money, Waste, compute_of, money_of, waste_of
from stream_app.core.detector import Detector
from stream_app.core.outputs import STAGES
from stream_app.core.state.ledger import Ledger
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.times import time_to_text

#: Pipelines and reasons listed as prunable.
_PRUNABLE, _REASONS = 12, 3


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Graphlets that came to one end; the cause says why one was not pushed."""

    outcome: str
    cause: str | None
    graphlets: int


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """Verdicts of one stage and decision; every revision counts."""

    stage: str
    decision: str
    verdicts: int


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Messages that were no events, by what was wrong with them."""

    reason: str
    messages: int


@dataclass(frozen=True, slots=True)
class FlagWord:
    """Flagged graphlets that went on by the word of a person, `keep` or `wrong`, by whether they were pushed."""

    word: str
    pushed: bool
    graphlets: int


@dataclass(frozen=True, slots=True)
class FlagTime:
    """Labelled graphlets whose first flag came with this share of the run's compute ahead: from `low` to `high`."""

    low: float
    high: float
    #: Not pushed, and pushed, in the end.
    wasted: int
    pushed: int
    #: Node-seconds spent after the flags on what was not pushed, and their money at the fleet's mean price, which is
    #: None without a rate card.
    ahead: float
    ahead_money: float | None = None


@dataclass(frozen=True, slots=True)
class PrunableReason:
    """A feature that spoke against a push, its value at the latest flag, and how many flagging verdicts named it."""

    feature: str
    value: float | None
    verdicts: int


@dataclass(frozen=True, slots=True)
class Prunable:
    """A pipeline with what the budget in force would have saved on it."""

    pipeline: str
    owner: str
    labelled: int
    flagged: int
    pushes: int
    pushes_flagged: int
    missed: Estimate
    #: Node-seconds.
    saved: float
    wasted: float
    reasons: list[PrunableReason]
    #: Money; None without a rate card.
    saved_money: float | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """What the learner learned: examples, fallbacks to the baseline, drifts seen, updates refused."""

    examples: int
    rollbacks: int
    drifts: int
    discarded: int


@dataclass(frozen=True, slots=True)
class Savings:
    """Node-seconds that prunes saved: expected when they were pruned, and verified by the holdout.

    The money of `estimated` is at the fleet's mean price; None without a rate card.
    """

    pruned: int
    held_out: int
    estimated: float
    verified: Estimate
    estimated_money: float | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner of pipelines, with what the list of owners says; "" where it says nothing."""

    owner: str
    team: str
    address: str
    pipelines: int


@dataclass(frozen=True, slots=True)
class Figures:
    """See the module."""

    events: int
    #: Events that touch only what was evicted.
    dropped: int
    #: Messages that are right but tell of no execution, such as an OpenLineage event about a dataset.
    ignored: int
    #: Parts of events that are not read, such as facets with NaN, which were dropped because they are malformed.
    parts_dropped: int
    dead_letters: list[DeadLetters]
    pipelines: int
    first: str | None
    last: str | None
    days: float
    mode: str
    budget: float
    rates: Rates
    outcomes: list[Outcomes]
    compute: Compute
    money: Money | None
    waste: Waste
    owners: list[Owner]
    verdicts: list[VerdictCount]
    tradeoff: Tradeoff
    stages: list[StageFigures]
    flag_times: list[FlagTime]
    prunable: list[Prunable]
    learning: Learning | None
    savings: Savings | None
    summary: Summary
    #: Whether the events say that they were simulated.
    simulated: bool = False
    #: What people said of flags.
    flag_words: Sequence[FlagWord] = ()
    #: The fleet, its pipelines, redundant work and findings; None where nobody asked for them.
    fleet: FleetDocument | None = None

    @property
    def findings(self) -> FindingsFigures | None:
        """The findings; None where nobody asked for them."""
        return None if self.fleet is None else self.fleet.findings


def figures(
    statistics: ReplayStatistics,
    detector: Detector,
    kept: Mapping[tuple[str, str], int],
    attribution: Attribution,
    seed: int,
    findings: Sequence[FindingLine] = (),
) -> Figures:
    """Computes all figures of a replay.

    Parameters
    ----------
    statistics
        What was collected from the outputs.
    detector
        The detector, with its ledgers and learner.
    kept
        (outcome, cause) to the number of graphlets that the detector still keeps.
    attribution
        Owners and prices, which have followed every event.
    seed, findings
        The seed of the resampling that gives the intervals, and a line for each finding.

    Returns
    -------
    Figures
        The figures.
    """
    ledgers = {name: detector.ledger(name) for name in sorted(detector.pipelines)}
    fleet = Ledger()
    for ledger in ledgers.values():
        fleet.merge(ledger)
    rates, first_ms, last_ms = attribution.rates, statistics.first_ms, statistics.last_ms
    priced = {name: attribution.ledgers(detector.pipelines[name]) for name in ledgers}
    owners = {name: attribution.owner(name) for name in ledgers}
    outcomes = statistics.evicted + Counter(kept)
    compute, cost = compute_of(fleet), money_of(ledgers, priced, rates)
    by_budget = tradeoff(statistics, ledgers, fleet, merged(priced) if rates.given else None, seed)
    savings = savings_of(statistics, merged(priced), rates)
    by_week = [attribution.ledgers_by_week(detector.pipelines[name]) for name in ledgers]
    trend = weeks_of(by_week, first_ms, last_ms, priced=rates.given)
    predicted = bool(statistics.verdicts or not outcomes)
    return Figures(
        events=statistics.events,
        dropped=detector.dropped,
        ignored=statistics.ignored,
        parts_dropped=statistics.parts_dropped,
        dead_letters=[DeadLetters(*each) for each in by_count(statistics.dead_letters)],
        pipelines=len(ledgers),
        first=time_to_text(first_ms) if first_ms is not None else None,
        last=time_to_text(last_ms) if last_ms is not None else None,
        days=((last_ms or 0) - (first_ms or 0)) / DAY_MS,
        mode=statistics.policy.mode,
        budget=statistics.policy.budget,
        rates=rates,
        outcomes=[Outcomes(kind, cause or None, count) for (kind, cause), count in sorted(outcomes.items())],
        compute=compute,
        money=cost,
        waste=waste_of(ledgers, priced, owners, fleet, rates),
        owners=owners_of(owners, attribution),
        verdicts=[VerdictCount(*key, count) for key, count in sorted(statistics.verdicts.items())],
        tradeoff=by_budget,
        stages=stages_of(statistics, seed),
        flag_times=flag_times(statistics, mean_price(merged(priced), rates.node_hour) if rates.given else None),
        prunable=prunable(statistics, ledgers, priced if rates.given else None, owners),
        learning=learning_of(statistics),
        savings=savings,
        flag_words=[FlagWord(*key, number) for key, number in sorted(statistics.words.items()) if number],
        summary=summarise(compute, cost, by_budget, trend, findings, predicted=predicted, enforced=savings is not None),
    )


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names with their counts, the commonest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def stages_of(statistics: ReplayStatistics, seed: int) -> list[StageFigures]:
    """The quality of every stage's predictions."""
    if statistics.learner is None:
        return []
    metrics = statistics.learner.metrics()
    pipelines = [statistics.pipelines[name] for name in sorted(statistics.pipelines)]
    return [stage_figures(metrics[stage], stage, pipelines, seed) for stage in STAGES]


def flag_times(statistics: ReplayStatistics, price: Price) -> list[FlagTime]:
    """When flags came, by tenths of the compute ahead; `price` of a node-hour is None without a rate card."""
    found, width = [], 1 / len(statistics.flag_time_bins)
    for index, each in enumerate(statistics.flag_time_bins):
        low, high = round(index * width, 3), round((index + 1) * width, 3)
        cost = None if price is None else each.ahead * 1000 / HOUR_MS * price
        found.append(FlagTime(low, high, each.wasted, each.pushed, each.ahead, cost))
    return found


def owners_of(owners: Mapping[str, str], attribution: Attribution) -> list[Owner]:
    """The owners by name, with their number of pipelines; pipelines without an owner are not among them."""
    found = []
    for name, pipelines in sorted(Counter(owners.values()).items()):
        contact = attribution.contact(name)
        if name:
            team, address = (contact.team, contact.address) if contact is not None else ("", "")
            found.append(Owner(name, team, address, pipelines))
    return found


def prunable(
    statistics: ReplayStatistics,
    ledgers: Mapping[str, Ledger],
    priced: Mapping[str, Mapping[Price, Ledger]] | None,
    owners: Mapping[str, str],
) -> list[Prunable]:
    """The pipelines on which the budget in force would have saved most; `priced` is None without a rate card."""
    active = statistics.policy.active
    saved = {name: ledger.saved.get(active, 0) for name, ledger in ledgers.items()}
    names = sorted((name for name in ledgers if saved[name]), key=lambda name: (-saved[name], name))
    found = []
    for name in names[:_PRUNABLE]:
        sums = statistics.pipelines.get(name) or PipelineSums()
        missed = sum(bits >> active & 1 for bits in sums.push_flags)
        reasons = sorted(sums.reasons.items(), key=lambda item: (-item[1].verdicts, item[0]))[:_REASONS]
        found.append(
            Prunable(
                pipeline=name,
                owner=owners[name],
                labelled=sums.labelled,
                flagged=sums.flagged,
                pushes=len(sums.push_flags),
                pushes_flagged=missed,
                missed=share(missed, len(sums.push_flags)),
                saved=saved[name] / 1000,
                wasted=ledgers[name].wasted / 1000,
                reasons=[PrunableReason(feature, each.value, each.verdicts) for feature, each in reasons],
                saved_money=None if priced is None else money(priced[name], lambda each: each.saved.get(active, 0)),
            )
        )
    return found


def learning_of(statistics: ReplayStatistics) -> Learning | None:
    """What the learner says of itself."""
    learner = statistics.learner
    if learner is None:
        return None
    return Learning(learner.records, learner.rollbacks, learner.drifts, learner.discarded)


def savings_of(statistics: ReplayStatistics, priced: Mapping[Price, Ledger], rates: Rates) -> Savings | None:
    """What prunes saved; None where nothing was pruned or held out."""
    if statistics.learner is None:
        return None
    saved = statistics.learner.savings.saved()
    if not saved.pruned:
        return None
    verified = Estimate(saved.verified, saved.low, saved.high)
    price = mean_price(priced, rates.node_hour) if rates.given else None
    estimated_money = None if price is None else saved.estimated * 1000 / HOUR_MS * price
    return Savings(saved.pruned, saved.held_out, saved.estimated, verified, estimated_money)
