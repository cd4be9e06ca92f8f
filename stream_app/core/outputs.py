"""What comes out of the core. Every output is a plain value; `to_dict` gives its wire form (`schemas/`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stream_app.core.ids import verdict_id

#: Stages in the order in which a run reaches them.
INPUT, PREPROCESS, TRAIN, VALIDATE = "input", "preprocess", "train", "validate"
STAGES = (INPUT, PREPROCESS, TRAIN, VALIDATE)

CONTINUE, WARN, PRUNE = "continue", "warn", "prune"


class Guard(StrEnum):
    """Why a graphlet is not flagged although its score would flag it."""

    #: Under any budget: tagged, a young pipeline, too little to save, a push that is due.
    KEEP = "keep"
    FIRST = "first"
    NOTHING_LEFT = "nothing_left"
    DUE = "due"
    #: Under one budget: flags in a row, flagged pushes of the pipeline, flagged pushes in all, pushes still missing.
    STREAK = "streak"
    PIPELINE_SHARE = "pipeline_share"
    STOPPED = "stopped"
    PUSHES_MISSING = "pushes_missing"


class Withdrawal(StrEnum):
    """Why a flag is withdrawn, where no guard is the reason."""

    RECOVERED = "recovered"
    NO_THRESHOLD = "no_threshold"


class Cause(StrEnum):
    """Why a graphlet was not pushed, the first that holds; or why compute was wasted without one."""

    FAILED = "failed"
    RUN_ENDED = "run_ended"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    NO_TRAINER = "no_trainer"
    EVICTED = "evicted"


#: What can become of a graphlet.
OPEN, PUSHED, PRUNED, NOT_PUSHED = "open", "pushed", "pruned", "not_pushed"


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature that moved a probability."""

    feature: str
    #: None: the feature is not known.
    value: float | None
    #: What it adds to the log-odds of a push.
    effect: float


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
    #: The features that moved `p_push` most.
    reasons: list[Reason]
    #: Why a flag that the score would give is not raised; None where there is nothing to hold back.
    held_back: str | None
    #: Why a flag that was raised before is taken back with this verdict.
    withdrawn: str | None
    #: Labelled pushes still missing before the budget gives flags, where that holds a flag back; else 0.
    pushes_missing: int
    model: str
    #: `observe` or `enforce`, and the share of would-be pushes that may be flagged.
    mode: str
    budget: float
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
    #: When the outcome happened, and when it was announced (the pipeline's clock): learning is later than happening.
    time_ms: int
    announced_ms: int
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
