"""What comes out of the core. Every output is a plain value; `to_dict` gives its wire form (`schemas/`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream_app.core.ids import verdict_id

#: Stages in the order in which a run reaches them.
INPUT, PREPROCESS, TRAIN, VALIDATE = "input", "preprocess", "train", "validate"
STAGES = (INPUT, PREPROCESS, TRAIN, VALIDATE)

CONTINUE, WARN, PRUNE = "continue", "warn", "prune"

#: What may forbid a flag whatever the budget: a tag, a young pipeline, too little to save, a push that is due.
KEEP, FIRST, NOTHING_LEFT, DUE = "keep", "first", "nothing_left", "due"

#: What can become of a graphlet.
OPEN, PUSHED, PRUNED, NOT_PUSHED = "open", "pushed", "pruned", "not_pushed"

#: Why a graphlet was not pushed, the first that holds; `pushed` and `pruned` are the two other outcomes.
FAILED, RUN_ENDED, SUPERSEDED, EXPIRED = "failed", "run_ended", "superseded", "expired"


@dataclass(slots=True)
class Verdict:
    """The detector's current word on a graphlet. `graphlet` and `revision` together identify it for ever."""

    graphlet: str
    pipeline: str
    run: str | None
    #: Execution id of the trainer; None while the graphlet is provisional.
    trainer: str | None
    stage: str
    #: Execution id of the validator at stage `validate`; None at the others.
    validator: str | None
    #: Calibrated probability that the graphlet is pushed.
    p_push: float
    decision: str
    #: Flag strictly below this `score`; None while there is no threshold.
    threshold: float | None
    #: The odds of `p_push` over the expected cost left in node-hours.
    score: float
    #: Node-seconds.
    cost: float
    cost_left: float
    reasons: list[str]
    model: str
    #: Such as `observe 5 %`.
    policy: str
    #: In `enforce`, flagged and drawn to run on, to be learned from: `decision` is `continue`, and no alert is raised.
    holdout: bool
    #: Probability that this graphlet runs on although flagged; 1 outside `enforce` and when not flagged.
    propensity: float
    #: Rises with each verdict on the graphlet, from 1.
    revision: int
    time_ms: int

    @property
    def id(self) -> str:
        return verdict_id(self.graphlet, self.revision)


@dataclass(slots=True)
class StageRecord:
    """What was known and said at one stage of a graphlet, frozen."""

    stage: str
    validator: str | None
    time_ms: int
    #: Feature name -> value, finite and bounded; a feature that is not known is absent.
    features: dict[str, float]
    #: The probability said then, and the pipeline's past push rate then (the baseline).
    p: float
    baseline: float
    score: float
    #: The guard that forbade a flag, or None.
    guard: str | None
    #: Node-seconds used before, expected after, and (once the outcome is known) really used after the stage.
    cost: float
    cost_left: float
    actual_left: float
    decision: str
    #: Budgets (as numbers such as 0.05) whose own policy flags the graphlet here.
    flagged: list[float]
    propensity: float


@dataclass(slots=True)
class Example:
    """A labelled graphlet for the examples log: the only thing models, thresholds and metrics learn from."""

    graphlet: str
    pipeline: str
    run: str | None
    #: None for a provisional graphlet, whose label says whether any trainer of its run was pushed.
    trainer: str | None
    owner: str
    #: None: pruned, hence neither label; it counts for savings only.
    pushed: bool | None
    #: `pushed`, `pruned`, or the first cause that holds.
    cause: str
    #: When the outcome happened, and when it was said (the pipeline's clock): learning is later than happening.
    time_ms: int
    said_ms: int
    #: 1 for the first label of a graphlet, 2 for its correction.
    label_revision: int
    #: The stages predicted for this graphlet itself.
    stages: list[StageRecord]
    #: For a trainer whose run was predicted before it was known: the run's stage, which it inherits. Calibration
    #: counts it, models do not (the provisional graphlet's own example teaches it).
    inherited: list[StageRecord] = field(default_factory=list)

    @property
    def id(self) -> str:
        return verdict_id(self.graphlet, self.label_revision)


@dataclass(slots=True)
class Closed:
    """A graphlet's final record, given when it is evicted and, for the rest, when the log ends."""

    graphlet: dict[str, Any]
    outcome: dict[str, Any] | None


Output = Verdict | Example | Closed
