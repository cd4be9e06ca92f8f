"""A trainer's branch of a run: what is known and decided about one slot's candidate when the run starts."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from stream_app.simulator.chances import PREPROCESS_SIGMA, Chances
from stream_app.simulator.draws import generator
from stream_app.simulator.pipeline_state import Pushed, chances
from stream_app.simulator.plan import Plan
from stream_app.simulator.steps import Json, Work
from stream_app.simulator.traits import METRICS


@dataclass(slots=True)
class Branch:
    """One slot's part of one run."""

    plan: Plan
    slot: int
    #: When the run's data was there, and what the trainer reads.
    input_ms: int
    inputs: list[Json]
    chances: Chances
    #: How far luck moves quality in preprocessing; the generator draws the luck after it.
    moved_preprocess: float
    rng: Random
    #: The model served when the run started: what a candidate is measured against.
    baseline: Pushed | None

    @property
    def suffix(self) -> str:
        """Tells the slots of a run apart in ids."""
        return slot_suffix(self.plan, self.slot)

    def work(self, operator: str) -> Work:
        """Work of the usual size for one of the run's slots."""
        return self.plan.work(operator, f"{operator}{self.suffix}", 1.0 / self.plan.traits.slots)

    def metric(self, quality: float) -> float:
        """What the pipeline's metric shows of a quality above that of its present code and data."""
        traits, code = self.plan.traits, self.plan.pipeline.code
        broken = min(0.0, self.chances.lead) if code.broken == "silent" or self.plan.span.bad else 0.0
        sign = 1.0 if METRICS[traits.metric] else -1.0
        return round(traits.metric_level + sign * traits.metric_unit * (code.quality + broken + quality), 5)


def slot_suffix(plan: Plan, slot: int) -> str:
    """Tells the slots of a run apart in ids, where it has several."""
    return f".{slot + 1}" if plan.traits.slots > 1 else ""


def open_branch(plan: Plan, slot: int, input_ms: int, inputs: list[Json]) -> Branch:
    """Freeze what decides about a slot's candidate when the run starts."""
    pipeline, traits = plan.pipeline, plan.traits
    pipeline_state, rules = pipeline.state, pipeline.rules
    return Branch(
        plan=plan,
        slot=slot,
        input_ms=input_ms,
        inputs=inputs,
        chances=chances(traits, pipeline_state, rules, pipeline.code, plan.span, slot, plan.turn),
        moved_preprocess=generator(pipeline.seed, plan.key, "preprocess").gauss(0.0, PREPROCESS_SIGMA),
        rng=generator(pipeline.seed, plan.key, "slot", slot),
        baseline=pipeline_state.pushed.get(slot),
    )
