"""When an outcome is said, and what is learned from it: the example for the log, and the pipeline's history.

An outcome is a function of the facts (`outcomes`); saying it is an act. After a run's end without a push, or once a
later graphlet was pushed, a grace period passes first, learned from how long the pipeline's pushes took. A push after
"not pushed" is said as a correction.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from stream_app.core.features import extraction
from stream_app.core.ids import run_graphlet_id
from stream_app.core.outcomes.history_update import record_costs, record_flags, record_outcome
from stream_app.core.outcomes.outcomes import Outcome, run_horizon_ms, run_outcome
from stream_app.core.outputs import (
    FAILED,
    NOT_PUSHED,
    OPEN,
    PRUNE,
    PRUNED,
    PUSHED,
    RUN_ENDED,
    SUPERSEDED,
    Example,
    StageRecord,
)
from stream_app.core.state.entities import Execution, Graphlet, Pipeline, Run, Said, Talk, mark

GRAPHLET, RUN = 0, 1


def schedule(pipeline: Pipeline, changed: Iterable[Graphlet], runs: Iterable[str], horizon_ms: int) -> None:
    """Puts outcomes that became known into the pipeline's queue, each for when it may be said."""
    for graphlet in changed:
        if graphlet.say_ms is not None:
            graphlet.say_ms = None
            mark(pipeline, graphlet)
        outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
        if outcome.kind not in (OPEN, graphlet.said_kind):
            enqueue(pipeline, graphlet, outcome, graphlet.trainer.start_ms)
    for run_id in runs:
        run = pipeline.runs.get(run_id)
        if run is not None and run.talk is not None:
            watch(pipeline, run, horizon_ms)
            outcome = run_outcome(pipeline, run, horizon_ms)
            if is_news(run, outcome) and outcome.kind not in (OPEN, run.said_kind):
                run.say_ms = None
                enqueue(pipeline, run, outcome, max((t.start_ms for t in run.trainers), default=0))
            let_go(pipeline, run)


def is_news(run: Run, outcome: Outcome) -> bool:
    """Whether a run's outcome is another than when it was last looked at; it is from now on the one waited for."""
    before = run.awaited
    run.awaited = (outcome.kind, outcome.cause, outcome.time_ms)
    return run.awaited != before


def resume(pipeline: Pipeline, horizon_ms: int) -> None:
    """Queues after a restart what was not said before it, each for when it was to be said."""
    for graphlet in pipeline.graphlets.values():
        outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
        if outcome.kind not in (OPEN, graphlet.said_kind):
            enqueue(pipeline, graphlet, outcome, graphlet.trainer.start_ms)
    for run in pipeline.runs.values():
        if run.talk is None:
            continue
        watch(pipeline, run, horizon_ms)
        outcome = run_outcome(pipeline, run, horizon_ms)
        if is_news(run, outcome) and outcome.kind not in (OPEN, run.said_kind):
            enqueue(pipeline, run, outcome, max((t.start_ms for t in run.trainers), default=0))


def watch(pipeline: Pipeline, run: Run, horizon_ms: int) -> None:
    """Lets a run of which something was said be looked at at its horizon: it may never end, nor have a trainer.

    A late event may move the horizon to an earlier moment, an execution that leaves the run to a later one.
    """
    when_ms = run_horizon_ms(run, horizon_ms)
    sooner = run.look_ms is None or when_ms < run.look_ms
    again = run.look_ms is not None and run.look_ms <= pipeline.clock_ms < when_ms
    if not run.said_kind and (sooner or again):
        run.look_ms = when_ms
        heapq.heappush(pipeline.unsaid, (when_ms, RUN, run.id))


def watch_sooner(pipeline: Pipeline, execution: Execution, horizon_ms: int) -> None:
    """Lets an execution's run be looked at earlier when an event says that it began before all that was known."""
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None and run.look_ms is not None and execution.first_ms + horizon_ms < run.look_ms:
        watch(pipeline, run, horizon_ms)


def enqueue(pipeline: Pipeline, entity: Graphlet | Run, outcome: Outcome, start_ms: int) -> None:
    """Queues an outcome for when it may be said: at once, or after the grace that is its due.

    After a run's end a push may come as late as pushes did; a graphlet overtaken by a later one's push may be under
    way as long as pushed ones were. The moment is set once and kept with the entity, so that a restart keeps it.
    """
    what, name = (GRAPHLET, entity.trainer.id) if isinstance(entity, Graphlet) else (RUN, entity.id)
    if entity.say_ms is None and outcome.kind == NOT_PUSHED and not entity.said_kind:
        if outcome.cause == SUPERSEDED:
            entity.say_ms = max(outcome.time_ms or 0, start_ms + pipeline.history.lead_ms())
        elif outcome.cause == RUN_ENDED or what == RUN:
            entity.say_ms = (outcome.time_ms or 0) + pipeline.history.grace_ms()
        mark(pipeline, entity)
    heapq.heappush(pipeline.unsaid, (entity.say_ms or 0, what, name))


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
            if graphlet is not None and graphlet.kind not in (OPEN, graphlet.said_kind) and waited(pipeline, graphlet):
                example = say_graphlet(pipeline, graphlet, nodes)
        else:
            run = pipeline.runs.get(name)
            if run is not None and run.talk is not None:
                outcome = run_outcome(pipeline, run, horizon_ms)
                if outcome.kind == OPEN:
                    watch(pipeline, run, horizon_ms)
                elif outcome.kind != run.said_kind and waited(pipeline, run):
                    example = say_run(pipeline, run, outcome, nodes)
        if example is not None:
            examples.append(example)
    return examples


