"""Finds the stages that an event reaches: the moments at which a prediction is made.

The rule is a table: an execution of a group, now in a state, reaches a stage of a subject. `input` is the first event
of group preprocess or train in a run; it is predicted for the run (for the trainer when it is in no run). `preprocess`
is reached when the trainer runs, the last moment that saves the training; a run whose trainer runs at once has no
`input` stage. `train` is reached when the trainer is COMPLETE, `validate` after each validator. A stage that was passed
before its event arrived is not predicted afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.core import operators
from stream_app.core.events import COMPLETE, NEW, RUNNING, STATES
from stream_app.core.outputs import INPUT, OPEN, PREPROCESS, STAGES, TRAIN, VALIDATE, Cause
from stream_app.core.state.entities import DOWN, Execution, Graphlet, Run, Subject
from stream_app.core.state.pipeline import Pipeline

ORDER = {stage: position for position, stage in enumerate(STAGES)}

#: Group and state of the execution that changed -> the stage that is reached.
RULES: dict[tuple[str, str], str] = {
    **{(operators.PREPROCESS, state): INPUT for state in STATES},
    (operators.TRAIN, NEW): INPUT,
    (operators.TRAIN, RUNNING): PREPROCESS,
    (operators.TRAIN, COMPLETE): TRAIN,
    (operators.VALIDATE, COMPLETE): VALIDATE,
}


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage to predict for a run or a trainer; `validator` is the validator's execution id at stage `validate`."""

    stage: str
    subject: Subject
    validator: str | None = None


def reached(pipeline: Pipeline, execution: Execution) -> list[Reached]:
    """Finds the stages that an event of an execution reaches.

    Parameters
    ----------
    pipeline
        The pipeline of the execution, into which the event's facts have been merged.
    execution
        The execution that changed.

    Returns
    -------
    list of Reached
        In a fixed order.
    """
    stage = RULES.get((execution.group, execution.state))
    if stage is None:
        return []
    validator = execution.id if stage == VALIDATE else None
    return [
        Reached(stage, subject, validator)
        for subject in subjects(pipeline, stage, execution)
        if is_ahead(stage, validator, subject)
    ]


def subjects(pipeline: Pipeline, stage: str, execution: Execution) -> list[Subject]:
    """The runs or trainers whose stage an execution reaches, in a fixed order."""
    if stage == VALIDATE:
        judged = [g for g, bits in (execution.members_of or {}).items() if bits & DOWN]
        judged.sort(key=lambda graphlet: graphlet.trainer.sort_key())
        return [graphlet for graphlet in judged if graphlet.trainer.run == execution.run]
    graphlet = execution.graphlet
    if execution.group == operators.TRAIN and graphlet is None:
        return []
    if stage != INPUT:
        return [graphlet] if graphlet is not None else []
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    if run is not None:
        return [run] if before_training(run) else []
    return [graphlet] if graphlet is not None else []


def before_training(run: Run) -> bool:
    """Whether a run has not ended and none of its trainers has started."""
    return run.end_ms() is None and all(trainer.state == NEW for trainer in run.trainers)


def is_ahead(stage: str, validator: str | None, subject: Subject) -> bool:
    """Whether neither this stage nor a later one was predicted and the outcome is not known."""
    if subject.announced_kind:
        return False
    # A graphlet superseded by the push of a later one may still be running.
    if isinstance(subject, Graphlet) and (
        subject.oversized or (subject.kind != OPEN and subject.cause != Cause.SUPERSEDED)
    ):
        return False
    if subject.predictions is None:
        return True
    return not any(
        (each.stage == stage and each.validator == validator) or ORDER[each.stage] > ORDER[stage]
        for each in subject.predictions.stages
    )
