"""The state of one pipeline."""

from __future__ import annotations

from stream_app.core.state.changes import Changes
from stream_app.core.state.clock import Clock
from stream_app.core.state.entities import Artifact, Execution, Graphlet, Run, Subject
from stream_app.core.state.history import History
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.push_index import PushIndex
from stream_app.core.state.small_sets import GraphletSet
from stream_app.core.state.timers import Timers
from stream_app.core.state.work_list import WorkList


class Pipeline:
    """The state of one pipeline. Pipelines share nothing, so that each can be on another worker.

    Parameters
    ----------
    name
        The name of the pipeline.
    keep_rows
        Whether changed state is collected, to be written as rows.
    """

    def __init__(self, name: str, *, keep_rows: bool = False) -> None:
        self.name = name
        self.clock = Clock()
        self.timers = Timers()
        self.work = WorkList()
        self.pushes = PushIndex()
        self.changes = Changes(collect=keep_rows)
        self.executions: dict[str, Execution] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.runs: dict[str, Run] = {}
        #: Run -> number of executions whose events name it.
        self.stated_runs: dict[str, int] = {}
        #: Trainer id -> graphlet.
        self.graphlets: dict[str, Graphlet] = {}
        #: Run -> graphlets that have it among their `runs`.
        self.graphlets_of_run: dict[str, GraphletSet[Graphlet]] = {}
        #: Graphlets that no fact has decided.
        self.open: dict[Graphlet, None] = {}
        self.oversized: dict[Graphlet, None] = {}
        #: Trainer id -> graphlet of an execution that later events showed to be no trainer, or CACHED. Should it be a
        #: trainer after all, its predictions and announcements still hold.
        self.retired: dict[str, Graphlet] = {}
        self.ledger = Ledger()
        #: Sums of evicted executions, part of `ledger`.
        self.frozen_ledger = Ledger()
        self.history = History()

    def run_of(self, subject: Subject) -> Run | None:
        """The run of a subject.

        Parameters
        ----------
        subject
            A run, or the trainer of a graphlet.

        Returns
        -------
        Run or None
            None for a trainer that is in no run.
        """
        if isinstance(subject, Run):
            return subject
        return self.runs.get(subject.run_id) if subject.run_id is not None else None

    def history_to_change(self) -> History:
        """Returns the history and records that its row must be written."""
        self.changes.touch(self.history)
        return self.history