def waited(pipeline: Pipeline, entity: Graphlet | Run) -> bool:
    """Whether the moment to speak has come: it may have been put off after it was queued."""
    return entity.say_ms is None or entity.say_ms <= pipeline.clock_ms


def say_graphlet(pipeline: Pipeline, graphlet: Graphlet, nodes: Mapping[str, float]) -> Example | None:
    """Says a graphlet's outcome; None when no stage of it was ever predicted, so that nobody can learn from it."""
    said_kind, graphlet.said_kind = graphlet.said_kind, graphlet.kind
    graphlet.label_revision += 1
    first = graphlet.label_revision == 1
    mark(pipeline, graphlet)
    mark(pipeline, pipeline.history)
    run = pipeline.runs.get(graphlet.trainer.run) if graphlet.trainer.run is not None else None
    inherited = run.talk if run is not None else None
    outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
    executions = own_executions(graphlet)
    counted = run is not None and run.counted
    pushed = record_outcome(pipeline, run, graphlet, outcome, said_kind, nodes)
    flags = {index for talk in (graphlet.talk, inherited) if talk is not None for index in talk.flag_ms}
    record_flags(pipeline.history, pushed, flags, first and not counted)
    if graphlet.talk is None and inherited is None:
        return None
    stages = records(graphlet.talk, executions, nodes)
    before = records(inherited, run.executions if run is not None else (), nodes)
    if first and outcome.kind == PRUNED:
        spare_trainer(pipeline, graphlet.talk, run)
    elif first:
        record_costs(pipeline.history, stages)
    if final(outcome) and graphlet.talk is not None:
        graphlet.talk.stages = ()
    if run is not None:
        let_go(pipeline, run)
    return Example(
        graphlet=graphlet.id,
        pipeline=pipeline.name,
        run=graphlet.trainer.run,
        trainer=graphlet.trainer.id,
        owner=extraction.text_property(extraction.subject(run, graphlet), "owner"),
        pushed=None if outcome.kind == PRUNED else outcome.kind == PUSHED,
        cause=outcome.cause or outcome.kind,
        time_ms=outcome.time_ms or 0,
        said_ms=pipeline.clock_ms,
        label_revision=graphlet.label_revision,
        stages=stages,
        inherited=before,
    )


def say_run(pipeline: Pipeline, run: Run, outcome: Outcome, nodes: Mapping[str, float]) -> Example:
    """Says whether any trainer of a run was pushed."""
    assert run.talk is not None
    said_kind, run.said_kind = run.said_kind, outcome.kind
    run.label_revision += 1
    mark(pipeline, run)
    mark(pipeline, pipeline.history)
    stages = records(run.talk, run.executions, nodes)
    if not run.trainers:
        pushed = record_outcome(pipeline, run, None, outcome, said_kind, nodes)
        record_flags(pipeline.history, pushed, set(run.talk.flag_ms), run.label_revision == 1)
        if outcome.kind == PRUNED and run.label_revision == 1:
            spare(pipeline, run.talk, 1)
            run.talk.spared = True
    if run.label_revision == 1 and outcome.kind != PRUNED:
        record_costs(pipeline.history, stages)
    let_go(pipeline, run)
    return Example(
        graphlet=run_graphlet_id(pipeline.name, run.id),
        pipeline=pipeline.name,
        run=run.id,
        trainer=None,
        owner=extraction.text_property(extraction.subject(run, None), "owner"),
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


def let_go(pipeline: Pipeline, run: Run) -> None:
    """Drops a run's stages when nobody can need them again: it is over, and no label of its trainers will change."""
    # Its own label may still be due in this very step, after its trainers'.
    said = run.awaited is not None and run.said_kind == run.awaited[0]
    over = said and run.trainers and run.end_ms() is not None
    if over and run.talk is not None and run.talk.stages and all(label_is_final(trainer) for trainer in run.trainers):
        run.talk.stages = ()
        mark(pipeline, run)


def label_is_final(trainer: Execution) -> bool:
    """Whether a trainer has nothing more to say that would carry its run's stages."""
    graphlet = trainer.graphlet
    if graphlet is None:
        return True
    outcome = Outcome(graphlet.kind, graphlet.cause, graphlet.time_ms)
    return graphlet.said_kind == graphlet.kind and final(outcome)


def spare_trainer(pipeline: Pipeline, own: Talk | None, run: Run | None) -> None:
    """Books what the prune of a trainer avoided: by its own flag, else by its part of its run's, which counts once."""
    inherited = run.talk if run is not None else None
    if inherited is not None and inherited.spared:
        return
    if own is not None and spare(pipeline, own, 1):
        return
    if run is not None and inherited is not None:
        spare(pipeline, inherited, len(run.trainers))


def spare(pipeline: Pipeline, talk: Talk, shares: int) -> bool:
    """Books the cost expected left at the last flag, of which each of `shares` trainers has one; False without one."""
    pruned = [said.cost_left for said in talk.stages if said.decision == PRUNE]
    if pruned:
        node_ms = int(pruned[-1] * 1000.0) // shares
        pipeline.ledger.avoided += node_ms
        pipeline.frozen_ledger.avoided += node_ms
    return bool(pruned)


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
        guard=said.guard,
        cost=said.cost,
        cost_left=said.cost_left,
        actual_left=actual_left,
        decision=said.decision,
        flagged=list(said.flagged),
        propensity=said.propensity,
    )
