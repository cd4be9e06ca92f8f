"""A detector under test together with what it has said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stream_app.core.detector import Detector
from stream_app.core.events import Event
from stream_app.core.outputs import Example, Output


@dataclass
class Watched:
    """A detector, and what it has said."""

    detector: Detector
    outputs: list[Output] = field(default_factory=list)

    def feed(self, *events: Event | Iterable[Event]) -> Watched:
        """Step through the events; a list of events may stand for its events."""
        for given in events:
            for event in [given] if isinstance(given, Event) else given:
                self.outputs += self.detector.step(event)
        return self

    def tick(self, log_ms: int) -> Watched:
        """Let time pass."""
        self.outputs += self.detector.tick(log_ms)
        return self

    def restarted(self) -> Watched:
        """Another detector of this one's rows, none of which was taken before, with the same learner."""
        rows = {key: row for key, row in self.detector.take_rows() if row is not None}
        return Watched(Detector.load(self.detector.settings, rows, self.detector.learner))

    def graphlet(self, trainer: str, pipeline: str = "p") -> dict[str, Any]:
        """The graphlet of a trainer as it is now."""
        return {g["graphlet"]: g for g in self.detector.graphlets()}[f"{pipeline}/{trainer}"]

    def members(self, trainer: str) -> tuple[list[str], list[str], list[str]]:
        """Up, down and side."""
        graphlet = self.graphlet(trainer)
        return graphlet["up"], graphlet["down"], graphlet["side"]

    def outcome(self, trainer: str) -> tuple[str, str | None, int | None]:
        """Outcome, cause and time in ms."""
        graphlet = self.graphlet(trainer)
        return graphlet["outcome"], graphlet["cause"], graphlet["time_ms"]

    def ledger(self, pipeline: str = "p") -> dict[str, int]:
        """Node-milliseconds by class."""
        ledger = self.detector.ledger(pipeline)
        return {name: getattr(ledger, name) for name in ("useful", "wasted", "pending", "unattributed")}

    def labels(self, trainer: str) -> list[tuple[int, bool | None]]:
        """Revision and label of each example given for a trainer's graphlet."""
        return [
            (output.label_revision, output.pushed)
            for output in self.outputs
            if isinstance(output, Example) and output.trainer == trainer
        ]
