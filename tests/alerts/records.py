"""Records of flags and findings for tests."""

from __future__ import annotations

from dataclasses import replace

from stream_app.alerts.examples import example_finding
from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagOutcome, FlagRecord
from stream_app.core.ids import finding_id
from stream_app.core.outputs import Reason

NOW = 1_780_000_000_000


def record(revision: int = 1, change: Change = Change.RAISED, flag: str = "p/run:r1", **changes: object) -> FlagRecord:
    """A record of a flag of pipeline p."""
    graphlet = FlaggedGraphlet(
        graphlet=f"{flag}-t",
        trainer="t",
        job=None,
        stage="train",
        p_push=0.02,
        threshold=0.1,
        score=0.02,
        model="1",
        cost=3_600.0,
        cost_left=36_000.0,
        reasons=(Reason("runs_since_push", 3.0, -0.5),),
        verdict="p/t#1",
    )
    made = FlagRecord(
        flag=flag,
        revision=revision,
        change=change,
        pipeline="p",
        run=flag.partition("run:")[2] or None,
        owner="ann",
        labels={"team": "ads"},
        graphlets=(graphlet,),
        mode="observe",
        budget=0.05,
        raised_ms=NOW,
        time_ms=NOW,
        outcome=FlagOutcome.NOT_PUSHED if change is Change.RESOLVED else None,
        cause={Change.WITHDRAWN: "recovered", Change.RESOLVED: "run_ended"}.get(change),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def finding(revision: int = 1, change: Change = Change.RAISED, pipeline: str = "p", **changes: object) -> FindingRecord:
    """A record of a finding of pipeline p, which trains too often."""
    made = replace(
        example_finding(NOW),
        finding=finding_id(pipeline, "trains_too_often"),
        revision=revision,
        change=change,
        pipeline=pipeline,
        owner="ann",
        labels={"team": "ads"},
        graphlets=tuple(f"{pipeline}/t{number}" for number in range(3, 8)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]
