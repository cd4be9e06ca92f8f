"""Checks what must hold of a pipeline's state after every step, by recomputing it another way."""

from __future__ import annotations

from stream_app.core.graphlets.membership import MEMBERS_MAX, may_enter
from stream_app.core.graphlets.rebuilding import trainers_read
from stream_app.core.graphlets.roles import role_of
from stream_app.core.operators import ANALYSIS, RUN, TRAIN, Operators
from stream_app.core.outputs import OPEN, PUSHED, Cause
from stream_app.core.state.entities import DOWN, SIDE, UP, Execution, Graphlet, has_graphlet
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.storage.story import story_line


def check(pipeline: Pipeline, operators: Operators) -> None:
    """Asserts the invariants of a settled pipeline.

    Parameters
    ----------
    pipeline
        The pipeline.
    operators
        Map execution types to groups.

    Raises
    ------
    AssertionError
        One does not hold; the message names the entity.
    """
    assert not pipeline.work.unsettled, "outcomes are left unsettled"
    for execution in pipeline.executions.values():
        check_execution(pipeline, execution, operators)
    for graphlet in pipeline.graphlets.values():
        check_graphlet(pipeline, graphlet)
    check_ledger(pipeline)
    assert pipeline.pushes.pushes == sorted(pipeline.pushes.pushes)
    assert pipeline.pushes.supersedable == sorted(pipeline.pushes.positions())


def check_touched(pipeline: Pipeline, execution: Execution, operators: Operators) -> None:
    """Asserts the invariants of an execution and of its graphlets, which one step changes first.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution that changed.
    operators
        Map execution types to groups.

    Raises
    ------
    AssertionError
        One does not hold; the message names the entity.
    """
    check_execution(pipeline, execution, operators)
    for graphlet in (execution.graphlet, *(execution.members_of or ())):
        if graphlet is not None:
            check_graphlet(pipeline, graphlet)


def check_execution(pipeline: Pipeline, execution: Execution, operators: Operators) -> None:
    """Asserts the invariants of one execution."""
    assert (execution.group, execution.run) == role_of(pipeline, execution, operators), execution.id
    assert (execution.graphlet is not None) == has_graphlet(execution), execution.id
    known = execution.reads_trainer, execution.own_trainer
    assert known == trainers_read(execution) or execution.group == RUN, execution.id
    is_try = execution.last_try is not None or (execution.eviction is not None and execution.eviction.retried)
    assert (execution.group == TRAIN and is_try) or execution.group not in (TRAIN, RUN) or not execution.members_of
    for graphlet, bits in (execution.members_of or {}).items():
        assert graphlet.members[execution] == bits, execution.id


def check_graphlet(pipeline: Pipeline, graphlet: Graphlet) -> None:
    """Asserts the invariants of one graphlet."""
    assert graphlet.trainer.graphlet is graphlet, story_line(graphlet)
    assert len(graphlet.members) <= MEMBERS_MAX, story_line(graphlet)
    assert not (graphlet.oversized and graphlet.members), story_line(graphlet)
    assert (graphlet.kind == OPEN) == (graphlet in pipeline.open), story_line(graphlet)
    assert (graphlet.kind == PUSHED) == (graphlet in pipeline.pushes), story_line(graphlet)
    supersedable = graphlet.kind == OPEN or graphlet.cause in (Cause.SUPERSEDED, Cause.EXPIRED)
    assert supersedable == pipeline.pushes.is_supersedable(graphlet), story_line(graphlet)
    for execution, bits in graphlet.members.items():
        assert (execution.members_of or {})[graphlet] == bits, story_line(graphlet)
        if bits & DOWN:
            assert may_enter(graphlet, execution), (story_line(graphlet), execution.id)
        if bits & SIDE:
            assert execution.group == ANALYSIS, (story_line(graphlet), execution.id)
            assert execution.run is None or execution.run in graphlet.runs, (story_line(graphlet), execution.id)
        if bits & UP:
            leads = any(graphlet in version.up for version in execution.writes.values())
            assert leads or execution.last_try is graphlet.trainer, (
                story_line(graphlet),
                execution.id,
            )


def check_ledger(pipeline: Pipeline) -> None:
    """Asserts that the ledger is the sum of what is booked now and what was frozen, and that no amount is negative."""
    total = Ledger()
    total.merge(pipeline.frozen_ledger)
    for execution in pipeline.executions.values():
        if execution.charged is not None:
            total.book(execution.charged, 1)
    assert total == pipeline.ledger, pipeline.name
    assert min(total.useful, total.wasted, total.pending, total.unattributed, total.unknown, total.avoided) >= 0
