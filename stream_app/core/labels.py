"""When an outcome is said, and what is learned from it: the example for the log, and the pipeline's history.

An outcome is a function of the facts (`outcomes`); saying it is an act. After a run's end without a push a grace
period passes first, learned from the pipeline's past push delays. A push after "not pushed" is said as a correction.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Mapping

from stream_app.core import features
from stream_app.core.history import CODES_MAX, REMEMBERED, History, Snapshot, Spread, remember
from stream_app.core.outcomes import Outcome, run_outcome
from stream_app.core.outputs import (
    FAILED,
    NOT_PUSHED,
    OPEN,
    PRUNE,
    PRUNED,
    PUSHED,
    RUN_ENDED,
    VALIDATE,
    Example,
    StageRecord,
)
from stream_app.core.state import Execution, Graphlet, Pipeline, Run, Said, Talk

GRAPHLET, RUN = 0, 1


def schedule(pipeline: Pipeline, changed: Iterable[Graphlet], runs: Iterable[str], horizon_ms: int) -> None:
    """Puts outcomes that became known into the pipeline's queue, each for when it may be said."""
    grace_ms = pipeline.history.grace_ms()
    for graphlet in changed:
        if graphlet.kind not in (OPEN, graphlet.said_kind):
            waits = graphlet.cause == RUN_ENDED and not graphlet.said_kind
            when_ms = grace(pipeline, graphlet, graphlet.time_ms or 0, grace_ms) if waits else 0
            heapq.heappush(pipeline.unsaid, (when_ms, GRAPHLET, graphlet.trainer.id))
    for run_id in runs:
        run = pipeline.runs.get(run_id)
        if run is None or run.talk is None:
            continue
        outcome = run_outcome(pipeline, run, horizon_ms)
        if outcome.kind not in (OPEN, run.said_kind):
            waits = outcome.kind == NOT_PUSHED and not run.said_kind
            when_ms = grace(pipeline, run, outcome.time_ms or 0, grace_ms) if waits else 0
            heapq.heappush(pipeline.unsaid, (when_ms, RUN, run_id))


def grace(pipeline: Pipeline, entity: Graphlet | Run, end_ms: int, grace_ms: int) -> int:
    """When the grace after a run's end is over: set once, kept with the entity, so that a restart keeps the word."""
    if entity.say_ms is None:
        entity.say_ms = end_ms + grace_ms
        mark(pipeline, entity)
    return entity.say_ms


def say_due(pipeline: Pipeline, horizon_ms: int, nodes: Mapping[str, float]) -> list[Example]:
    """Says every outcome whose time has come.

    Parameters
    ----------
    nodes
        Operator -> nodes, for costs.
    """
    examples: list[Example] = []
    while pipeline.unsaid and pipeline.unsaid[0][0] <= pipeline.clock_ms:
        _, what, name = heapq.heappop(pipeline.unsaid)
        example = None
        if what == GRAPHLET:
            graphlet = pipeline.graphlets.get(name)
            if graphlet is not None and graphlet.kind not in (OPEN, graphlet.said_kind):
                example = say_graphlet(pipeline, graphlet, nodes)
        else:
            run = pipeline.runs.get(name)
            if run is not None and run.talk is not None:
                outcome = run_outcome(pipeline, run, horizon_ms)
                if outcome.kind not in (OPEN, run.said_kind):
                    example = say_run(pipeline, run, outcome, nodes)
        if example is not None:
            examples.append(example)
    return examples


