"""Made-up records, for trials of sinks and of templates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagOutcome, FlagRecord, flag_id
from stream_app.alerts.records import FINDING_TYPES, AlertRecord, EventType
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.ids import finding_id
from stream_app.core.ladder import Step
from stream_app.core.outputs import Reason
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.found import EffectFigures
from stream_app.times import time_to_text

#: A time of records of which nobody sees it.
_EARLIER_MS = 1_767_225_600_000


def example_record(now_ms: int) -> FlagRecord:
    """A made-up record of a flag that is raised.

    Parameters
    ----------
    now_ms
        Its time in ms since 1970 UTC.
    """
    graphlet = FlaggedGraphlet(
        graphlet="example/train", trainer="train", job=None, stage="train", p_push=0.03, threshold=0.1, score=0.05,
        model="0", cost=7_200.0, cost_left=36_000.0, reasons=(Reason("baseline", 0.05, -0.9),),
        verdict="example/train#1",
    )  # fmt: skip
    return FlagRecord(
        flag=flag_id("example", "test", "example/train"), revision=1, change=Change.RAISED, pipeline="example",
        run="test", owner="", labels={"test": "true"}, graphlets=(graphlet,), mode="observe", budget=0.05,
        raised_ms=now_ms, time_ms=now_ms,
    )  # fmt: skip


def example_finding(now_ms: int) -> FindingRecord:
    """A made-up record of a finding that is raised.

    Parameters
    ----------
    now_ms
        Its time in ms since 1970 UTC.
    """
    since, last = time_to_text(now_ms - 20 * DAY_MS), time_to_text(now_ms)
    effect = EffectFigures(
        skipped=20, saved=36_000.0, saved_money=20.0, saved_a_month=54_000.0, pushes=10, lost=0, delayed=2,
        delay_median=7_200.0, delay_worst=10_800.0,
    )  # fmt: skip
    return FindingRecord(
        finding=finding_id("example", "trains_too_often"), revision=1, change=Change.RAISED, kind="trains_too_often",
        pipeline="example", owner="", labels={"test": "true"}, since=since, last=last, trainings=30, count=20,
        graphlets=("example/train",), cost=36_000.0, cost_money=20.0, cost_a_month=54_000.0, act="train_every",
        parameter=3, effect=effect, raised_ms=now_ms, time_ms=now_ms,
    )  # fmt: skip


def example_of(types: Collection[EventType], now_ms: int) -> AlertRecord:
    """A made-up record for a subscription: a finding where it asks for nothing else, otherwise a flag.

    Parameters
    ----------
    types
        What it asks for.
    now_ms
        Its time in ms since 1970 UTC.
    """
    return example_finding(now_ms) if set(types) <= set(FINDING_TYPES) else example_record(now_ms)


def example_records() -> Iterator[tuple[str, AlertRecord]]:
    """Records of every change and every outcome, each with all that a record can have and with next to nothing.

    Returns
    -------
    iterator of tuple
        What it is, in words, and the record.
    """
    raised = example_record(_EARLIER_MS)
    changes = [
        ("raised", raised),
        ("revised", replace(raised, revision=2, change=Change.REVISED)),
        ("reminded", replace(_climbing(raised), revision=2, change=Change.REMINDED)),
        ("due", replace(_climbing(raised), revision=3, change=Change.DUE)),
        ("withdrawn", replace(raised, revision=2, change=Change.WITHDRAWN, cause="recovered")),
    ]
    for outcome in FlagOutcome:
        cause = "run_ended" if outcome is FlagOutcome.NOT_PUSHED else None
        ended = replace(raised, revision=2, change=Change.RESOLVED, outcome=outcome, cause=cause)
        changes.append((f"resolved: {outcome.value}", ended))
    for name, record in changes:
        yield f"a flag that is {name}", replace(record, owner="ann")
        (graphlet,) = record.graphlets
        bare = replace(graphlet, trainer=None, threshold=None, reasons=())
        yield (
            f"a flag that is {name}, of a training without run, owner and reasons",
            replace(record, flag=graphlet.graphlet, run=None, labels={}, graphlets=(bare,)),
        )
    found = replace(example_finding(_EARLIER_MS), owner="ann")
    for number, change in enumerate((Change.RAISED, Change.REVISED, Change.RESOLVED), 1):
        changed = replace(found, revision=number, change=change)
        yield f"a finding that is {change.value}", changed
        yield (
            f"a finding that is {change.value}, without owner, price and cost",
            replace(
                changed, owner="", labels={}, kind="silent", cost=0.0, cost_money=None, cost_a_month=0.0, act="look"
            ),
        )


def _climbing(raised: FlagRecord) -> FlagRecord:
    """The flag as one whose run is stopped two hours after it was raised."""
    start_ms = raised.raised_ms
    graphlets = (
        replace(
            each,
            ladder=str(Step.ACT),
            warn_again_ms=start_ms + HOUR_MS,
            stop_ms=start_ms + 2 * HOUR_MS,
            exempt_hours="22:00-06:00 Europe/Berlin",
        )
        for each in raised.graphlets
    )
    return replace(raised, mode=ENFORCE, graphlets=tuple(graphlets), time_ms=start_ms + HOUR_MS)
