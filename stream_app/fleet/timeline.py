"""The events of one run in the making: steps in, native events out.

A timeline is made whole when its run starts, then walked through event by event, and cut where the run is
pruned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING
from stream_app.fleet.chances import Odds
from stream_app.fleet.draws import generator
from stream_app.fleet.traits import Traits
from stream_app.times import time_to_text

Json = dict[str, Any]
#: When; the event to send, or what to do to the pipeline's standing, or (neither) a point where the run may
#: be pruned.
Moment = tuple[int, Json | None, Callable[[], None] | None]

#: A step this long is asked about once more shortly after its start, when the detector has seen it start.
ASK_AFTER_MS = 60_000
RETRY_AFTER_MS = 90_000
HUNG = "HUNG"


def artifact(artifact_id: str, artifact_type: str, **properties: str | float | int) -> Json:
    """An artifact as events name it."""
    if properties:
        return {"id": artifact_id, "type": artifact_type, "properties": properties}
    return {"id": artifact_id, "type": artifact_type}


@dataclass(slots=True)
class Step:
    """One execution. A hung one has an end too: there its compute stops being told."""

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
    #: Told at the start, and at a good end.
    properties: Json = field(default_factory=dict)
    results: Json = field(default_factory=dict)
    trainer: str | None = None
    #: Whether the run may be pruned before and during it.
    prunable: bool = True


class Timeline:
    """What one run does, and when."""

    def __init__(self, seed: int, traits: Traits, key: str, run: str | None) -> None:
        self.traits = traits
        #: Names the run's executions and artifacts, also where events tell of no run.
        self.key = key
        self.run = run
        self.moments: list[Moment] = []
        self.steps: list[Step] = []
        self._seed = seed
        self._events = 0
        self._at_end: list[Callable[[], None]] = []

    def do(self, at_ms: int, effect: Callable[[], None]) -> None:
        """Change the pipeline's standing at that time."""
        self.moments.append((at_ms, None, effect))

    def at_end(self, at_ms: int, effect: Callable[[], None]) -> None:
        """Change the standing at that time, when the run ends, or else when it is pruned."""
        self.do(at_ms, effect)
        self._at_end.append(effect)

    def ask(self, at_ms: int) -> None:
        """Let the run be pruned at that time."""
        if self.run is not None:
            self.moments.append((at_ms, None, None))

    def tell(self, at_ms: int, execution: str, operator: str, state: str, **rest: Any) -> None:
        """Send an event; empty parts are left out."""
        self.moments.append((at_ms, self.event(at_ms, execution, operator, state, **rest), None))

    def event(
        self, at_ms: int, execution: str, operator: str, state: str, *, run: str | None = "", **rest: Any
    ) -> Json:
        """A native event. `run` is the timeline's own where not given."""
        self._events += 1
        event: Json = {
            "id": f"{self.key}#{self._events}",
            "time": time_to_text(at_ms),
            "pipeline": self.traits.name,
        }
        run = self.run if run == "" else run
        if run is not None:
            event["run"] = run
        event["execution"] = {"id": execution, "type": operator, "state": state}
        for name, value in rest.items():
            if value:
                event[name] = value
        return event

    def perform(self, ready_ms: int, work: Work, attempts: int = 1) -> Step:
        """Do the work, again where it fails and attempts are left. Returns the last attempt."""
        step = self.attempt(ready_ms, work)
        for attempt in range(2, attempts + 1):
            if step.state != FAILED:
                break
            step = self.attempt(step.end_ms + RETRY_AFTER_MS, work, attempt)
        return step

    def attempt(self, ready_ms: int, work: Work, attempt: int = 1) -> Step:
        """Do the work once: a further attempt is an execution of its own."""
        traits = self.traits
        label = work.label if attempt == 1 else f"{work.label}~{attempt}"
        rng = generator(self._seed, self.key, label)
        luck = rng.random()
        duration_ms = max(1000, round(1000 * work.seconds * (0.6 + 0.5 * rng.random() + 0.3 * rng.random())))
        queue_ms = round(1000 * rng.expovariate(1 / 40)) + 1 if traits.tells_queue else 0
        state, share = _fate(work.odds, luck, rng.random())
        duration_ms = max(500, round(duration_ms * share))
        start_ms = ready_ms + queue_ms
        step = Step(
            id=f"{self.key}/{label}",
            operator=work.operator,
            run=self.run,
            ready_ms=ready_ms,
            start_ms=start_ms,
            end_ms=start_ms + duration_ms,
            nodes=work.nodes,
            state=state,
            trainer=work.trainer,
        )
        if work.operator == "Trainer" and work.trainer is None:
            step.trainer = step.id
        self.steps.append(step)
        if work.prunable:
            self.ask(ready_ms)
        properties = {"owner": traits.owner, **work.properties}
        if attempt > 1:
            properties["attempt"] = attempt
        first = {"inputs": work.inputs, "properties": properties}
        if queue_ms:
            self.tell(ready_ms, step.id, step.operator, NEW, **first)
            self.tell(start_ms, step.id, step.operator, RUNNING)
        else:
            self.tell(start_ms, step.id, step.operator, RUNNING, **first)
        if work.prunable and duration_ms > 2 * ASK_AFTER_MS:
            self.ask(start_ms + ASK_AFTER_MS)
        if traits.tells_progress and work.operator == "Trainer":
            for quarter in (1, 2, 3):
                at_ms = start_ms + duration_ms * quarter // 4
                self.tell(at_ms, step.id, step.operator, RUNNING, cost=self.cost(step, at_ms))
        self._end(step, work)
        return step

    def _end(self, step: Step, work: Work) -> None:
        if step.state == HUNG:
            return
        done = step.state == COMPLETE
        self.tell(
            step.end_ms,
            step.id,
            step.operator,
            step.state,
            inputs=work.inputs if self.traits.tells_inputs_twice else None,
            outputs=work.outputs if done else None,
            cost=self.cost(step, step.end_ms),
            properties=work.results if done else None,
        )

    def cost(self, step: Step, at_ms: int) -> Json | None:
        """The cost as an event tells it, if this pipeline tells costs."""
        return {"node_seconds": round(step.cost(at_ms), 3)} if self.traits.tells_cost else None

    def cached(self, at_ms: int, operator: str, label: str, inputs: list[Json], outputs: list[Json]) -> None:
        """Tell of a step whose outputs were there already."""
        cost = {"node_seconds": 0.0} if self.traits.tells_cost else None
        properties = {"owner": self.traits.owner}
        execution = f"{self.key}/{label}"
        self.tell(
            at_ms,
            execution,
            operator,
            "CACHED",
            inputs=inputs,
            outputs=outputs,
            cost=cost,
            properties=properties,
        )

    def prune(self, now_ms: int, verdict: str) -> list[Json]:
        """Cut the run here.

        Returns the events that tell of it: what is running, and the run, are canceled.
        """
        told = []
        properties = {"pruned_by": verdict}
        for step in self.steps:
            if step.ready_ms < now_ms and (step.end_ms > now_ms or step.state == HUNG):
                cost = self.cost(step, now_ms)
                told.append(self.event(now_ms, step.id, step.operator, CANCELED, cost=cost, properties=properties))
        if self.run is not None:
            told.append(self.event(now_ms, self.run, "PipelineRun", CANCELED, properties=properties))
        for effect in self._at_end:
            effect()
        self.moments.clear()
        return told


def _fate(odds: Odds, luck: float, share: float) -> tuple[str, float]:
    """How an attempt ends, and the share of its usual duration it takes."""
    if luck < odds.fail:
        return FAILED, share
    if luck < odds.fail + odds.cancel:
        return CANCELED, share
    if luck < odds.fail + odds.cancel + odds.hang:
        return HUNG, share
    return COMPLETE, 1.0
