"""The outputs of the core. Every output is a plain value; `stream_app.wire` gives its JSON form (`schemas/`)."""

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

    #: Under any budget: tagged `keep`, a young pipeline, too little compute left to save, a push that is due.
    KEEP = "keep"
    FIRST = "first"
    NOTHING_LEFT = "nothing_left"
    DUE = "due"
    #: Under one budget: flags in a row, flagged pushes of the pipeline, flagged pushes in all, labelled pushes missing.
    STREAK = "streak"
    PIPELINE_SHARE = "pipeline_share"
    STOPPED = "stopped"
    PUSHES_MISSING = "pushes_missing"


class Withdrawal(StrEnum):
    """Why a flag is withdrawn, where the reason is not a guard."""

    RECOVERED = "recovered"
    NO_THRESHOLD = "no_threshold"
    #: In `enforce`: the run was drawn to continue, so that its outcome is seen.
    HELD_OUT = "held_out"


class Cause(StrEnum):
    """Why a graphlet was not pushed (the first cause that holds), or why compute without a graphlet was wasted."""

    FAILED = "failed"
    LOST = "lost"
    REFUSED = "refused"
    RUN_ENDED = "run_ended"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    NO_TRAINER = "no_trainer"
    EVICTED = "evicted"
    #: Why the outcome is not known.
    REGISTRY_GAP = "registry_gap"


#: The outcomes of a graphlet. Unknown: its source cannot tell whether it was pushed.
OPEN, PUSHED, PRUNED, NOT_PUSHED, UNKNOWN = "open", "pushed", "pruned", "not_pushed", "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature that moved a probability.

    Parameters
    ----------
    feature
        The name of the feature.
    value
        Its value; None when it is not known.
    effect
        What it adds to the log-odds of a push.
    """

    feature: str
    value: float | None
    effect: float


@dataclass(slots=True)
class Verdict:
    """The detector's current judgement of a graphlet. `graphlet` and `revision` together identify it for ever.

    Attributes
    ----------
    graphlet, pipeline, run
        Ids of the graphlet, its pipeline and its run; the run is None for a trainer outside of any run.
    trainer
        Execution id of the trainer; None while the graphlet is provisional.
    stage
        The stage reached, one of `STAGES`.
    validator
        Execution id of the validator at stage `validate`; None at the others.
    p_push
        Calibrated probability that the graphlet is pushed.
    decision
        `continue`, `warn` or `prune`.
    threshold
        The graphlet is flagged strictly below this score; None while there is no threshold.
    score
        The odds of `p_push` over the expected cost left in node-hours.
    cost, cost_left
        Node-seconds used so far and expected from here on.
    reasons
        The features that moved `p_push` most.
    held_back
        Why a flag that the score would give is not raised; None where none is held back.
    withdrawn
        Why a flag that was raised before is withdrawn with this verdict.
    pushes_missing
        Labelled pushes still missing before the budget gives flags, where that holds a flag back; else 0.
    model
        Version of the learner.
    mode, budget
        `observe` or `enforce`, and the largest share of would-be pushes that may be flagged.
    holdout
        In `enforce`: flagged and drawn to continue, so that the learner sees its outcome. `decision` is then
        `continue`, and no alert is raised.
    propensity
        Probability that this graphlet continues although flagged; 1 outside `enforce` and when not flagged.
    revision
        Rises with each verdict on the graphlet, from 1.
    time_ms
        Event time of the stage in ms since 1970 UTC.
    job
        The name by which people know the trainer, or the run while the graphlet is provisional, where its source says
        one: ids of OpenLineage are UUIDs.
    owner
        The owner of the run; "" when it is not known, or nothing is flagged.
    labels
        Texts among the properties of the run and the trainer; empty when nothing is flagged.
    ladder
        The last step of the ladder that the flag climbs; "" when nothing is flagged.
    warn_again_ms
        Event time at which the owner is warned again; None: no second warning, or nothing is flagged.
    stop_ms
        Event time from which the run may be stopped; None: never, as always outside of `enforce`.
    exempt_hours
        Hours in which no run is stopped, as of `stream_app.core.ladder.Ladder`.
    """

    graphlet: str
    pipeline: str
    run: str | None
    trainer: str | None
    stage: str
    validator: str | None
    p_push: float
    decision: str
    threshold: float | None
    score: float
    cost: float
    cost_left: float
    reasons: list[Reason]
    held_back: str | None
    withdrawn: str | None
    pushes_missing: int
    model: str
    mode: str
    budget: float
    holdout: bool
    propensity: float
    revision: int
    time_ms: int
    job: str | None = None
    owner: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    ladder: str = ""
    warn_again_ms: int | None = None
    stop_ms: int | None = None
    exempt_hours: str = ""

    @property
    def id(self) -> str:
        """The id of this revision."""
        return verdict_id(self.graphlet, self.revision)


@dataclass(slots=True)
class StageRecord:
    """What was known and predicted at one stage of a graphlet, frozen.

    Attributes
    ----------
    stage, validator, time_ms
        As of a verdict.
    features
        Feature name to value, finite and bounded; a feature that is not known is absent.
    p, baseline
        The probability predicted, and the pipeline's past push rate at that time.
    score
        As of a verdict.
    guard
        The guard that forbade a flag under any budget, or None.
    cost, cost_left, actual_left
        Node-seconds used before the stage, expected after it, and (once the outcome is known) used after it.
    decision
        As of a verdict.
    flagged
        The budgets, as numbers such as 0.05, whose own policy flags the graphlet here.
    propensity
        As of a verdict.
    """

    stage: str
    validator: str | None
    time_ms: int
    features: dict[str, float]
    p: float
    baseline: float
    score: float
    guard: str | None
    cost: float
    cost_left: float
    actual_left: float
    decision: str
    flagged: list[float]
    propensity: float


@dataclass(slots=True)
class Example:
    """A labelled graphlet for the examples log: the only thing from which models, thresholds and metrics learn.

    Attributes
    ----------
    graphlet, pipeline, run
        As of a verdict.
    trainer
        None for a provisional graphlet, whose label says whether any trainer of its run was pushed.
    owner
        The owner that its executions report, "" without one.
    pushed
        The label; None for a pruned graphlet, which has none and counts for savings only.
    cause
        `pushed`, `pruned`, or the first cause that holds.
    time_ms, announced_ms
        When the outcome happened, and when it was announced (the pipeline's clock), in ms since 1970 UTC.
    label_revision
        1 for the first label of a graphlet, 2 for its correction.
    stages
        The stages predicted for this graphlet itself.
    inherited
        For a trainer whose run was predicted before the trainer was known: the stages of the run. Calibration counts
        them; models do not, since the example of the provisional graphlet teaches them.
    word
        The word of a person by which the run went on when the outcome was announced: `keep`, `wrong`, or "".
    """

    graphlet: str
    pipeline: str
    run: str | None
    trainer: str | None
    owner: str
    pushed: bool | None
    cause: str
    time_ms: int
    announced_ms: int
    label_revision: int
    stages: list[StageRecord]
    inherited: list[StageRecord] = field(default_factory=list)
    word: str = ""

    @property
    def id(self) -> str:
        """The id of this label."""
        return verdict_id(self.graphlet, self.label_revision)


@dataclass(slots=True)
class Closed:
    """The final record of a graphlet, given when it is evicted and, for the rest, when the log ends.

    Parameters
    ----------
    graphlet
        As `Detector.graphlets` yields it.
    """

    graphlet: dict[str, Any]


Output = Verdict | Example | Closed
