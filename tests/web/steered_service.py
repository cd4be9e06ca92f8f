"""`stream-app` whose detector flags whatever may be flagged."""

from __future__ import annotations

from stream_app.cli.main import main
from stream_app.core.decisions import policy
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example
from tests.support.steered import Steered


class Pessimist(Steered, Learner):
    """Predicts that nothing is ever pushed, whatever it is taught; what metrics read of it is that of a new learner."""

    def __init__(self) -> None:
        Steered.__init__(self)
        Learner.__init__(self)

    def learn(self, example: Example) -> None:
        """Learns nothing."""


def steer() -> None:
    """Makes all detectors of this process ask it, and holds no run out: which weeks are held out is chance."""
    Settings.learner = lambda _: Pessimist()  # type: ignore[method-assign, assignment]
    policy.hold_out = lambda *_: None


if __name__ == "__main__":
    steer()
    main()
