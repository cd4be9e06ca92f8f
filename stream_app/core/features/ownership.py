"""Who owns a run, and by which labels people know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_app.core.features.extraction import RESERVED, text_property
from stream_app.core.properties import JOB, MAP_INDEX, SKIPPED_TASKS, TASK
from stream_app.core.state.entities import Execution, Run, Subject
from stream_app.core.state.pipeline import Pipeline

#: Pipeline and properties -> owner, "" where it is not known.
OwnerOf = Callable[[str, Mapping[str, str]], str]

#: Labels of one run, and characters of a value; longer ones are texts for machines.
LABELS_MAX, VALUE_MAX = 20, 200
_NO_LABELS = (RESERVED - {"model_type"}) | {JOB, TASK, MAP_INDEX, SKIPPED_TASKS}


def find_owner(pipeline: Pipeline, subject: Subject, owner_of: OwnerOf | None) -> str:
    """The owner of a run or a trainer.

    Parameters
    ----------
    pipeline
        The pipeline of the subject.
    subject
        The run or the trainer.
    owner_of
        Finds the owner by the properties, where no execution reports one; None: it remains unknown.

    Returns
    -------
    str
        The owner that the executions report, those of the run itself included; "" where it is not known.
    """
    executions = _executions(pipeline, subject)
    found = text_property(executions, "owner")
    if found or owner_of is None:
        return found
    properties = {name: str(value) for each in executions for name, (_, value) in (each.properties or {}).items()}
    return owner_of(pipeline.name, properties)


def labels_of(pipeline: Pipeline, subject: Subject) -> dict[str, str]:
    """The labels of a run or a trainer.

    Parameters
    ----------
    pipeline
        The pipeline of the subject.
    subject
        The run or the trainer.

    Returns
    -------
    dict
        Texts among the properties of its executions, the newest value of each, by name; at most `LABELS_MAX`, the first
        by name.
    """
    found: dict[str, str] = {}
    for execution in _executions(pipeline, subject):
        for name, (_, value) in (execution.properties or {}).items():
            if isinstance(value, str) and len(value) <= VALUE_MAX and name not in _NO_LABELS:
                found[name] = value
    return dict(sorted(found.items())[:LABELS_MAX])


def _executions(pipeline: Pipeline, subject: Subject) -> list[Execution]:
    """The executions of the subject, and those of the run itself, by start."""
    run = pipeline.run_of(subject)
    own = subject.own_executions()
    further = [each for each in (run.run_executions if run is not None else ()) if each not in own]
    return sorted([*further, *own], key=Execution.sort_key) if further else own


def job_of(trainer: Execution | None, run: Run | None) -> str | None:
    """The name of a trainer's job; while there is no trainer, of its run's."""
    executions = (trainer,) if trainer is not None else run.run_executions if run is not None else ()
    return next((str(job) for each in executions if (job := each.value_of(JOB)) is not None), None)
