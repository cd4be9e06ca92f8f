"""A simulated run, or work outside of any run: its events, and the hidden truth about the models trained in it."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.core.ids import graphlet_id
from stream_app.simulator.steps import Json, Step
from stream_app.simulator.timeline import Timeline


@dataclass(slots=True)
class Candidate:
    """A trainer and the hidden truth about its model."""

    step: Step
    #: Artifact id.
    model: str
    #: (when, stage, chance of a push then), in order.
    stages: list[tuple[int, str, float]]
    #: When its push completed, or will unless the run is pruned.
    pushed_ms: int | None = None


@dataclass(slots=True)
class SimulatedRun:
    """A run, or work outside of any run, whose moments are emitted one by one."""

    timeline: Timeline
    candidates: list[Candidate]
    #: Steps of later releases, in timelines of their own.
    released: list[Step]

    def truth(self, cut_ms: int | None = None, pruned_by: str | None = None) -> list[Json]:
        """The truth about each trainer that started, once the run has ended or was pruned.

        Parameters
        ----------
        cut_ms
            When the run was pruned, in ms since 1970 UTC; None: it was not.
        pruned_by
            The id of the verdict that pruned it.
        """
        until = cut_ms if cut_ms is not None else 1 << 62
        started = [candidate for candidate in self.candidates if candidate.step.ready_ms < until]
        if not started:
            return []
        costs: dict[str | None, float] = {}
        for step in self.timeline.steps + self.released:
            costs[step.trainer] = costs.get(step.trainer, 0.0) + step.cost(until)
        shared = costs.get(None, 0.0) / len(started)
        pipeline = self.timeline.traits.name
        return [
            {
                "graphlet": graphlet_id(pipeline, candidate.step.id),
                "pipeline": pipeline,
                "run": candidate.step.run,
                "trainer": candidate.step.id,
                "pushed": candidate.pushed_ms is not None and candidate.pushed_ms <= until,
                "pruned_by": pruned_by,
                "p": {stage: p for at_ms, stage, p in candidate.stages if at_ms <= until},
                "cost_node_seconds": round(costs[candidate.step.id] + shared, 3),
            }
            for candidate in started
        ]
