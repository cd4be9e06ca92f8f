"""Training in a branch of a run."""

from __future__ import annotations

from functools import partial

from stream_app.core.events import COMPLETE, FAILED
from stream_app.core.outputs import INPUT, PREPROCESS, TRAIN
from stream_app.core.properties import TASK
from stream_app.simulator.branch import Branch, slot_suffix
from stream_app.simulator.chances import EVALUATE_SIGMA, SURE, TRAIN_SIGMA
from stream_app.simulator.plan import Plan
from stream_app.simulator.release import validate
from stream_app.simulator.simulated_run import Candidate
from stream_app.simulator.steps import Work, artifact
from stream_app.simulator.timeline import RETRY_AFTER_MS

#: Scatter of a trainer's own metric around its model's quality, in units of quality.
TRAIN_METRIC_SIGMA = 0.4


def resolve_baselines(plan: Plan, ready_ms: int) -> None:
    """Resolvers find the served models at the start of a run: each reads and writes the same artifact."""
    if plan.traits.baseline != "resolver":
        return
    for slot, pushed in sorted(plan.pipeline.state.pushed.items()):
        served = [artifact(pushed.model, "Model")]
        label = f"Resolver{slot_suffix(plan, slot)}"
        plan.perform(ready_ms, Work("Resolver", label, 4.0, 0.1, SURE, served, served, prunable=False))


def train(branch: Branch, ready_ms: int) -> None:
    """Train the slot's model, again where that fails and the pipeline retries, and go on with it."""
    plan, rng = branch.plan, branch.rng
    if _take_from_cache(branch, ready_ms):
        return
    for attempt in range(1, plan.attempts + 1):
        quality = branch.moved_preprocess + rng.gauss(0.0, TRAIN_SIGMA)
        measured = quality + rng.gauss(0.0, EVALUATE_SIGMA)
        candidate = _attempt(branch, ready_ms, attempt, quality + rng.gauss(0.0, TRAIN_METRIC_SIGMA))
        if candidate.step.state != FAILED:
            break
        ready_ms = candidate.step.end_ms + RETRY_AFTER_MS
    plan.steps.append(candidate.step)
    if candidate.step.state == COMPLETE:
        candidate.stages.append((candidate.step.end_ms, TRAIN, branch.chances.at_train(quality)))
        validate(branch, candidate, measured)


def _take_from_cache(branch: Branch, ready_ms: int) -> bool:
    """Whether nothing has changed since the slot's last model, in a pipeline that then keeps it."""
    plan, pipeline_state = branch.plan, branch.plan.pipeline.state
    if plan.traits.caches != "all" or plan.traits.warm_start:
        return False
    if pipeline_state.trained_on.get(branch.slot) != plan.fingerprint:
        return False
    plan.timeline.allow_prune(ready_ms)
    model = artifact(pipeline_state.trained[branch.slot], "Model")
    plan.timeline.cached(ready_ms, "Trainer", f"Trainer{branch.suffix}", branch.inputs, [model])
    return True


def _attempt(branch: Branch, ready_ms: int, attempt: int, shown: float) -> Candidate:
    """Train once; the trainer's own metric shows `shown` of its model's quality."""
    plan, pipeline_state, slot = branch.plan, branch.plan.pipeline.state, branch.slot
    model = f"{plan.key}/model{branch.suffix}" + (f"~{attempt}" if attempt > 1 else "")
    work = branch.work("Trainer")
    work.inputs, work.outputs = branch.inputs, [artifact(model, "Model")]
    if plan.traits.warm_start and slot in pipeline_state.trained:
        work.inputs = [*work.inputs, artifact(pipeline_state.trained[slot], "Model")]
    work.properties["model_type"] = plan.traits.model_type
    if branch.suffix:  # trainers side by side differ in their parameters, which nobody reports in full
        work.properties[TASK] = f"{work.operator}{branch.suffix}"
    work.results = {plan.traits.metric: branch.metric(shown), "loss": round(0.7 - 0.03 * shown, 4)}
    step = plan.timeline.attempt(ready_ms, work, attempt)
    if step.state == COMPLETE:
        plan.timeline.do(step.end_ms, partial(pipeline_state.train, slot, model, plan.fingerprint))
    stages = [
        (branch.input_ms, INPUT, branch.chances.at_input()),
        (ready_ms, PREPROCESS, branch.chances.at_preprocess(branch.moved_preprocess)),
    ]
    candidate = Candidate(step, model, stages)
    plan.candidates.append(candidate)
    return candidate
