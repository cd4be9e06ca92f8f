"""A keep tag, wherever in the run it stands and however it is spelt."""

from __future__ import annotations

from stream_app.core.detector import Detector, Settings
from stream_app.core.outputs import PRUNE, WARN, Verdict
from tests.support.builders import ended, happened, started
from tests.support.steered import Steered, past
from tests.support.watched import Watched


def _decisions(watched: Watched, run: str) -> list[str]:
    return [o.decision for o in watched.outputs if isinstance(o, Verdict) and o.run == run]


def test_a_keep_tag_on_the_run_holds_for_its_trainers() -> None:
    """The run's own execution is no member of a graphlet, but its tag counts at every stage."""
    watched = Watched(Detector(Settings(), learner=Steered(), keep_rows=True)).feed(
        past(6),
        happened(1000, "rk", "PipelineRun", "RUNNING", run="rk", properties={"keep": True}),
        started(1001, "pk", "Transform", run="rk"),
        ended(1002, "pk", "Transform", run="rk", writes=["dk"]),
        started(1003, "tk", "Trainer", run="rk", reads=["dk"]),
    )
    assert _decisions(watched, "rk") == [WARN, WARN]


def test_keep_false_is_no_keep() -> None:
    """A tag of "false" keeps nothing."""
    watched = Watched(Detector(Settings(), learner=Steered(), keep_rows=True)).feed(
        past(6), started(1003, "tk", "Trainer", run="rk", properties={"keep": "false"})
    )
    assert _decisions(watched, "rk") == [PRUNE]
