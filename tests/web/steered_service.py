"""`stream-app` whose detector flags whatever may be flagged."""

from __future__ import annotations

from stream_app.cli.main import main
from stream_app.core.detector import Settings
from stream_app.core.outputs import Example
from tests.support.steered import Steered


class Pessimist(Steered):
    """Predicts that nothing is ever pushed, whatever it is taught."""

    def learn(self, example: Example) -> None:
        """Learns nothing."""


def steer() -> None:
    """Makes all detectors of this process ask it."""
    Settings.learner = lambda _: Pessimist()  # type: ignore[method-assign, assignment, return-value]


if __name__ == "__main__":
    steer()
    main()
