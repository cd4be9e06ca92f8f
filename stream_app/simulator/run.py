"""What starts when a pipeline's time has come: a run, and what people do by hand beside it."""

from __future__ import annotations

from stream_app.core.events import COMPLETE
from stream_app.core.outputs import INPUT, PREPROCESS, TRAIN
from stream_app.core.units import HOUR_MS
from stream_app.simulator.branch import open_branch
from stream_app.simulator.draws import generator
from stream_app.simulator.pipeline import Pipeline
from stream_app.simulator.plan import STAGGER_MS, Plan
from stream_app.simulator.simulated_run import Candidate, SimulatedRun
from stream_app.simulator.steps import artifact
from stream_app.simulator.timeline import Timeline
from stream_app.simulator.training import resolve_baselines, train

#: Chances that somebody looks at the data by hand beside a run, trains a model by hand, and pushes that.
LOOKS, TRAINS, PUSHES = 0.3, 0.1, 0.03


def start_run(pipeline: Pipeline) -> list[SimulatedRun]:
    """Start the pipeline's next run, as planned from where the pipeline stands now."""
    plan = Plan(pipeline)
    ready_ms = plan.begin()
    resolve_baselines(plan, ready_ms)
    data_ms = plan.ingest(ready_ms)
    if data_ms is not None:
        transformed_ms, inputs = plan.transform(data_ms)
        if transformed_ms is not None:
            trains_ms, inputs = plan.tune(transformed_ms, inputs)
            if trains_ms is not None:
                for slot in range(plan.traits.slots):
                    ready_ms = trains_ms + slot * STAGGER_MS
                    input_ms = data_ms if plan.traits.has_transform else ready_ms
                    train(open_branch(plan, slot, input_ms, inputs), ready_ms)
    plan.finish()
    released = [step for release in plan.releases for step in release.steps]
    started = [SimulatedRun(plan.timeline, plan.candidates, released)]
    if plan.traits.explores and data_ms is not None:
        started += _explore(plan, data_ms)
    return started


def _explore(plan: Plan, data_ms: int) -> list[SimulatedRun]:
    """Executions without a run, on the run's data, hours later."""
    rng = generator(plan.pipeline.seed, plan.key, "by hand")
    looks, trains, pushes, wait = rng.random(), rng.random(), rng.random(), rng.random()
    timeline = Timeline(plan.pipeline.seed, plan.traits, f"{plan.key}-adhoc", None)
    ready_ms = data_ms + round(HOUR_MS * (0.5 + 5.5 * wait))
    candidates = []
    if looks < LOOKS:
        work = plan.work("StatisticsGen")
        work.inputs = plan.window[-1:]
        work.outputs = [artifact(f"{plan.key}/adhoc/statistics", "ExampleStatistics")]
        timeline.perform(ready_ms, work)
    if trains < TRAINS:
        work = plan.work("Trainer", cost_share=0.3)
        model = artifact(f"{plan.key}/adhoc/model", "Model")
        work.inputs, work.outputs = plan.window, [model]
        step = timeline.attempt(ready_ms, work)
        before = work.odds.once * PUSHES
        candidate = Candidate(step, model["id"], [(ready_ms, INPUT, before), (ready_ms, PREPROCESS, before)])
        candidates.append(candidate)
        if step.state == COMPLETE:
            candidate.stages.append((step.end_ms, TRAIN, PUSHES))
            if pushes < PUSHES:
                work = plan.work("Pusher")
                work.trainer = step.id
                pushed = artifact(f"{plan.key}/adhoc/pushed", "PushedModel", pushed=1)
                work.inputs, work.outputs = [model], [pushed]
                pusher = timeline.perform(step.end_ms + HOUR_MS, work)
                candidate.pushed_ms = pusher.end_ms if pusher.state == COMPLETE else None
    if not timeline.moments:
        return []
    timeline.moments.sort(key=lambda moment: moment[0])
    return [SimulatedRun(timeline, candidates, [])]
