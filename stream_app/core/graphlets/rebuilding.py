"""Rebuilds graphlets around executions where a fact stops a rule of membership from holding."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stream_app.core.graphlets.membership import clear, spread_from_trainer, spread_read, spread_write
from stream_app.core.operators import DEPLOY, RUN, TRAIN
from stream_app.core.state.entities import Execution, Graphlet, has_graphlet
from stream_app.core.state.eviction import EvictionSummary
from stream_app.core.state.pipeline import Pipeline


def rebuild(pipeline: Pipeline, changed: Iterable[Execution], change: Callable[[], None]) -> None:
    """The slow path: applies a change after which rules may stop holding around some executions."""
    executions = neighbourhood(changed)
    concerned: dict[Graphlet, None] = dict(pipeline.oversized)
    for execution in executions:
        concerned.update(dict.fromkeys(execution.members_of or ()))
        if execution.graphlet is not None:
            concerned[execution.graphlet] = None
    for graphlet in concerned:
        clear(pipeline, graphlet)
    change()
    for execution in neighbourhood(changed):
        executions[execution] = None
    for execution in executions:
        execution.reads_trainer, execution.own_trainer = trainers_read(execution)
        refresh_graphlet(pipeline, execution)
    for graphlet in concerned:
        if graphlet.trainer.graphlet is graphlet:
            spread_from_trainer(pipeline, graphlet)
    for execution in executions:
        respread(pipeline, execution)


def neighbourhood(changed: Iterable[Execution]) -> dict[Execution, None]:
    """The executions and the readers of their outputs, of which other trainers may be read with them."""
    executions = dict.fromkeys(changed)
    for execution in list(executions):
        for version in execution.writes.values():
            executions.update(dict.fromkeys(version.all_readers()))
    return executions


def respread(pipeline: Pipeline, execution: Execution) -> None:
    """Spreads over every edge of an execution, as if all were new."""
    if execution.group == RUN:
        return
    if execution.graphlet is not None:
        spread_from_trainer(pipeline, execution.graphlet)
    for version in execution.reads.values():
        spread_read(pipeline, version, execution)
    for version in execution.writes.values():
        spread_write(pipeline, execution, version)


def trainers_read(execution: Execution) -> tuple[bool, bool]:
    """Whether an execution reads a version written by a trainer with a graphlet, and by one of its own run.

    Parameters
    ----------
    execution
        The execution.

    Returns
    -------
    tuple of bool
        True also where that trainer was evicted. The first is found for deploy executions alone.
    """
    evicted = execution.eviction or EvictionSummary()
    runs = {
        writer.run
        for version in execution.reads.values()
        for writer in version.writers
        if writer.group == TRAIN and has_graphlet(writer)
    }
    own_read = evicted.own_trainer or (execution.run is not None and execution.run in runs)
    any_read = own_read or evicted.read_trainer or bool(runs)
    return execution.group == DEPLOY and any_read, own_read


def refresh_graphlet(pipeline: Pipeline, execution: Execution) -> None:
    """Gives a trainer its graphlet, or takes the graphlet from an execution that is no trainer any more.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution. If it loses its graphlet, the members must have been cleared before.
    """
    graphlet = execution.graphlet
    if has_graphlet(execution):
        if graphlet is None:
            graphlet = pipeline.retired.pop(execution.id, None) or Graphlet(pipeline.name, execution)
            execution.graphlet = graphlet
            pipeline.graphlets[execution.id] = graphlet
            pipeline.work.settle_one(graphlet)
            pipeline.work.change_facts(execution)
    elif graphlet is not None:
        assert not graphlet.members
        execution.graphlet = None
        graphlet.horizon_ms = None
        pipeline.retired[execution.id] = graphlet
        del pipeline.graphlets[execution.id]
        pipeline.work.change_facts(execution)
        pipeline.work.settle_one(graphlet)
