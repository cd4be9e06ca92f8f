"""Where the compute went: classes add up to all of it, in node-seconds and in money."""

from __future__ import annotations

import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Settings
from stream_app.replay.replay import Replay, Replayed
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.report.page import page
from stream_app.report.terminal import compute
from tests.support.builders import happened


def test_what_nobody_can_tell_is_a_class_of_its_own() -> None:
    """A training whose registry does not tell whether it was pushed is neither waste nor use; the report says so."""
    replay = Replay(Settings(), None, SinkWriter(Sinks()), Attribution(Rates(2.0, "EUR")))
    for each in (
        happened(0, "gap", "Trainer", "RUNNING", run=None, properties={"label_unknown": True}),
        happened(300, "gap", "Trainer", "COMPLETE", run=None),
        happened(0, "failed", "Trainer", "RUNNING", run=None),
        happened(60, "failed", "Trainer", "FAILED", run=None),
    ):
        replay.step(each)

    found = replay.finish()

    assert (found.compute.unknown, found.compute.wasted, found.compute.total) == (18_000.0, 3600.0, 21_600.0)
    assert found.money is not None
    assert (found.money.unknown, found.money.wasted, found.money.total) == pytest.approx((10.0, 2.0, 12.0))
    assert "5 of unknown outcome" in compute(Replayed(found, 1.0, 1.0).figures)
    assert "of unknown outcome 83.3 %" in page(found)
