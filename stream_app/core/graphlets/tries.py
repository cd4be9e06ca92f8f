"""Finds the tries of a training that was started again under another id.

Orchestrators give each try of a task an execution of its own. A failed try is work of the graphlet of the try that
follows it: the same job in the same run, started after the failure. It has no graphlet of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream_app.core.events import CANCELED, FAILED
from stream_app.core.properties import JOB, MAP_INDEX, PRUNED_BY
from stream_app.core.state.entities import Execution, Run


def last_tries(run: Run) -> dict[Execution, Execution | None]:
    """Finds the try that each trainer of a run belongs to.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    dict of Execution to Execution or None
        Each trainer of the run, and the last try of its task; None for a trainer that is the last try itself.
    """
    found: dict[Execution, Execution | None] = dict.fromkeys(run.trainers)
    tasks: dict[tuple[object, ...], list[Execution]] = {}
    for trainer in run.trainers:
        job = trainer.value_of(JOB)
        if job is not None:
            tasks.setdefault((job, trainer.value_of(MAP_INDEX)), []).append(trainer)
    for tries in tasks.values():
        if len(tries) > 1:
            tries.sort(key=Execution.sort_key)
            for position in range(len(tries) - 2, -1, -1):
                following = next_try(tries[position], tries[position + 1 :])
                if following is not None:
                    found[tries[position]] = found[following] or following
    return found


def next_try(trainer: Execution, later: Iterable[Execution]) -> Execution | None:
    """The first of some later trainers that started once a trainer had failed; None if it did not fail."""
    if not trainer.is_over or trainer.end_state not in (FAILED, CANCELED) or trainer.value_of(PRUNED_BY) is not None:
        return None
    end_ms = trainer.end_ms or 0
    return next((each for each in later if each.start_ms >= end_ms), None)
