"""The tasks of a run, each with its trainers: tries of one task are executions of their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

E = TypeVar("E")
#: The job, and the place where one job runs several times in a run.
Task = tuple[object, object]


class Tasks(Generic[E]):
    """The trainers of a run by task. `E` is the type of executions."""

    __slots__ = ("_task_of", "_trainers")

    def __init__(self) -> None:
        self._task_of: dict[E, Task] = {}
        self._trainers: dict[Task, dict[E, None]] = {}

    def of(self, trainer: E) -> Task | None:
        """The task of a trainer; None when its source names no job."""
        return self._task_of.get(trainer)

    def place(self, trainer: E, task: Task | None) -> None:
        """Moves a trainer to a task, or out of all when there is none."""
        self.remove(trainer)
        if task is not None:
            self._task_of[trainer] = task
            self._trainers.setdefault(task, {})[trainer] = None

    def remove(self, trainer: E) -> None:
        """Removes a trainer, which need not be in a task."""
        task = self._task_of.pop(trainer, None)
        if task is not None:
            del self._trainers[task][trainer]
            if not self._trainers[task]:
                del self._trainers[task]

    def trainers(self, task: Task | None) -> Collection[E]:
        """The trainers of a task; none of no task."""
        return self._trainers.get(task, {}).keys() if task is not None else ()

    def tasks(self) -> Collection[Task]:
        """The tasks that have trainers."""
        return self._trainers.keys()
