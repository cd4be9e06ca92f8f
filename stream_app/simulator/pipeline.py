"""A pipeline: its traits, its surroundings, its state, and when it runs."""

from __future__ import annotations

from stream_app.core.units import DAY_MS
from stream_app.simulator.draws import generator
from stream_app.simulator.hidden import Code, Rules, Spans
from stream_app.simulator.options import FleetOptions
from stream_app.simulator.pipeline_state import PipelineState, Pushed
from stream_app.simulator.traits import draw_traits


class Pipeline:
    """One pipeline of a fleet. Its runs start when they start, whatever became of earlier ones."""

    def __init__(self, options: FleetOptions, index: int) -> None:
        self.seed = options.seed
        self.traits = draw_traits(options, index)
        self.spans = Spans(options, self.traits)
        self.code = Code(options, self.traits)
        self.rules = Rules(options, self.traits)
        self._rng = generator(options.seed, "schedule", index)
        self._slot_ms = self.next_ms = self.traits.born_ms
        self.spans.advance(self.next_ms)
        self.state = PipelineState(ingested=self.spans.recent[-1].index - 1)
        self.runs = 0
        #: Born before the fleet's log begins: it has a model in service already.
        if self.next_ms - options.start_ms < 2 * self.traits.period_ms and self.rules.policy.pushes:
            self._serve()

    def start_run(self) -> tuple[int, int]:
        """The next run starts: its time, and its number from 0. Moves the world up to then."""
        now_ms, number = self.next_ms, self.runs
        self.spans.advance(now_ms)
        self.code.advance(now_ms)
        self.rules.advance(now_ms)
        self.runs += 1
        rng, period_ms = self._rng, self.traits.period_ms
        pause_ms = round((1.0 + 3.0 * rng.random()) * DAY_MS) if rng.random() < 0.004 else 0
        if self.traits.scheduled:
            self._slot_ms += period_ms + pause_ms // period_ms * period_ms
            self.next_ms = self._slot_ms + round(0.03 * period_ms * rng.random())
        else:
            self.next_ms += max(1000, round(period_ms * rng.gammavariate(2.0, 0.5))) + pause_ms
        return now_ms, number

    def _serve(self) -> None:
        """Put models in service that were pushed before the log begins."""
        rng, traits = self._rng, self.traits
        spans = self.spans.recent
        age_ms = round((self.rules.policy.gap_ms + traits.period_ms) * rng.random())
        seen = int(age_ms / traits.period_ms / traits.span_periods) + 1
        span = spans[max(0, len(spans) - 1 - seen)]
        for slot in range(traits.slots):
            model = f"{traits.name}/model/{slot}"
            pushed = Pushed(model, span.index, span.drift, self.code.quality)
            self.state.push(slot, pushed, self.next_ms - age_ms)
            self.state.trained[slot] = model