def say_graphlet(pipeline: Pipeline, graphlet: Graphlet, nodes: Mapping[str, float]) -> Example | None:
    """Says a graphlet's outcome; None when no stage of it was ever predicted, so that nobody can learn from it."""
    graphlet.said_kind = graphlet.kind
    graphlet.label_revision += 1
    mark(pipeline, graphlet)
    run = pipeline.runs.get(graphlet.trainer.run) if graphlet.trainer.run is not None else None
    inherited = run.talk if run is not None else None
    outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
    executions = own_executions(graphlet)
    record_outcome(pipeline, run, graphlet, outcome, nodes)
    flags = {index for talk in (graphlet.talk, inherited) if talk is not None for index in talk.flag_ms}
    record_flags(pipeline.history, outcome, flags, graphlet.label_revision == 1)
    if graphlet.talk is None and inherited is None:
        return None
    stages = records(graphlet.talk, executions, nodes)
    if outcome.kind == PRUNED and graphlet.label_revision == 1:
        spare(pipeline, graphlet.talk or inherited, len(run.trainers) if run is not None and not graphlet.talk else 1)
    if graphlet.label_revision == 1 and outcome.kind != PRUNED:
        record_costs(pipeline.history, stages)
    if final(outcome) and graphlet.talk is not None:
        graphlet.talk.stages = ()
    return Example(
        graphlet=graphlet.id,
        pipeline=pipeline.name,
        run=graphlet.trainer.run,
        trainer=graphlet.trainer.id,
        owner=features.text_property(features.subject(run, graphlet), "owner"),
        pushed=None if outcome.kind == PRUNED else outcome.kind == PUSHED,
        cause=outcome.cause or outcome.kind,
        time_ms=outcome.time_ms or 0,
        said_ms=pipeline.clock_ms,
        label_revision=graphlet.label_revision,
        stages=stages,
        inherited=records(inherited, run.executions if run is not None else (), nodes),
    )


def say_run(pipeline: Pipeline, run: Run, outcome: Outcome, nodes: Mapping[str, float]) -> Example:
    """Says whether any trainer of a run was pushed."""
    run.said_kind = outcome.kind
    run.label_revision += 1
    mark(pipeline, run)
    stages = records(run.talk, run.executions, nodes)
    if outcome.kind == PRUNED and run.label_revision == 1 and not run.trainers:
        spare(pipeline, run.talk, 1)
    if run.label_revision == 1 and outcome.kind != PRUNED:
        record_costs(pipeline.history, stages)
        mark(pipeline, pipeline.history)
        if not run.trainers:
            record_outcome(pipeline, run, None, outcome, nodes)
    if final(outcome) and run.talk is not None and all(trainer_said(trainer) for trainer in run.trainers):
        run.talk.stages = ()
    return Example(
        graphlet=f"{pipeline.name}/run:{run.id}",
        pipeline=pipeline.name,
        run=run.id,
        trainer=None,
        owner=features.text_property(features.subject(run, None), "owner"),
        pushed=None if outcome.kind == PRUNED else outcome.kind == PUSHED,
        cause=outcome.cause or outcome.kind,
        time_ms=outcome.time_ms or 0,
        said_ms=pipeline.clock_ms,
        label_revision=run.label_revision,
        stages=stages,
    )


def final(outcome: Outcome) -> bool:
    """Whether an outcome is as good as never corrected to a push: its stages need not be kept to be learned again."""
    return outcome.kind == PUSHED or outcome.cause == FAILED


def trainer_said(trainer: Execution) -> bool:
    """Whether a trainer has nothing more to say that would carry its run's stages."""
    return trainer.graphlet is None or bool(trainer.graphlet.said_kind)


def spare(pipeline: Pipeline, talk: Talk | None, shares: int) -> None:
    """Books what a prune avoided: the cost expected left at its verdict, of which each of `shares` trainers has one."""
    pruned = [said.cost_left for said in talk.stages if said.decision == PRUNE] if talk is not None else []
    if pruned:
        node_ms = int(pruned[-1] * 1000.0) // shares
        pipeline.ledger.avoided += node_ms
        pipeline.frozen_ledger.avoided += node_ms


def own_executions(graphlet: Graphlet) -> list[Execution]:
    """The trainer and the members that pruning could have spared: not what another run had done before."""
    run = graphlet.trainer.run
    return [graphlet.trainer, *(e for e in graphlet.members if run is None or e.run == run or e.run is None)]


def records(talk: Talk | None, executions: Iterable[Execution], nodes: Mapping[str, float]) -> list[StageRecord]:
    """The stages said, in wire form, with what was really used after each."""
    if talk is None:
        return []
    begun = [(e.start_ms, e.node_ms(nodes.get(e.type, 1.0))) for e in executions if e.group != "run"]
    return [
        stage_record(said, sum(node_ms for start_ms, node_ms in begun if start_ms >= said.time_ms) / 1000.0)
        for said in talk.stages
    ]


