"""Where a pipeline stands: what its own runs left behind, the part of its state that pruning changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.fleet.chances import CRASHING, SERVABLE, SOUND, SURE, Chances, Odds
from stream_app.fleet.hidden import Code, Rules, Span
from stream_app.fleet.options import DAY_MS
from stream_app.fleet.traits import Traits

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
class Standing:
    """What a pipeline's runs have left behind so far."""

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
    #: Slot -> when a model was last pushed, or offered for approval: the throttle counts from here.
    offered: dict[int, int] = field(default_factory=dict)

    def transform(self, graph: str, worked_on: tuple[int, str]) -> None:
        """A Transform completed."""
        self.transformed = (worked_on, graph)

    def train(self, slot: int, model: str, worked_on: tuple[int, str]) -> None:
        """A trainer completed."""
        self.trained[slot] = model
        self.trained_on[slot] = worked_on

    def offer(self, slot: int, now_ms: int) -> None:
        """A model is offered for approval: nothing else is pushed while it waits."""
        self.offered[slot] = now_ms

    def push(self, slot: int, pushed: Pushed, now_ms: int) -> None:
        """That model is served from now on."""
        self.pushed[slot] = pushed
        self.offered[slot] = max(now_ms, self.offered.get(slot, 0))


def odds(operator: str, broken: str) -> Odds:
    """How one attempt at a step may end while the code is `broken` so."""
    crashes = (operator == "Trainer" and broken == "train") or (operator == "Transform" and broken == "transform")
    return CRASHING if crashes else SOUND.get(operator, SURE)


def chances(
    traits: Traits, standing: Standing, rules: Rules, code: Code, span: Span, slot: int, now_ms: int
) -> Chances:
    """The chances of a trainer of that slot in a run that starts now and ends with that span."""
    validates = 1.0
    if traits.has_evaluator:
        validates *= odds("Evaluator", "").completes(traits.retries)
    if traits.has_infra_validator:
        validates *= odds("InfraValidator", "").completes(traits.retries) * SERVABLE
    due = push_chance(traits, standing, rules, slot, now_ms)
    pusher = SOUND["Pusher"].completes(traits.retries)
    return Chances(
        lead=lead(traits, standing, rules, code, span, slot),
        has_evaluator=traits.has_evaluator,
        trains=odds("Trainer", code.broken).once,
        validates=validates,
        push_blessed=due * pusher,
        push_unblessed=min(due, rules.policy.overrule) * pusher,
    )


def push_chance(traits: Traits, standing: Standing, rules: Rules, slot: int, now_ms: int) -> float:
    """Chance that a blessed model is pushed, before its Pusher's own failures."""
    if not rules.policy.pushes or traits.pusher == "none":
        return 0.0
    offered = standing.offered.get(slot)
    throttled = offered is not None and now_ms - offered < rules.policy.gap_ms
    weekend = rules.policy.weekdays_only and (now_ms // DAY_MS + 3) % 7 >= 5
    if rules.frozen or throttled or weekend:
        return rules.policy.overrule
    return rules.policy.takes


def lead(traits: Traits, standing: Standing, rules: Rules, code: Code, span: Span, slot: int) -> float:
    """Expected quality above what a blessing asks for. Without a pushed model, all in the window is news."""
    policy = rules.policy
    pushed = standing.pushed.get(slot)
    if pushed is None:
        news, drifted, code_gain = 1.0, DRIFT_MOST / 2, 0.0
    else:
        news = min(1.0, max(0, span.index - pushed.span) / traits.window)
        drifted = min(DRIFT_MOST, max(0.0, span.drift - pushed.drift))
        code_gain = min(2.0, max(-2.0, code.quality - pushed.code_quality))
    broken = (BAD_SPAN if span.bad else 0.0) + (SILENT_BREAK if code.broken == "silent" else 0.0)
    return policy.data_gain * news + policy.drift_gain * drifted + code_gain + broken - policy.margin
