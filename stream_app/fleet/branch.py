"""A trainer's branch of a run: train, validate, push."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

from stream_app.core.events import COMPLETE, FAILED
from stream_app.core.outputs import INPUT, PREPROCESS, TRAIN, VALIDATE
from stream_app.fleet.chances import (
    EVALUATE_SIGMA,
    PREPROCESS_SIGMA,
    SERVABLE,
    SURE,
    TRAIN_SIGMA,
    Chances,
)
from stream_app.fleet.draws import generator
from stream_app.fleet.options import HOUR_MS
from stream_app.fleet.plan import STAGGER_MS, Plan
from stream_app.fleet.standing import Pushed, chances
from stream_app.fleet.story import Candidate
from stream_app.fleet.timeline import RETRY_AFTER_MS, Json, Step, Timeline, Work, artifact
from stream_app.fleet.traits import METRICS

#: Scatter of a trainer's own metric around its model's quality, in units of quality.
TRAIN_METRIC_SIGMA = 0.4
#: Hours until an approved model is pushed, from the least to the most.
APPROVAL_HOURS = (1.5, 100.0)


@dataclass(slots=True)
class Branch:
    """One slot's trainer in one run, attempt by attempt, with its luck drawn ahead."""

    plan: Plan
    slot: int
    #: When the run's data was there, and what the trainer reads.
    input_ms: int
    inputs: list[Json]
    chances: Chances
    moved_preprocess: float
    rng: Random
    #: The model served when the run started: what a candidate is measured against.
    baseline: Pushed | None

    @property
    def suffix(self) -> str:
        """Tells the slots of a run apart in ids."""
        return f".{self.slot + 1}" if self.plan.traits.slots > 1 else ""


def open_branch(plan: Plan, slot: int, input_ms: int, inputs: list[Json]) -> Branch:
    """Freeze what decides about a slot's candidate when the run starts."""
    pipeline, traits = plan.pipeline, plan.traits
    standing, rules = pipeline.standing, pipeline.rules
    return Branch(
        plan=plan,
        slot=slot,
        input_ms=input_ms,
        inputs=inputs,
        chances=chances(traits, standing, rules, pipeline.code, plan.span, slot, plan.turn),
        moved_preprocess=generator(pipeline.seed, plan.key, "preprocess").gauss(0.0, PREPROCESS_SIGMA),
        rng=generator(pipeline.seed, plan.key, "slot", slot),
        baseline=standing.pushed.get(slot),
    )


def resolve_baselines(plan: Plan, ready_ms: int) -> None:
    """Resolvers find the served models at the start of a run: each reads and writes the same artifact."""
    if plan.traits.baseline != "resolver":
        return
    for slot, pushed in sorted(plan.pipeline.standing.pushed.items()):
        suffix = f".{slot + 1}" if plan.traits.slots > 1 else ""
        served = [artifact(pushed.model, "Model")]
        work = Work("Resolver", f"Resolver{suffix}", 4.0, 0.1, SURE, served, served, prunable=False)
        plan.perform(ready_ms, work)


def train(branch: Branch, ready_ms: int) -> None:
    """Train the slot's model, again where that fails and the pipeline retries, and go on with it."""
    plan, standing = branch.plan, branch.plan.pipeline.standing
    if (
        plan.traits.caches == "all"
        and not plan.traits.warm_start
        and standing.trained_on.get(branch.slot) == plan.fingerprint
    ):
        plan.timeline.ask(ready_ms)
        model = artifact(standing.trained[branch.slot], "Model")
        plan.timeline.cached(ready_ms, "Trainer", f"Trainer{branch.suffix}", branch.inputs, [model])
        return
    for attempt in range(1, 3 if plan.traits.retries else 2):
        # Drawn whether or not the attempt comes to anything, so that later draws stay where they are.
        moved_train, moved_evaluate = (
            branch.rng.gauss(0.0, TRAIN_SIGMA),
            branch.rng.gauss(0.0, EVALUATE_SIGMA),
        )
        noise = branch.rng.gauss(0.0, TRAIN_METRIC_SIGMA)
        moved = (branch.moved_preprocess + moved_train, moved_evaluate)
        candidate = _train_once(branch, ready_ms, attempt, moved[0] + noise)
        if candidate.step.state != FAILED:
            plan.steps.append(candidate.step)
            if candidate.step.state == COMPLETE:
                _validate(branch, candidate, *moved)
            return
        ready_ms = candidate.step.end_ms + RETRY_AFTER_MS
    plan.steps.append(candidate.step)


def _train_once(branch: Branch, ready_ms: int, attempt: int, quality: float) -> Candidate:
    plan, standing, slot = branch.plan, branch.plan.pipeline.standing, branch.slot
    work = plan.work("Trainer", f"Trainer{branch.suffix}", 1.0 / plan.traits.slots)
    work.inputs = branch.inputs
    if plan.traits.warm_start and slot in standing.trained:
        work.inputs = [*work.inputs, artifact(standing.trained[slot], "Model")]
    model = f"{plan.key}/model{branch.suffix}" + (f"~{attempt}" if attempt > 1 else "")
    work.outputs = [artifact(model, "Model")]
    work.properties |= {"model_type": plan.traits.model_type}
    work.results = {plan.traits.metric: _metric(branch, quality), "loss": round(0.7 - 0.03 * quality, 4)}
    step = plan.timeline.attempt(ready_ms, work, attempt)
    before = branch.chances
    stages = [
        (branch.input_ms, INPUT, before.at_input()),
        (ready_ms, PREPROCESS, before.at_preprocess(branch.moved_preprocess)),
    ]
    candidate = Candidate(step, model, stages)
    plan.candidates.append(candidate)
    if step.state == COMPLETE:
        plan.timeline.do(step.end_ms, partial(standing.train, slot, model, plan.fingerprint))
    return candidate


