"""The steps of a run: work that is to be done, and executions that do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from stream_app.core.events import CANCELED, COMPLETE, FAILED
from stream_app.simulator.chances import Odds

Json = dict[str, Any]
#: The state of a step that never reports its end.
HUNG = "HUNG"


def artifact(artifact_id: str, artifact_type: str, **properties: str | float | int) -> Json:
    """An artifact as events name it."""
    if properties:
        return {"id": artifact_id, "type": artifact_type, "properties": properties}
    return {"id": artifact_id, "type": artifact_type}


@dataclass(slots=True)
class Step:
    """One execution. A hung one has an end too, at which its cost stops to grow."""

    id: str
    operator: str
    run: str | None
    #: Its first event; it starts later where steps wait in a queue.
    ready_ms: int
    start_ms: int
    end_ms: int
    nodes: float
    #: COMPLETE, FAILED, CANCELED or HUNG.
    state: str
    #: The trainer's execution id, for the steps of one trainer's branch.
    trainer: str | None = None

    def cost(self, now_ms: int) -> float:
        """Node-seconds used up to now."""
        return self.nodes * max(0, min(now_ms, self.end_ms) - self.start_ms) / 1000.0


@dataclass(slots=True)
class Work:
    """What an execution is about to do."""

    operator: str
    #: Makes its id: unique in the run.
    label: str
    #: Median seconds, and nodes.
    seconds: float
    nodes: float
    odds: Odds
    inputs: list[Json] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)
    #: Reported at the start, and at completion.
    properties: Json = field(default_factory=dict)
    results: Json = field(default_factory=dict)
    trainer: str | None = None
    #: Whether the run may be pruned before and during it.
    prunable: bool = True


def draw_fate(rng: Random, work: Work) -> tuple[str, int]:
    """How an attempt at the work ends, and after how many ms. Draws the same number of times whatever comes."""
    luck, cut = rng.random(), rng.random()
    duration_ms = max(1000.0, 1000 * work.seconds * (0.6 + 0.5 * rng.random() + 0.3 * rng.random()))
    odds = work.odds
    for state, chance in ((FAILED, odds.fail), (CANCELED, odds.cancel), (HUNG, odds.hang)):
        if luck < chance:
            return state, max(500, round(duration_ms * cut))
        luck -= chance
    return COMPLETE, round(duration_ms)
