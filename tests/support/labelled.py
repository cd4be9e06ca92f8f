"""Synthetic labelled examples with known truth: what a learner is fed when no detector is the subject."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import CONTINUE, Example, StageRecord

MINUTE_MS = 60_000


def record(
    stage: str = "input",
    *,
    features: dict[str, float] | None = None,
    p: float = 0.2,
    baseline: float = 0.2,
    score: float = 1.0,
    guard: str | None = None,
    cost: float = 10.0,
    cost_left: float = 90.0,
    actual_left: float = 90.0,
    decision: str = CONTINUE,
    flagged: tuple[float, ...] = (),
    propensity: float = 1.0,
) -> StageRecord:
    """A stage record with defaults, so that a test says only what it is about."""
    return StageRecord(
        stage=stage,
        validator=None,
        time_ms=0,
        features=features or {},
        p=p,
        baseline=baseline,
        score=score,
        guard=guard,
        cost=cost,
        cost_left=cost_left,
        actual_left=actual_left,
        decision=decision,
        flagged=list(flagged),
        propensity=propensity,
    )


def example(
    number: int,
    pushed: bool | None,
    stages: list[StageRecord] | None = None,
    *,
    pipeline: str = "p",
    time_ms: int | None = None,
    revision: int = 1,
    inherited: list[StageRecord] | None = None,
) -> Example:
    """An example with defaults; a minute of event time goes by with each number."""
    when = number * MINUTE_MS if time_ms is None else time_ms
    return Example(
        graphlet=f"{pipeline}/{number}",
        pipeline=pipeline,
        run=str(number),
        trainer=str(number),
        owner="owner",
        pushed=pushed,
        cause="pushed" if pushed else "pruned" if pushed is None else "run_ended",
        time_ms=when,
        announced_ms=when,
        label_revision=revision,
        stages=[record()] if stages is None else stages,
        inherited=inherited or [],
    )


@dataclass
class Truth:
    """A fleet of `pipelines` whose pushes follow a known law of a few features; most features say nothing."""

    seed: int
    pipelines: int = 50
    #: +1, or -1 after a change of regime that turns every effect around.
    sign: float = 1.0
    number: int = 0
    _random: random.Random = field(init=False)
    _ease: list[float] = field(init=False)
    _history: list[list[bool]] = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._ease = [self._random.gauss(0.0, 0.8) for _ in range(self.pipelines)]
        self._history = [[] for _ in range(self.pipelines)]

    def draw(self) -> tuple[str, dict[str, float], float, float, bool]:
        """One run: pipeline, features, past push rate, true probability, outcome."""
        draw = self._random
        k = draw.randrange(self.pipelines)
        history = self._history[k]
        baseline = (sum(history) + 1.0) / (len(history) + 5.0)
        features = {f"noise_{i}": draw.gauss(0.0, 1.0) for i in range(5)}
        features["drift"] = draw.gauss(0.0, 1.0)
        features["broken_code"] = float(draw.random() < 0.2)
        features["cost"] = draw.lognormvariate(0.0, 1.5)
        if draw.random() < 0.8:
            features["overlap"] = draw.random()
        effect = math.tanh(features["drift"]) - 2.5 * features["broken_code"] + (features["cost"] > 3.0)
        effect += 4.0 * abs(features.get("overlap", 0.5) - 0.5)
        p = 1.0 / (1.0 + math.exp(1.8 - self._ease[k] - self.sign * effect))
        pushed = draw.random() < p
        history.append(pushed)
        del history[:-20]
        return f"p{k}", features, baseline, p, pushed

    def examples(self, learner: Learner, count: int) -> Iterator[tuple[Example, float]]:
        """Examples as `learner` would meet them (predicted, then labelled), each with its true probability."""
        for _ in range(count):
            pipeline, features, baseline, truth, pushed = self.draw()
            said = learner.predict("input", features, baseline).p
            stages = [record(features=features, p=said, baseline=baseline, score=said / (1 - said))]
            self.number += 1
            yield example(self.number, pushed, stages, pipeline=pipeline), truth
