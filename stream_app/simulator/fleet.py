"""A fleet of pipelines: their events in the order of arrival, made while they are read."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stream_app.simulator.delivery import delays
from stream_app.simulator.draws import generator
from stream_app.simulator.options import FleetOptions
from stream_app.simulator.pipeline import Pipeline
from stream_app.simulator.run import start_run
from stream_app.simulator.steps import Json
from stream_app.simulator.story import Story

#: Asked with a pipeline and a run: the id of a verdict prunes the run, None lets it go on.
Prune = Callable[[str, str], str | None]


@dataclass(slots=True)
class _Walk:
    """A story and how far it has been told."""

    story: Story
    delivery: Random
    place: int = 0


@dataclass(slots=True)
class _Agenda:
    """What is still to happen: (when, pipeline, its count, a pipeline, a walk or an event under way), soonest first.

    The counts make every key unique and depend on nothing outside the pipeline.
    """

    heap: list[tuple[int, int, int, Any]] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, at_ms: int, pipeline: int, thing: Any) -> None:
        count = self.counts.get(pipeline, 0)
        self.counts[pipeline] = count + 1
        heapq.heappush(self.heap, (at_ms, pipeline, count, thing))


class Fleet:
    """Pipelines that run, succeed, fail and push, told in native events; the same options, the same bytes.

    Args:
        options: what fleet it is.
    """

    def __init__(self, options: FleetOptions) -> None:
        self.options = options
        self._truth: deque[Json] = deque()
        self._now_ms = options.start_ms

    @property
    def passed(self) -> float:
        """The share of the fleet's days that has passed, 0 to 1."""
        length_ms = self.options.end_ms - self.options.start_ms
        return min(1.0, max(0.0, (self._now_ms - self.options.start_ms) / length_ms))

    def events(self, prune: Prune | None = None) -> Iterator[Json]:
        """Native events in the order of arrival, from the beginning. They share parts: leave them as they are.

        With `prune` the loop is closed: it is asked before each step from preprocessing on, and a minute into
        the longer ones, after all events that have arrived by then were handed out. When it names a verdict,
        the run is cancelled there, nothing of it is pushed, and its pipeline lives on with that.
        """
        self._truth.clear()
        agenda = _Agenda()
        pipelines = [Pipeline(self.options, index) for index in range(self.options.pipelines)]
        for pipeline in pipelines:
            self._schedule(agenda, pipeline)
        while agenda.heap:
            now_ms, index, count, thing = heapq.heappop(agenda.heap)
            self._now_ms = now_ms
            if type(thing) is _Walk:
                yield from self._tell(agenda, thing, index, now_ms, prune)
                moments = thing.story.timeline.moments
                if thing.place < len(moments):
                    heapq.heappush(agenda.heap, (moments[thing.place][0], index, count, thing))
                elif moments:
                    self._truth.extend(thing.story.truth())
            elif type(thing) is Pipeline:
                for story in start_run(thing):
                    moments = story.timeline.moments
                    walk = _Walk(story, generator(self.options.seed, story.timeline.key, "delivery"))
                    agenda.add(moments[0][0], index, walk)
                self._schedule(agenda, thing)
            else:
                yield thing

    def truth(self) -> Iterator[Json]:
        """What the fleet knows about its trainers, for those decided since the last call, in order of decision.

        A row: `graphlet`, `pipeline`, `run`, `trainer` (execution id), `pushed`, `pruned_by` (a verdict or
        None), `p` (stage reached -> the world's own chance of a push then, given that the trainer starts) and
        `cost_node_seconds` (the trainer's, its validators' and Pushers', and an equal part of its run's other
        steps).
        """
        while self._truth:
            yield self._truth.popleft()

    def _schedule(self, agenda: _Agenda, pipeline: Pipeline) -> None:
        if pipeline.next_ms < self.options.end_ms:
            agenda.add(pipeline.next_ms, pipeline.traits.index, pipeline)

    def _tell(self, agenda: _Agenda, walk: _Walk, index: int, now_ms: int, prune: Prune | None) -> Iterator[Json]:
        """Tell what happens now of a story."""
        timeline = walk.story.timeline
        moments = timeline.moments
        while walk.place < len(moments) and moments[walk.place][0] == now_ms:
            _, event, effect = moments[walk.place]
            walk.place += 1
            if event is not None:
                if _arrives(agenda, walk, index, now_ms, event):
                    yield event
            elif effect is not None:
                effect()
            elif prune is not None:
                verdict = prune(timeline.traits.name, timeline.key)
                if verdict is not None:
                    self._truth.extend(walk.story.truth(now_ms, verdict))
                    for told in timeline.prune(now_ms, verdict):
                        if _arrives(agenda, walk, index, now_ms, told):
                            yield told
                    return


def _arrives(agenda: _Agenda, walk: _Walk, index: int, now_ms: int, event: Json) -> bool:
    """Whether an event arrives as it happens; its later arrivals go on the agenda."""
    at_once = False
    for delay in delays(walk.story.timeline.traits, walk.delivery):
        if delay == 0:
            at_once = True
        else:
            agenda.add(now_ms + delay, index, event)
    return at_once
