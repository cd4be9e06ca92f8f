"""The subject of a prediction, with its predictions and announcements."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from stream_app.core.state.changes import Changes
from stream_app.core.state.predictions import PredictionRecord

E = TypeVar("E")


class SubjectOf(Generic[E]):
    """The subject of a prediction: a run, or the trainer of a graphlet. `E` is the type of executions.

    Its outcome is announced once, and again for each correction. `KIND` tells runs and trainers apart in timers.
    """

    __slots__ = ("announce_at_ms", "announced_kind", "label_revision", "predictions")

    KIND: ClassVar[int]

    def __init__(self) -> None:
        #: The outcome announced last ("" for none), and the number of announcements.
        self.announced_kind = ""
        self.label_revision = 0
        #: When the grace before "not pushed" is announced ends; None while no such outcome is pending.
        self.announce_at_ms: int | None = None
        #: None before the first stage.
        self.predictions: PredictionRecord | None = None

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The id of the run or trainer, under which the pipeline keeps it."""
        raise NotImplementedError

    @property
    def run_id(self) -> str | None:
        """The run itself, or the run of the trainer; None for a trainer that is in no run."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Its key in histories and draws: its run, or the trainer that is in no run."""
        return self.run_id if self.run_id is not None else self.name

    @property
    def trainer(self) -> E | None:
        """The trainer; None for a run."""
        raise NotImplementedError

    def graphlet_id(self, pipeline: str) -> str:
        """The id of its graphlet, which is provisional for a run; `pipeline` is the name of the pipeline."""
        raise NotImplementedError

    def own_executions(self) -> list[E]:
        """The executions that a prediction uses, by start: those of the run, or of the graphlet in its own run."""
        raise NotImplementedError

    def predict(self, inherited: PredictionRecord | None, changes: Changes) -> PredictionRecord:
        """Returns the record to add a stage to; a trainer's record continues the one inherited from its run."""
        changes.touch(self)
        if self.predictions is None:
            self.predictions = PredictionRecord()
            if inherited is not None:
                self.predictions.decision = inherited.decision
                self.predictions.propensity = inherited.propensity
                self.predictions.open_flag = inherited.open_flag
        return self.predictions

    def announce(self, kind: str, changes: Changes) -> str:
        """Records that an outcome is announced; returns the one announced before."""
        before, self.announced_kind = self.announced_kind, kind
        self.label_revision += 1
        changes.touch(self)
        return before

    def announce_at(self, when_ms: int | None, changes: Changes) -> None:
        """Sets, or removes, the end of the grace."""
        if self.announce_at_ms != when_ms:
            self.announce_at_ms = when_ms
            changes.touch(self)

    def release_stages(self, changes: Changes) -> None:
        """Drops the predicted stages once nothing can need them again."""
        if self.predictions is not None and self.predictions.stages:
            self.predictions.stages = ()
            changes.touch(self)
