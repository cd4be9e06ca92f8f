"""Finds the tries of a training that was started again under another id.

Orchestrators give each try of a task an execution of its own. A failed try is work of the graphlet of the try that
follows it: the same job in the same run, started after the failure. It has no graphlet of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping

from stream_app.core.events import CANCELED, FAILED
from stream_app.core.graphlets.rebuilding import rebuild
from stream_app.core.operators import TRAIN
from stream_app.core.properties import JOB, MAP_INDEX, PRUNED_BY
from stream_app.core.state.entities import Execution, Run
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.tasks import Task

#: A job that runs more often in one run is not tried again: its trainers are side by side.
TRIES_MAX = 100


def settle_tries(pipeline: Pipeline, trainer: Execution) -> None:
    """Finds the tries of a trainer's task again, and rebuilds around those that changed.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    trainer
        The trainer, whose facts may have changed.
    """
    run = pipeline.runs.get(trainer.run) if trainer.run is not None else None
    if run is None or trainer.group != TRAIN:
        return
    before, task = run.tasks.of(trainer), task_of(trainer)
    if before != task:
        run.tasks.place(trainer, task)
        if trainer.last_try is not None:
            retry(pipeline, {trainer: None})
        settle_task(pipeline, run, before)
    settle_task(pipeline, run, task)


def settle_task(pipeline: Pipeline, run: Run, task: Task | None) -> None:
    """Finds the tries of one task of a run again, and rebuilds around those that changed.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    run
        The run.
    task
        The task; None changes nothing.
    """
    trainers = run.tasks.trainers(task)
    if len(trainers) > TRIES_MAX + 1:
        return  # with the first beyond the most none of them was a try any more
    found = last_tries(trainers)
    retry(pipeline, {each: last for each, last in found.items() if each.last_try is not last})


def retry(pipeline: Pipeline, changed: Mapping[Execution, Execution | None]) -> None:
    """Gives trainers another last try.

    Parameters
    ----------
    pipeline
        The pipeline, which is changed in place.
    changed
        Trainers, and the last try of each; None for one that is the last itself.
    """

    def move() -> None:
        for execution, last in changed.items():
            execution.last_try = last

    if changed:
        rebuild(pipeline, [*changed, *(last for last in changed.values() if last is not None)], move)


def load_tries(run: Run) -> None:
    """Finds the tries of all tasks of a run, before its graphlets are built."""
    for task in run.tasks.tasks():
        for trainer, last in last_tries(run.tasks.trainers(task)).items():
            trainer.last_try = last


def task_of(trainer: Execution) -> Task | None:
    """The task of a trainer in its run; None when its source names no job."""
    job = trainer.value_of(JOB)
    return None if job is None else (job, trainer.value_of(MAP_INDEX))


def last_tries(trainers: Collection[Execution]) -> dict[Execution, Execution | None]:
    """Finds the try that each trainer of a task belongs to.

    Parameters
    ----------
    trainers
        The trainers of one task.

    Returns
    -------
    dict of Execution to Execution or None
        Each trainer, and the last try of the task; None for a trainer that is the last try itself.
    """
    found: dict[Execution, Execution | None] = dict.fromkeys(trainers)
    if len(trainers) > TRIES_MAX:
        return found
    tries = sorted(trainers, key=Execution.sort_key)
    starts = [each.start_ms for each in tries]
    for position in range(len(tries) - 2, -1, -1):
        trainer = tries[position]
        if has_failed(trainer):
            # The first that started once this one had failed.
            following = bisect_left(starts, trainer.end_ms or 0, position + 1)
            if following < len(tries):
                found[trainer] = found[tries[following]] or tries[following]
    return found


def has_failed(trainer: Execution) -> bool:
    """Whether a trainer may be tried again: it failed, and was not pruned."""
    return trainer.is_over and trainer.end_state in (FAILED, CANCELED) and trainer.value_of(PRUNED_BY) is None