def stage_record(said: Said, actual_left: float) -> StageRecord:
    """A stage as it was said; `actual_left` in node-seconds."""
    return StageRecord(
        stage=said.stage,
        validator=said.validator,
        time_ms=said.time_ms,
        features=dict(zip(said.names, said.values, strict=True)),
        p=said.p,
        baseline=said.baseline,
        score=said.score,
        eligible=said.eligible,
        cost=said.cost,
        cost_left=said.cost_left,
        actual_left=actual_left,
        decision=said.decision,
        flagged=list(said.flagged),
        propensity=said.propensity,
    )


def record_costs(history: History, stages: list[StageRecord]) -> None:
    """Remembers what is used before and after each stage, to expect it of the next graphlets."""
    for stage in stages:
        history.costs.setdefault(stage.stage, Spread()).add(stage.actual_left)
        history.costs.setdefault(f"before.{stage.stage}", Spread()).add(stage.cost)


def record_outcome(
    pipeline: Pipeline,
    run: Run | None,
    graphlet: Graphlet | None,
    outcome: Outcome,
    nodes: Mapping[str, float],
) -> None:
    """Brings the pipeline's history up to date with one outcome, or with the correction of one."""
    history = pipeline.history
    mark(pipeline, history)
    if outcome.kind == PRUNED:
        return
    pushed = outcome.kind == PUSHED
    final = features.snapshot(pipeline, run, graphlet, VALIDATE, outcome.time_ms or 0, nodes)
    corrects = (graphlet.label_revision if graphlet is not None else 1) > 1
    if corrects and not pushed:
        return
    if not corrects:
        history.labelled += 1
        history.runs_since += 1
        remember(history.outcomes, int(pushed))
        remember(history.causes, outcome.cause or outcome.kind)
        history.pushed.add(float(pushed))
        history.failed.add(float(outcome.cause == FAILED))
        for name, value in final.numbers.items():
            history.numbers.setdefault(name, Spread()).add(value)
        blessed = features.blessing(pipeline, features.subject(run, graphlet))
        history.blessed_unpushed = 0 if pushed else history.blessed_unpushed + int(blessed == 1.0)
        history.last = final
        record_code(history, final.code_version, pushed, outcome.cause == FAILED)
    if pushed:
        record_push(history, final, outcome.time_ms or 0, run.end_ms() if run is not None else None)


def record_code(history: History, code: str, pushed: bool, failed: bool) -> None:
    """Counts how one version of the code does."""
    if not code:
        return
    counts = history.codes.pop(code, [0, 0, 0])
    history.codes[code] = [counts[0] + 1, counts[1] + int(pushed), counts[2] + int(failed)]
    while len(history.codes) > CODES_MAX:
        del history.codes[next(iter(history.codes))]


def record_push(history: History, final: Snapshot, push_ms: int, run_end_ms: int | None) -> None:
    """Counts a push and makes its graphlet the one that others are compared with."""
    history.pushes += 1
    insort(history.push_ms, push_ms)
    del history.push_ms[: -(REMEMBERED + 1)]
    remember(history.runs_between, history.runs_since)
    history.runs_since = 0
    remember(history.push_delays_ms, max(0, push_ms - run_end_ms) if run_end_ms is not None else 0)
    if history.last_pushed is None or push_ms >= history.last_pushed.time_ms:
        history.last_pushed = final


def record_flags(history: History, outcome: Outcome, flags: set[int], first: bool) -> None:
    """Remembers which budgets' policies had flagged the graphlet, for the cap per pipeline and the cadence guard."""
    if outcome.kind == PUSHED:
        remember(history.push_flags, sum(1 << index for index in flags))
    if first:
        history.flag_streaks = {index: history.flag_streaks.get(index, 0) + 1 for index in sorted(flags)}


def mark(pipeline: Pipeline, entity: Graphlet | Run | History) -> None:
    """Notes that an entity's row is to be written."""
    if pipeline.changed is not None:
        pipeline.changed[entity] = None
