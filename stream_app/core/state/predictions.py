"""The predictions about a run or a trainer: its stages, frozen, and the flags that followed."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

#: Shared by all records without flags. Never changed.
NO_FLAGS: dict[Any, Any] = {}


class StagePrediction:
    """One predicted stage, frozen. Features are packed: names are shared, values are in an array."""

    __slots__ = (
        "baseline", "cost", "cost_left", "decision", "flagged", "guard", "names", "p", "propensity", "score",
        "stage", "time_ms", "validator", "values",
    )  # fmt: skip

    stage: str
    validator: str | None
    time_ms: int
    names: tuple[str, ...]
    values: array[float]
    p: float
    baseline: float
    score: float
    guard: str | None
    cost: float
    cost_left: float
    decision: str
    flagged: tuple[float, ...]
    propensity: float


class OpenFlag(NamedTuple):
    """What the last verdict of an open flag says, for a verdict that an act revises.

    Attributes
    ----------
    since_ms
        Event time of the flag's first verdict.
    threshold, model, reasons
        As of the verdict; each reason as feature, value and effect.
    ladder, warn_again_ms, stop_ms, exempt_hours
        As of the verdict.
    """

    since_ms: int
    threshold: float | None = None
    model: str = ""
    reasons: tuple[tuple[str, float | None, float], ...] = ()
    ladder: str = ""
    warn_again_ms: int | None = None
    stop_ms: int | None = None
    exempt_hours: str = ""


class PredictionRecord:
    """The predicted stages of a run or a trainer, and the flags that followed."""

    __slots__ = ("avoided_booked", "decision", "first_ms", "flag_ms", "open_flag", "propensity", "revision", "stages")

    def __init__(self) -> None:
        self.stages: tuple[StagePrediction, ...] = ()
        #: Event time of the first stage.
        self.first_ms = 0
        #: Revision and decision of the last verdict.
        self.revision = 0
        self.decision = ""
        #: Index of a deployment budget -> event time at which its policy first flagged.
        self.flag_ms: dict[int, int] = NO_FLAGS
        #: The smallest probability with which a flagged run continued; 1 when it was never drawn.
        self.propensity = 1.0
        #: Whether the compute avoided by its prune is booked.
        self.avoided_booked = False
        #: The flag that is open; None where none is.
        self.open_flag: OpenFlag | None = None

    def add(self, prediction: StagePrediction, flagged: list[int]) -> None:
        """Adds a stage; `flagged` has the indices of the budgets whose policies flag it."""
        if not self.stages:
            self.first_ms = prediction.time_ms
        self.stages = (*self.stages, prediction)
        for budget in flagged:
            if budget not in self.flag_ms:
                self.flag_ms = {**self.flag_ms, budget: prediction.time_ms}
        self.revision += 1
        self.decision = prediction.decision
        self.propensity = min(self.propensity, prediction.propensity)