def _metric(branch: Branch, quality: float) -> float:
    """What the pipeline's metric shows of a quality, above that of its present code."""
    traits, code = branch.plan.traits, branch.plan.pipeline.code
    broken = branch.chances.lead if code.broken == "silent" or branch.plan.span.bad else 0.0
    level = code.quality + min(0.0, broken) + quality
    sign = 1.0 if METRICS[traits.metric] else -1.0
    return round(traits.metric_level + sign * traits.metric_unit * level, 5)


def _validate(branch: Branch, candidate: Candidate, moved: float, moved_evaluate: float) -> None:
    plan, trainer = branch.plan, candidate.step
    candidate.stages.append((trainer.end_ms, TRAIN, branch.chances.at_train(moved)))
    margin = branch.chances.lead + moved + moved_evaluate
    blessed = not plan.traits.has_evaluator or margin > 0.0
    servable = not plan.traits.has_infra_validator or branch.rng.random() < SERVABLE
    model = artifact(candidate.model, "Model")
    judgements: list[Json] = []
    ends = []
    for place, operator in enumerate(("Evaluator", "InfraValidator")):
        if not (plan.traits.has_evaluator, plan.traits.has_infra_validator)[place]:
            continue
        work = plan.work(operator, f"{operator}{branch.suffix}", 1.0 / plan.traits.slots)
        work.trainer = trainer.id
        if operator == "Evaluator":
            judgement = artifact(f"{plan.key}/blessing{branch.suffix}", "ModelBlessing", blessed=int(blessed))
            _evaluate(branch, work, model, margin, moved + moved_evaluate)
        else:
            judgement = artifact(f"{plan.key}/infra_blessing{branch.suffix}", "InfraBlessing", blessed=int(servable))
            work.inputs = [model]
        work.outputs = [*work.outputs, judgement]
        judgements.append(artifact(judgement["id"], judgement["type"]))
        step = plan.perform(trainer.end_ms + place * STAGGER_MS, work)
        ends.append(step.end_ms)
        if step.state != COMPLETE:
            judgements = []
            break
    if ends:
        if not judgements:
            return
        candidate.stages.append((max(ends), VALIDATE, branch.chances.at_validate(blessed, servable)))
    _push(branch, candidate, max(ends, default=trainer.end_ms), [model, *judgements], (blessed, servable))


def _evaluate(branch: Branch, work: Work, model: Json, margin: float, moved: float) -> None:
    plan, metric = branch.plan, branch.plan.traits.metric
    work.inputs = [plan.window[-1], model]
    work.results = {metric: _metric(branch, moved)}
    if plan.traits.baseline != "none" and branch.baseline is not None:
        work.inputs = [*work.inputs, artifact(branch.baseline.model, "Model")]
        ahead = margin + plan.pipeline.rules.policy.margin
        work.results[f"baseline_{metric}"] = _metric(branch, moved - ahead)
    work.outputs = [artifact(f"{plan.key}/evaluation{branch.suffix}", "ModelEvaluation")]


def _push(branch: Branch, candidate: Candidate, ready_ms: int, inputs: list[Json], fit: tuple[bool, bool]) -> None:
    plan, traits, standing = branch.plan, branch.plan.traits, branch.plan.pipeline.standing
    blessed, servable = fit
    luck = branch.rng.random()
    wait = branch.rng.random()
    chance = (plan.turn.blessed if blessed else plan.turn.unblessed) if servable else 0.0
    pushes = luck < chance
    if traits.pusher == "approval" and blessed and plan.turn.due:
        # Offered to a person: nothing else is, while it waits.
        plan.timeline.do(ready_ms, partial(standing.offer, ready_ms))
    if traits.pusher == "none" or not (pushes or traits.pusher == "always"):
        return
    timeline = plan.timeline
    if traits.pusher == "approval":
        low, high = APPROVAL_HOURS
        ready_ms += round(HOUR_MS * low * (high / low) ** wait)
        key = f"{plan.key}-release{branch.suffix}"
        timeline = Timeline(plan.pipeline.seed, traits, key, None if traits.push_stands_alone else key)
        plan.releases.append(timeline)
    elif traits.push_wait_hours:
        ready_ms += round(HOUR_MS * traits.push_wait_hours * (0.5 + wait))
    work = plan.work("Pusher", f"Pusher{branch.suffix}")
    work.trainer = candidate.step.id
    work.inputs = inputs
    work.prunable = traits.pusher != "approval"
    told = {"pushed": int(pushes)} | ({"pushed_version": str(ready_ms // 1000)} if pushes else {})
    work.outputs = [artifact(f"{plan.key}/pushed{branch.suffix}", "PushedModel", **told)]
    step = timeline.perform(ready_ms, work, 2 if traits.retries else 1)
    if traits.pusher != "approval":
        plan.steps.append(step)
    if pushes and step.state == COMPLETE:
        candidate.pushed_ms = step.end_ms
        _serve_from(branch, timeline, step, inputs[0]["id"])


def _serve_from(branch: Branch, timeline: Timeline, pusher: Step, model: str) -> None:
    plan = branch.plan
    span, quality, standing = plan.span, plan.pipeline.code.quality, plan.pipeline.standing
    pushed = Pushed(model, span.index, span.drift, quality)
    timeline.do(pusher.end_ms, partial(standing.push, branch.slot, pushed, pusher.end_ms))
