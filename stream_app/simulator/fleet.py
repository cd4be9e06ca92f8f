"""A fleet of pipelines: their events in the order of arrival, generated while they are read."""

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
from stream_app.simulator.simulated_run import SimulatedRun
from stream_app.simulator.steps import Json

#: Called with a pipeline and a run; returns the id of the verdict that prunes the run, or None to let it continue.
Prune = Callable[[str, str], str | None]


@dataclass(slots=True)
class _Cursor:
    """A simulated run, and the index of its next moment."""

    simulated: SimulatedRun
    delivery: Random
    index: int = 0


@dataclass(slots=True)
class _Agenda:
    """A heap of (time, pipeline, count, item); the counts of a pipeline make keys unique."""

    heap: list[tuple[int, int, int, Any]] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, at_ms: int, pipeline: int, item: Any) -> None:
        count = self.counts.get(pipeline, 0)
        self.counts[pipeline] = count + 1
        heapq.heappush(self.heap, (at_ms, pipeline, count, item))


class Fleet:
    """Pipelines that run, succeed, fail and push, as native events; the same options give the same bytes.

    Parameters
    ----------
    options
        The options of the fleet.
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
        """Yields native events in the order of arrival, from the beginning. They share parts, so do not change them.

        Parameters
        ----------
        prune
            Closes the loop. It is called before each step from preprocessing on, and a minute into longer steps, after
            all events that have arrived by then were yielded. If it returns a verdict, the run is cancelled there,
            nothing of it is pushed, and its pipeline continues without that push.
        """
        self._truth.clear()
        agenda = _Agenda()
        pipelines = [Pipeline(self.options, index) for index in range(self.options.pipelines)]
        for pipeline in pipelines:
            self._schedule(agenda, pipeline)
        while agenda.heap:
            now_ms, index, count, item = heapq.heappop(agenda.heap)
            self._now_ms = now_ms
            if type(item) is _Cursor:
                yield from self._emit(agenda, item, index, now_ms, prune)
                moments = item.simulated.timeline.moments
                if item.index < len(moments):
                    heapq.heappush(agenda.heap, (moments[item.index][0], index, count, item))
                elif moments:
                    self._truth.extend(item.simulated.truth())
            elif type(item) is Pipeline:
                for simulated in start_run(item):
                    moments = simulated.timeline.moments
                    cursor = _Cursor(simulated, generator(self.options.seed, simulated.timeline.key, "delivery"))
                    agenda.add(moments[0][0], index, cursor)
                self._schedule(agenda, item)
            else:
                yield item

    def truth(self) -> Iterator[Json]:
        """Yields the hidden truth about the trainers whose runs have ended since the last call.

        A row has `graphlet`, `pipeline`, `run`, `trainer` (execution id), `pushed`, `pruned_by` (a verdict or
        None), `p` (stage reached -> the true probability of a push at that stage, given that the trainer starts) and
        `cost_node_seconds` (of the trainer, its validators and Pushers, and an equal part of the other steps of its
        run).
        """
        while self._truth:
            yield self._truth.popleft()

    def _schedule(self, agenda: _Agenda, pipeline: Pipeline) -> None:
        if pipeline.next_ms < self.options.end_ms:
            agenda.add(pipeline.next_ms, pipeline.traits.index, pipeline)

    def _emit(self, agenda: _Agenda, cursor: _Cursor, index: int, now_ms: int, prune: Prune | None) -> Iterator[Json]:
        """Yields the events of a run that happen now."""
        timeline = cursor.simulated.timeline
        moments = timeline.moments
        while cursor.index < len(moments) and moments[cursor.index][0] == now_ms:
            _, event, effect = moments[cursor.index]
            cursor.index += 1
            if event is not None:
                if _arrives(agenda, cursor, index, now_ms, event):
                    yield event
            elif effect is not None:
                effect()
            elif prune is not None:
                verdict = prune(timeline.traits.name, timeline.key)
                if verdict is not None:
                    self._truth.extend(cursor.simulated.truth(now_ms, verdict))
                    for emitted in timeline.prune(now_ms, verdict):
                        if _arrives(agenda, cursor, index, now_ms, emitted):
                            yield emitted
                    return


def _arrives(agenda: _Agenda, cursor: _Cursor, index: int, now_ms: int, event: Json) -> bool:
    """Whether an event arrives as it happens; its later arrivals go on the agenda."""
    at_once = False
    for delay in delays(cursor.simulated.timeline.traits, cursor.delivery):
        if delay == 0:
            at_once = True
        else:
            agenda.add(now_ms + delay, index, event)
    return at_once
