"""Validation of a trained model, and its push, by a Pusher in the run or by a person later."""

from __future__ import annotations

from functools import partial

from stream_app.core.events import COMPLETE
from stream_app.core.outputs import VALIDATE
from stream_app.core.units import HOUR_MS
from stream_app.simulator.branch import Branch
from stream_app.simulator.chances import SERVABLE
from stream_app.simulator.pipeline_state import Pushed
from stream_app.simulator.plan import STAGGER_MS
from stream_app.simulator.simulated_run import Candidate
from stream_app.simulator.steps import Json, Step, Work, artifact
from stream_app.simulator.timeline import Timeline

#: Hours until an approved model is pushed, from the least to the most.
APPROVAL_HOURS = (1.5, 100.0)


def validate(branch: Branch, candidate: Candidate, measured: float) -> None:
    """Validate a model whose quality is `measured` so, in what its run moved it, and go on to its push."""
    plan, traits = branch.plan, branch.plan.traits
    blessed = not traits.has_evaluator or branch.chances.lead + measured > 0.0
    servable = not traits.has_infra_validator or branch.rng.random() < SERVABLE
    model = artifact(candidate.model, "Model")
    works = []
    if traits.has_evaluator:
        works.append(_evaluation(branch, model, measured, blessed))
    if traits.has_infra_validator:
        work = branch.work("InfraValidator")
        blessing = artifact(f"{plan.key}/infra_blessing{branch.suffix}", "InfraBlessing", blessed=int(servable))
        work.inputs, work.outputs = [model], [blessing]
        works.append(work)
    done_ms = candidate.step.end_ms
    for place, work in enumerate(works):
        work.trainer = candidate.step.id
        step = plan.perform(candidate.step.end_ms + place * STAGGER_MS, work)
        if step.state != COMPLETE:
            return
        done_ms = max(done_ms, step.end_ms)
    if works:
        candidate.stages.append((done_ms, VALIDATE, branch.chances.at_validate(blessed, servable)))
    chance = (plan.turn.blessed if blessed else plan.turn.unblessed) if servable else 0.0
    blessings = [artifact(work.outputs[-1]["id"], work.outputs[-1]["type"]) for work in works]
    if traits.pusher == "approval":
        if blessed and plan.turn.due:
            plan.timeline.do(done_ms, partial(plan.pipeline.state.offer, done_ms))
        _push_later(branch, candidate, done_ms, [model, *blessings], chance)
    elif traits.pusher != "none":
        _push(branch, candidate, done_ms, [model, *blessings], chance)


def _evaluation(branch: Branch, model: Json, measured: float, blessed: bool) -> Work:
    """An Evaluator's work: it measures the candidate and, in some pipelines, the served model beside it."""
    plan, metric = branch.plan, branch.plan.traits.metric
    work = branch.work("Evaluator")
    work.inputs = [plan.window[-1], model]
    work.results = {metric: branch.metric(measured)}
    if plan.traits.baseline != "none" and branch.baseline is not None:
        work.inputs = [*work.inputs, artifact(branch.baseline.model, "Model")]
        ahead = branch.chances.lead + measured + plan.pipeline.rules.policy.margin
        work.results[f"baseline_{metric}"] = branch.metric(measured - ahead)
    work.outputs = [
        artifact(f"{plan.key}/evaluation{branch.suffix}", "ModelEvaluation"),
        artifact(f"{plan.key}/blessing{branch.suffix}", "ModelBlessing", blessed=int(blessed)),
    ]
    return work


def _push(branch: Branch, candidate: Candidate, ready_ms: int, inputs: list[Json], chance: float) -> None:
    """A Pusher of the run pushes, or refuses where it runs all the same."""
    plan, traits = branch.plan, branch.plan.traits
    pushes = branch.rng.random() < chance
    wait = branch.rng.random()
    if pushes or traits.pusher == "always":
        ready_ms += round(HOUR_MS * traits.push_wait_hours * (0.5 + wait))
        step = _perform_push(branch, candidate, plan.timeline, ready_ms, inputs, pushes)
        plan.steps.append(step)


def _push_later(branch: Branch, candidate: Candidate, ready_ms: int, inputs: list[Json], chance: float) -> None:
    """A person approves, and a Pusher outside of the run pushes."""
    plan, traits = branch.plan, branch.plan.traits
    approves = branch.rng.random() < chance
    least, most = APPROVAL_HOURS
    wait_hours = least * (most / least) ** branch.rng.random()
    if approves:
        key = f"{plan.key}-release{branch.suffix}"
        timeline = Timeline(plan.pipeline.seed, traits, key, None if traits.push_stands_alone else key)
        plan.releases.append(timeline)
        _perform_push(branch, candidate, timeline, ready_ms + round(HOUR_MS * wait_hours), inputs, True)


def _perform_push(
    branch: Branch, candidate: Candidate, timeline: Timeline, ready_ms: int, inputs: list[Json], pushes: bool
) -> Step:
    plan = branch.plan
    work = branch.work("Pusher")
    work.trainer, work.inputs = candidate.step.id, inputs
    work.prunable = timeline is plan.timeline
    properties: Json = {"pushed": 1, "pushed_version": str(ready_ms // 1000)} if pushes else {"pushed": 0}
    work.outputs = [artifact(f"{plan.key}/pushed{branch.suffix}", "PushedModel", **properties)]
    step = timeline.perform(ready_ms, work, plan.attempts)
    if pushes and step.state == COMPLETE:
        candidate.pushed_ms = step.end_ms
        span, pipeline_state = plan.span, plan.pipeline.state
        pushed = Pushed(candidate.model, span.index, span.drift, plan.pipeline.code.quality)
        timeline.do(step.end_ms, partial(pipeline_state.push, branch.slot, pushed, step.end_ms))
    return step
