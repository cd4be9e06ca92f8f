"""The timeline of one run: steps in, native events out.

It is complete when its run starts, is then emitted event by event, and ends early where the run is pruned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, NEW, RUNNING
from stream_app.simulator.draws import generator
from stream_app.simulator.steps import HUNG, Json, Step, Work, draw_fate
from stream_app.simulator.traits import Traits
from stream_app.times import time_to_text

#: The time; the event to emit, or a change of the pipeline's state, or (neither) a point where the run may be pruned.
Moment = tuple[int, Json | None, Callable[[], None] | None]

#: A step more than twice this long may also be pruned so long after its start, when the detector knows of it.
PRUNE_POINT_AFTER_MS = 60_000
RETRY_AFTER_MS = 90_000


class Timeline:
    """The steps and events of one run.

    Parameters
    ----------
    seed
        Seed of the fleet.
    traits
        Traits of the pipeline.
    key
        Prefix of the ids of executions and artifacts.
    run
        The run that events name; None: they name none.
    """

    def __init__(self, seed: int, traits: Traits, key: str, run: str | None) -> None:
        self.traits = traits
        self.key = key
        self.run = run
        self.moments: list[Moment] = []
        self.steps: list[Step] = []
        self._seed = seed
        self._events = 0
        self._at_end: list[Callable[[], None]] = []

    def do(self, at_ms: int, effect: Callable[[], None]) -> None:
        """Changes the pipeline's state at a time."""
        self.moments.append((at_ms, None, effect))

    def at_end(self, at_ms: int, effect: Callable[[], None]) -> None:
        """Changes the pipeline's state when the run ends at a time, or when it is pruned."""
        self.do(at_ms, effect)
        self._at_end.append(effect)

    def allow_prune(self, at_ms: int) -> None:
        """Adds a point at which the run may be pruned."""
        if self.run is not None:
            self.moments.append((at_ms, None, None))

    def emit(self, at_ms: int, execution: str, operator: str, state: str, **rest: Any) -> None:
        """Adds an event; parameters as of `event`."""
        self.moments.append((at_ms, self.event(at_ms, execution, operator, state, **rest), None))

    def event(self, at_ms: int, execution: str, operator: str, state: str, **rest: Any) -> Json:
        """A native event.

        Parameters
        ----------
        at_ms
            Its time, in ms since 1970 UTC.
        execution, operator, state
            The id, type and state of the execution.
        rest
            Further fields; empty ones are left out.
        """
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
        """Performs work, and repeats it while it fails and attempts are left; returns the last attempt."""
        step = self.attempt(ready_ms, work)
        for attempt in range(2, attempts + 1):
            if step.state != FAILED:
                break
            step = self.attempt(step.end_ms + RETRY_AFTER_MS, work, attempt)
        return step

    def attempt(self, ready_ms: int, work: Work, attempt: int = 1) -> Step:
        """Performs work once; each attempt is an execution of its own."""
        label = work.label if attempt == 1 else f"{work.label}~{attempt}"
        rng = generator(self._seed, self.key, label)
        state, duration_ms = draw_fate(rng, work)
        start_ms = ready_ms + (round(1000 * rng.expovariate(1 / 40)) + 1 if self.traits.reports_queue else 0)
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
        """Adds the events of a step's start and progress; the first one has its inputs."""
        if work.prunable:
            self.allow_prune(step.ready_ms)
        first = {"inputs": work.inputs, "properties": {"owner": self.traits.owner, **work.properties, **more}}
        if step.ready_ms < step.start_ms:
            self.emit(step.ready_ms, step.id, step.operator, NEW, **first)
            first = {}
        self.emit(step.start_ms, step.id, step.operator, RUNNING, **first)
        duration_ms = step.end_ms - step.start_ms
        if work.prunable and duration_ms > 2 * PRUNE_POINT_AFTER_MS:
            self.allow_prune(step.start_ms + PRUNE_POINT_AFTER_MS)
        if self.traits.reports_progress and work.operator == "Trainer":
            for quarter in (1, 2, 3):
                at_ms = step.start_ms + duration_ms * quarter // 4
                self.emit(at_ms, step.id, step.operator, RUNNING, cost=self.cost(step, at_ms))

    def _end(self, step: Step, work: Work) -> None:
        if step.state == HUNG:
            return
        done = step.state == COMPLETE
        self.emit(
            step.end_ms,
            step.id,
            step.operator,
            step.state,
            inputs=work.inputs if self.traits.reports_inputs_twice else None,
            outputs=work.outputs if done else None,
            cost=self.cost(step, step.end_ms),
            properties=work.results if done else None,
        )

    def cost(self, step: Step, at_ms: int) -> Json | None:
        """The cost of a step at a time, in an event's form; None if the pipeline reports no costs."""
        return {"node_seconds": round(step.cost(at_ms), 3)} if self.traits.reports_cost else None

    def cached(self, at_ms: int, operator: str, label: str, inputs: list[Json], outputs: list[Json]) -> None:
        """Adds the event of a step whose outputs were taken from the cache."""
        cost = {"node_seconds": 0.0} if self.traits.reports_cost else None
        properties = {"owner": self.traits.owner}
        execution = f"{self.key}/{label}"
        self.emit(
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
        """Ends the run.

        Parameters
        ----------
        now_ms
            When it is pruned, in ms since 1970 UTC.
        verdict
            The id of the verdict that prunes it.

        Returns
        -------
        list
            The events that cancel the steps in progress and the run.
        """
        emitted = []
        properties = {"pruned_by": verdict}
        for step in self.steps:
            if step.ready_ms < now_ms and (step.end_ms > now_ms or step.state == HUNG):
                cost = self.cost(step, now_ms)
                emitted.append(self.event(now_ms, step.id, step.operator, CANCELED, cost=cost, properties=properties))
        if self.run is not None:
            emitted.append(self.event(now_ms, self.run, "PipelineRun", CANCELED, properties=properties))
        for effect in self._at_end:
            effect()
        self.moments.clear()
        return emitted
