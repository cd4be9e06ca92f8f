"""Made-up records, for trials of sinks and of templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagOutcome, FlagRecord, flag_id
from stream_app.core.outputs import Reason

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


def example_records() -> Iterator[tuple[str, FlagRecord]]:
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
        ("withdrawn", replace(raised, revision=2, change=Change.WITHDRAWN, cause="recovered")),
    ]
    for outcome in FlagOutcome:
        cause = "run_ended" if outcome is FlagOutcome.NOT_PUSHED else None
        ended = replace(raised, revision=2, change=Change.RESOLVED, outcome=outcome, cause=cause)
        changes.append((f"resolved: {outcome.value}", ended))
    (graphlet,) = raised.graphlets
    for name, record in changes:
        yield f"a flag that is {name}", replace(record, owner="ann")
        bare = replace(graphlet, trainer=None, threshold=None, reasons=())
        yield (
            f"a flag that is {name}, of a training without run, owner and reasons",
            replace(record, flag=graphlet.graphlet, run=None, labels={}, graphlets=(bare,)),
        )
