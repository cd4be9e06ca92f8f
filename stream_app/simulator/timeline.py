"""The events of one run in the making: steps in, native events out.

A timeline is made whole when its run starts, then walked through event by event, and cut where the run is pruned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, RUNNING
from stream_app.simulator.draws import generator
from stream_app.simulator.steps import HUNG, Json, Step, Work, draw_fate
from stream_app.simulator.traits import Traits
from stream_app.times import time_to_text

#: When; the event to send, or what to do to the pipeline's standing, or (neither) a point where the run may be
#: pruned.
Moment = tuple[int, Json | None, Callable[[], None] | None]

#: A step twice this long is asked about once more so soon after its start, when the detector has seen it start.
ASK_AFTER_MS = 60_000
RETRY_AFTER_MS = 90_000


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

    def event(self, at_ms: int, execution: str, operator: str, state: str, **rest: Any) -> Json:
        """A native event."""
        self._events += 1
        event: Json = {
            "id": f"{self.key}#{self._events}",
            "time": time_to_text(at_ms),
            "pipeline": self.traits.name,
        }
        if self.run is not None:
            event["run"] = self.run
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
        label = work.label if attempt == 1 else f"{work.label}~{attempt}"
        rng = generator(self._seed, self.key, label)
        state, duration_ms = draw_fate(rng, work)
        start_ms = ready_ms + (round(1000 * rng.expovariate(1 / 40)) + 1 if self.traits.tells_queue else 0)
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
        if work.operator == "Trainer":
            step.trainer = step.id
        self.steps.append(step)
        self._start(step, work, {"attempt": attempt} if attempt > 1 else {})
        self._end(step, work)
        return step

    def _start(self, step: Step, work: Work, more: Json) -> None:
        """Tell of a step's start, what it reads with its first event, and of its progress."""
        if work.prunable:
            self.ask(step.ready_ms)
        first = {"inputs": work.inputs, "properties": {"owner": self.traits.owner, **work.properties, **more}}
        if step.ready_ms < step.start_ms:
            self.tell(step.ready_ms, step.id, step.operator, NEW, **first)
            first = {}
        self.tell(step.start_ms, step.id, step.operator, RUNNING, **first)
        duration_ms = step.end_ms - step.start_ms
        if work.prunable and duration_ms > 2 * ASK_AFTER_MS:
            self.ask(step.start_ms + ASK_AFTER_MS)
        if self.traits.tells_progress and work.operator == "Trainer":
            for quarter in (1, 2, 3):
                at_ms = step.start_ms + duration_ms * quarter // 4
                self.tell(at_ms, step.id, step.operator, RUNNING, cost=self.cost(step, at_ms))

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
            CACHED,
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
