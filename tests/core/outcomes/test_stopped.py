"""A flagged training that fails may have been stopped: it is no failure before whoever stops runs could say so."""

from __future__ import annotations

import pytest

from stream_app.core.decisions.policy import ENFORCE, OBSERVE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CANCELED, FAILED, Event
from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.core.outcomes.labels import STOP_MS
from stream_app.core.outputs import Example
from tests.support.builders import MINUTE, ended, started
from tests.support.steered import Steered, past
from tests.support.watched import Watched

#: Minute at which the run "rk" begins to train, and minutes after which a failure is announced.
AT, GRACE = 1003.0, STOP_MS / MINUTE
WARNED = (LadderRule(Ladder(last=Step.WARN)),)


def failing(mode: str = ENFORCE, ladders: tuple[LadderRule, ...] = ()) -> Watched:
    """A detector with a flagged run, whose training has just failed."""
    settings = Settings(policy=Policy(mode=mode, budget=0.05, salt="x", ladders=ladders), invariants=True)
    watched = Watched(Detector(settings, learner=Steered(), keep_rows=True)).feed(past(6))
    return watched.feed(
        [started(AT, "tk", "Trainer", run="rk"), ended(AT + 1, "tk", "Trainer", state=FAILED, run="rk")]
    )


def labels(watched: Watched) -> list[tuple[bool | None, str]]:
    """What was announced of the training."""
    return [(each.pushed, each.cause) for each in watched.outputs if isinstance(each, Example) and each.trainer == "tk"]


def later(minutes: float) -> Event:
    """An event of another run, with which time passes."""
    return started(AT + 1 + minutes, f"x{minutes}", "Transform", run=f"r{minutes}")


def test_a_training_that_failed_since_it_was_stopped_is_never_a_negative() -> None:
    """The orchestrator says FAILED first, and the hook says that it was stopped once that was confirmed."""
    watched = failing()
    stop = ended(AT + 1.1, "tk", "Trainer", state=CANCELED, run="rk", properties={"pruned_by": "v"})
    watched.feed(later(GRACE - 1), stop)

    assert labels(watched.feed(later(3 * GRACE))) == [(None, "pruned")]


def test_a_training_that_failed_by_itself_is_a_negative_after_the_grace() -> None:
    """It is announced once, and the time of its outcome is that of its end."""
    watched = failing()
    assert labels(watched.feed(later(GRACE - 1))) == []

    assert labels(watched.feed(later(GRACE + 1))) == [(False, "failed")]


@pytest.mark.parametrize(("mode", "ladders"), [(OBSERVE, ()), (ENFORCE, WARNED)])
def test_where_nothing_is_stopped_a_failure_is_announced_at_once(mode: str, ladders: tuple[LadderRule, ...]) -> None:
    """Nobody else can have ended it."""
    assert labels(failing(mode, ladders)) == [(False, "failed")]


def test_a_restart_keeps_the_grace() -> None:
    """It is stored with the training."""
    watched = failing().restarted()
    assert labels(watched.feed(later(GRACE - 1))) == []
    assert labels(watched.feed(later(GRACE + 1))) == [(False, "failed")]
