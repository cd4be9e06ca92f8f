"""A learner that says what a test tells it to, so that policies can be steered in a handful of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_app.core.events import Event
from tests.support.builders import HOUR, MINUTE, ended, ran, run_ended, started

#: Minutes from one run of `past` to the next: longer than the first grace.
PERIOD = 120
#: Node-milliseconds of the steps of every run of `past`.
PREPROCESS_MS, TRAIN_MS, EVALUATE_MS = 6 * MINUTE, HOUR, 12 * MINUTE


@dataclass
class Answer:
    """What `Steered` predicts."""

    p: float

    def reasons(self, _: int) -> list[tuple[str, float]]:
        """None: steered probabilities come from nowhere."""
        return []


@dataclass
class Steered:
    """Has the methods of a learner that a detector asks; all it says are these fields."""

    #: The probability of a push, and at some stages another.
    p: float = 0.001
    p_at: dict[str, float] = field(default_factory=dict)
    #: The threshold of every budget at every stage, and of some budgets or stages another.
    limit: float | None = 1e6
    limit_at: dict[str | float, float | None] = field(default_factory=dict)
    #: Labelled pushes still missing, the smallest score of a push so far, and whether flags are stopped.
    lacking: int = 0
    least: float | None = None
    halted: bool = False
    version: str = "steered"
    #: (stage, features) of every question.
    asked: list[tuple[str, dict[str, float]]] = field(default_factory=list)

    def predict(self, stage: str, features: Mapping[str, float], baseline: float) -> Answer:
        """The probability as it is set."""
        del baseline
        self.asked.append((stage, dict(features)))
        return Answer(self.p_at.get(stage, self.p))

    def threshold(self, stage: str, budget: float) -> float | None:
        """The threshold as it is set."""
        return self.limit_at.get(stage, self.limit_at.get(budget, self.limit))

    def pushes_missing(self, budget: float) -> int:
        """The pushes missing as they are set."""
        del budget
        return self.lacking

    def lowest_push_score(self, stage: str) -> float | None:
        """The smallest score as it is set."""
        del stage
        return self.least

    def flags_stopped(self, budget: float) -> bool:
        """Whether flags are stopped, as it is set."""
        del budget
        return self.halted

    def fleet_rate(self) -> float:
        """One in five."""
        return 0.2


def whole_run(minute: float, run: str, *, pushed: bool = False, owner: str = "") -> Iterator[Event]:
    """A run of four steps that ends nine minutes after it began: preprocess, train, evaluate and perhaps push."""
    properties = {"owner": owner} if owner else {}
    yield started(minute, f"prep-{run}", "Transform", run=run, properties=properties)
    yield ended(minute + 1, f"prep-{run}", "Transform", run=run, writes=[f"data-{run}"], node_ms=PREPROCESS_MS)
    yield started(minute + 2, f"train-{run}", "Trainer", run=run, reads=[f"data-{run}"])
    yield ended(minute + 3, f"train-{run}", "Trainer", run=run, writes=[f"model-{run}"], node_ms=TRAIN_MS)
    yield started(minute + 4, f"eval-{run}", "Evaluator", run=run, reads=[f"model-{run}"])
    yield ended(minute + 5, f"eval-{run}", "Evaluator", run=run, writes=[f"blessing-{run}"], node_ms=EVALUATE_MS)
    if pushed:
        yield from ran(minute + 6, f"push-{run}", "Pusher", run=run, reads=[f"model-{run}"], node_ms=0)
    yield run_ended(minute + 9, run)


def past(runs: int, *, first: float = 0, pushed: bool = False, name: str = "past") -> list[Event]:
    """Whole runs two hours apart, so that the pipeline has a history, and knows what is left of a run when."""
    return [
        event
        for number in range(runs)
        for event in whole_run(first + PERIOD * number, f"{name}{number}", pushed=pushed)
    ]
