"""Revises the verdicts of open flags after an act of a person."""

from __future__ import annotations

from collections.abc import Iterator

from stream_app.core.acts import POLICY
from stream_app.core.decisions.climbing import address
from stream_app.core.decisions.policy import Decision, Policy
from stream_app.core.decisions.verdicts import verdict_of
from stream_app.core.features.ownership import OwnerOf
from stream_app.core.outputs import CONTINUE, PRUNE, Guard, Reason, Verdict
from stream_app.core.state.acts_on import word_on
from stream_app.core.state.entities import Execution, Subject
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import OpenFlag


def revise(pipeline: Pipeline, act: Execution, policy: Policy, owner_of: OwnerOf | None, now_ms: int) -> list[Verdict]:
    """Revises the verdicts of open flags for which an act changes anything.

    Parameters
    ----------
    pipeline
        The pipeline, in which the act is known.
    act
        The act.
    policy, owner_of
        As of `address`.
    now_ms
        Event time of the act in ms since 1970 UTC.

    Returns
    -------
    list of Verdict
        In a fixed order.
    """
    revised = []
    for subject in subjects(pipeline, act):
        predictions = subject.predictions
        if predictions is None or predictions.decision != PRUNE or subject.announced_kind or not predictions.stages:
            continue
        before = predictions.open_flag or OpenFlag(predictions.stages[-1].time_ms)
        predictions.open_flag = before
        kept = word_on(pipeline, subject) != ""
        stage = predictions.stages[-1]
        decision = Decision(PRUNE, before.threshold, None, [], propensity=stage.propensity)
        if kept:
            decision.decision, decision.withdrawn = CONTINUE, Guard.KEEP
        reasons = [Reason(*reason) for reason in before.reasons]
        verdict = verdict_of(pipeline, subject, stage, decision, policy, before.model, reasons, now_ms)
        address(verdict, pipeline, subject, policy, owner_of)
        if kept or predictions.open_flag != before:
            predictions.decision = verdict.decision
            predictions.revision += 1
            verdict.revision = predictions.revision
            pipeline.changes.touch(subject)
            revised.append(verdict)
    return revised


def subjects(pipeline: Pipeline, act: Execution) -> Iterator[Subject]:
    """The runs and trainers that an act is about: all of the pipeline for a policy."""
    kind, _, key = act.id.partition("/")
    if kind == POLICY:
        yield from pipeline.runs.values()
        yield from pipeline.graphlets.values()
        return
    what, _, name = key.partition(":")
    if what == "run" and name in pipeline.runs:
        run = pipeline.runs[name]
        yield run
        yield from (trainer.graphlet for trainer in run.trainers if trainer.graphlet is not None)
    elif what == "trainer" and name in pipeline.graphlets and pipeline.graphlets[name].run_id is None:
        yield pipeline.graphlets[name]
