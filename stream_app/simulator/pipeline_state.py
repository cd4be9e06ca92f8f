"""The state of a pipeline that its own runs change, and that pruning therefore affects."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.core.units import DAY_MS
from stream_app.simulator.chances import CRASHING, SERVABLE, SOUND, SURE, Chances, Odds
from stream_app.simulator.hidden import Code, Rules, Span
from stream_app.simulator.traits import Traits

#: What broken data and silently broken code do to quality.
BAD_SPAN, SILENT_BREAK = -2.0, -3.5
#: Drift beyond this since the push is worth no more.
DRIFT_MOST = 3.0


@dataclass(slots=True)
class Pushed:
    """The model a slot serves."""

    #: Artifact id.
    model: str
    #: What it had seen: the index and drift of its last span, the quality of its code.
    span: int
    drift: float
    code_quality: float


@dataclass(slots=True)
class PipelineState:
    """The effects of a pipeline's runs so far."""

    #: Index of the last span that was ingested.
    ingested: int
    #: The hub schema's artifact id, once made.
    schema: str | None = None
    #: What the last Transform and the last trainers worked on (newest span, code version), and what it made.
    transformed: tuple[tuple[int, str], str] | None = None
    trained_on: dict[int, tuple[int, str]] = field(default_factory=dict)
    #: Slot -> artifact id of the last trained model, and what is served.
    trained: dict[int, str] = field(default_factory=dict)
    pushed: dict[int, Pushed] = field(default_factory=dict)
    #: When a model was last pushed, or offered for approval: the throttle counts from here.
    offered_ms: int | None = None
    #: The key of the run in flight whose models may be pushed; while there is one, no other's may.
    turn: str | None = None

    def transform(self, graph: str, worked_on: tuple[int, str]) -> None:
        """A Transform completed."""
        self.transformed = (worked_on, graph)

    def train(self, slot: int, model: str, worked_on: tuple[int, str]) -> None:
        """A trainer completed."""
        self.trained[slot] = model
        self.trained_on[slot] = worked_on

    def offer(self, now_ms: int) -> None:
        """A model is offered for approval: nothing else is pushed while it waits."""
        self.offered_ms = now_ms

    def push(self, slot: int, pushed: Pushed, now_ms: int) -> None:
        """That model is served from now on."""
        self.pushed[slot] = pushed
        self.offered_ms = now_ms if self.offered_ms is None else max(now_ms, self.offered_ms)

    def release(self, key: str) -> None:
        """That run has had its turn to push, used or not."""
        if self.turn == key:
            self.turn = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What the release policy will make of a run's models, decided when the run starts."""

    #: Chances of a push of a blessed model, and of another, before the Pusher's own failures.
    blessed: float
    unblessed: float
    #: Whether it is the run's turn to push, or a push takes an overrule.
    due: bool


def take_turn(traits: Traits, pipeline_state: PipelineState, rules: Rules, key: str, now_ms: int) -> Turn:
    """Whether a run that starts now may push; where it may, its turn lasts until it is released."""
    policy = rules.policy
    if not policy.pushes or traits.pusher == "none":
        return Turn(0.0, 0.0, due=False)
    throttled = pipeline_state.offered_ms is not None and now_ms - pipeline_state.offered_ms < policy.gap_ms
    weekend = policy.weekdays_only and (now_ms // DAY_MS + 3) % 7 >= 5
    if rules.frozen or throttled or weekend or pipeline_state.turn is not None:
        return Turn(policy.overrule, policy.overrule, due=False)
    pipeline_state.turn = key
    return Turn(policy.takes, policy.overrule, due=True)


def odds(operator: str, broken: str) -> Odds:
    """How one attempt at a step may end while the code is `broken` so."""
    crashes = (operator == "Trainer" and broken == "train") or (operator == "Transform" and broken == "transform")
    return CRASHING if crashes else SOUND.get(operator, SURE)


def chances(
    traits: Traits, pipeline_state: PipelineState, rules: Rules, code: Code, span: Span, slot: int, turn: Turn
) -> Chances:
    """The chances of a trainer of that slot in a run that starts now and ends with that span."""
    validates = 1.0
    if traits.has_evaluator:
        validates *= SOUND["Evaluator"].completes(traits.retries)
    if traits.has_infra_validator:
        validates *= SOUND["InfraValidator"].completes(traits.retries) * SERVABLE
    pusher = SOUND["Pusher"].completes(traits.retries)
    return Chances(
        lead=lead(traits, pipeline_state, rules, code, span, slot),
        has_evaluator=traits.has_evaluator,
        trains=odds("Trainer", code.broken).once,
        validates=validates,
        push_blessed=turn.blessed * pusher,
        push_unblessed=turn.unblessed * pusher,
    )


def lead(traits: Traits, pipeline_state: PipelineState, rules: Rules, code: Code, span: Span, slot: int) -> float:
    """Expected quality above what a blessing asks for. Without a pushed model, all in the window is news."""
    policy = rules.policy
    pushed = pipeline_state.pushed.get(slot)
    if pushed is None:
        news, drifted, code_gain = 1.0, DRIFT_MOST / 2, 0.0
    else:
        news = min(1.0, max(0, span.index - pushed.span) / traits.window)
        drifted = min(DRIFT_MOST, max(0.0, span.drift - pushed.drift))
        code_gain = min(2.0, max(-2.0, code.quality - pushed.code_quality))
    broken = (BAD_SPAN if span.bad else 0.0) + (SILENT_BREAK if code.broken == "silent" else 0.0)
    return policy.data_gain * news + policy.drift_gain * drifted + code_gain + broken - policy.margin
