"""The entities of one pipeline's state. Facts are stored; membership and indices are derived and never stored.

Facts are merged over events (docs/decisions/0001-graphlets.md), so that duplicates change nothing and order does not
matter. Everything else is a function of the facts, kept up to date by `graphlets` and `outcomes`. A method that changes
a stored value takes the pipeline's `Changes` and records its entity there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stream_app.core.events import CACHED, CANCELED, FAILED, NEW, RUNNING, STATES, Scalar
from stream_app.core.ids import graphlet_id, run_graphlet_id
from stream_app.core.operators import CUSTOM, TRAIN
from stream_app.core.outputs import OPEN
from stream_app.core.state.attempts import Attempt, Reports, attempts_of, known_reports
from stream_app.core.state.changes import Changes
from stream_app.core.state.eviction import EvictionSummary
from stream_app.core.state.small_sets import GraphletSet
from stream_app.core.state.subject import SubjectOf
from stream_app.core.state.tasks import Tasks

#: How an execution belongs to a graphlet; an execution may have several bits.
UP, DOWN, SIDE = 1, 2, 4

#: Shared by all executions that read, or write, nothing. Never changed.
NOTHING: dict[Any, Any] = {}

STATE_BITS = {state: 1 << position for position, state in enumerate(STATES)}


class Execution:
    """One run of an operator: its facts, then the values derived from them."""

    __slots__ = (
        "charged", "end_ms", "end_state", "eviction", "first_ms", "graphlet", "group", "id", "last_ms",
        "last_running_ms", "last_try", "members_of", "own_trainer", "properties", "read_ms", "reads",
        "reads_trainer", "reported_node_ms", "reports", "run", "running_ms", "seen", "stated_run", "stated_run_ms",
        "touched_day", "type", "type_ms", "write_ms", "writes",
    )  # fmt: skip

    def __init__(self, execution_id: str) -> None:
        self.id = execution_id
        #: From the earliest event; of two with the same time the smaller.
        self.type = ""
        self.type_ms = 0
        self.stated_run: str | None = None
        self.stated_run_ms = 0
        #: Bits of all states seen.
        self.seen = 0
        #: The earliest and the latest event; the earliest and the latest RUNNING event (None: none seen).
        self.first_ms = 0
        self.last_ms = 0
        self.running_ms: int | None = None
        self.last_running_ms: int | None = None
        #: The end that holds: the latest; of two with the same time the greater name.
        self.end_ms: int | None = None
        self.end_state = ""
        self.reported_node_ms: int | None = None
        #: Artifact id -> the version read, written; NOTHING while there is none.
        self.reads: dict[str, Version] = NOTHING
        self.writes: dict[str, Version] = NOTHING
        #: The same ids -> the earliest event that named the edge.
        self.read_ms: dict[str, int] = NOTHING
        self.write_ms: dict[str, int] = NOTHING
        #: None while there is at most one RUNNING and one end event, which `running_ms` and `end_ms` tell.
        self.reports: Reports | None = None
        self.properties: dict[str, tuple[int, Scalar]] | None = None  # name -> (event time, value)
        #: Day of the last event of this execution or of a reader of its outputs; retention counts from it.
        self.touched_day = 0
        #: None while none of its graphlets and trainers was evicted.
        self.eviction: EvictionSummary | None = None

        #: By its type, unless another execution names it as its run; it is then of group run, and in that run.
        self.group = CUSTOM
        self.run: str | None = None
        #: Whether it is a deploy execution that reads a trainer's output; whether it reads one of its own run's.
        self.reads_trainer = False
        self.own_trainer = False
        #: Graphlet -> bits UP, DOWN, SIDE.
        self.members_of: dict[Graphlet, int] | None = None
        #: The last try of a failed trainer's task, to whose graphlet it belongs; None of all other executions.
        self.last_try: Execution | None = None
        #: The graphlet of a trainer that is not CACHED and the last try of its task.
        self.graphlet: Graphlet | None = None
        #: How it is booked now (see `ledger`).
        self.charged: tuple[Any, ...] | None = None

    @property
    def state(self) -> str:
        """Its end state, else RUNNING or NEW."""
        if self.end_ms is not None:
            return self.end_state
        return NEW if self.running_ms is None else RUNNING

    @property
    def start_ms(self) -> int:
        """The earliest RUNNING event, else the earliest event, in ms since 1970 UTC."""
        return self.first_ms if self.running_ms is None else self.running_ms

    def value_of(self, name: str) -> Scalar | None:
        """The value of a property; None when no event reported it."""
        if self.properties is None or name not in self.properties:
            return None
        return self.properties[name][1]

    def ever(self, state: str) -> bool:
        """Whether any event reported this state."""
        return bool(self.seen & STATE_BITS[state])

    @property
    def is_over(self) -> bool:
        """Whether it has ended and has not been started again after a failure."""
        if self.end_ms is None:
            return False
        if self.end_state not in (FAILED, CANCELED) or (self.last_running_ms or 0) <= self.end_ms:
            return True
        return self.attempts()[-1][1] is not None

    @property
    def reports_progress(self) -> bool:
        """Whether it is not over and has reported RUNNING more than once in its last attempt."""
        if self.is_over or self.running_ms is None or self.last_running_ms == self.running_ms:
            return False
        return self.end_ms is None or self.attempts()[-1][0] != self.last_running_ms

    def node_ms(self, nodes: float) -> int:
        """Compute in node-ms: as reported, else the time of its attempts times the number of nodes; 0 when CACHED.

        An attempt without an end counts until its last report. The time between attempts is no compute.
        """
        if self.end_state == CACHED:
            return 0
        if self.reported_node_ms is not None:
            return self.reported_node_ms
        if self.reports is None:
            return max(0, int((self.end_ms - self.start_ms) * nodes)) if self.end_ms is not None else 0
        last_ms = self.last_running_ms or 0
        if self.end_ms is None:
            return int((last_ms - (self.running_ms or 0)) * nodes)
        return int(
            sum((last_ms if end_ms is None else end_ms) - start_ms for start_ms, end_ms in self.attempts()) * nodes
        )

    def attempts(self) -> list[Attempt]:
        """Start and end of each attempt in ms since 1970 UTC; the end is None while the attempt runs."""
        reports = known_reports(self.reports, self.running_ms, self.end_ms, self.end_state)
        return attempts_of(reports, self.first_ms)

    def sort_key(self) -> tuple[int, str]:
        """Start and id, the order of executions."""
        return (self.start_ms, self.id)

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        return "execution", self.id

    def summarise_eviction(self, summary: EvictionSummary, changes: Changes) -> None:
        """Sets the summary of its evicted graphlets and trainers."""
        if summary != self.eviction:
            self.eviction = summary
            changes.touch(self)

    def keep_until(self, day: int, changes: Changes) -> None:
        """Counts retention from a day unless it counts from a later one."""
        if day > self.touched_day:
            self.touched_day = day
            changes.touch(self)


class Version:
    """One version of an artifact: of an unversioned artifact the output of one writer, else of all its writers."""

    __slots__ = ("down", "reach", "readers", "touched_day", "up", "writers")

    def __init__(self) -> None:
        self.writers: list[Execution] = []
        #: Readers by run, so that the readers of one graphlet's runs are found among thousands.
        self.readers: dict[str | None, list[Execution]] = {}
        #: Graphlets whose trainer is reached from it; that reach it from their trainer; whose side set includes it.
        self.up: GraphletSet[Graphlet] = ()
        self.down: GraphletSet[Graphlet] = ()
        self.reach: GraphletSet[Graphlet] = ()
        self.touched_day = 0

    def all_readers(self) -> Iterator[Execution]:
        """The readers of all runs."""
        for readers in self.readers.values():
            yield from readers


class Artifact:
    """An artifact id with its merged properties and its version, or versions."""

    __slots__ = ("id", "properties", "type", "type_ms", "unversioned", "version")

    def __init__(self, artifact_id: str, artifact_type: str = "", type_ms: int = 0) -> None:
        self.id = artifact_id
        self.type = artifact_type  # from the earliest event; of two with the same time the smaller
        self.type_ms = type_ms
        self.properties: dict[str, tuple[int, Scalar]] | None = None
        #: Of a versioned artifact.
        self.version = Version()
        #: None until an event has `versioned: false`; from then on `version` is not used.
        self.unversioned: Unversioned | None = None

    def value_of(self, name: str) -> Scalar | None:
        """The value of a property; None when no event reported it."""
        if self.properties is None or name not in self.properties:
            return None
        return self.properties[name][1]

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        return "artifact", self.id

    def keep_end(self, writer_id: str, end_ms: int, changes: Changes) -> None:
        """Keeps the end of an evicted writer, whose version of an unversioned artifact is still read."""
        assert self.unversioned is not None
        self.unversioned.evicted_ends[writer_id] = end_ms
        changes.touch(self)

    def drop_end(self, writer_id: str, changes: Changes) -> int | None:
        """Drops the end of an evicted writer and returns it; None when there is none."""
        assert self.unversioned is not None
        end_ms = self.unversioned.evicted_ends.pop(writer_id, None)
        if end_ms is not None:
            changes.touch(self)
        return end_ms


class Unversioned:
    """The versions of an artifact whose source cannot tell them apart, one for each writer."""

    __slots__ = ("by_writer", "chosen", "ends", "evicted_ends", "starts")

    def __init__(self) -> None:
        #: Writer id -> version; None for the version that existed before any writer.
        self.by_writer: dict[str | None, Version] = {}
        #: Reader id -> id of the writer whose version it reads.
        self.chosen: dict[str, str | None] = {}
        #: Sorted: (end, id) of finished writers, (start, id) of readers.
        self.ends: list[tuple[int, str]] = []
        self.starts: list[tuple[int, str]] = []
        #: Evicted writer -> its end, which is kept among the ends while its version is read.
        self.evicted_ends: dict[str, int] = {}


#: The subject of a prediction: a run, or the trainer of a graphlet.
Subject = SubjectOf["Execution"]


class Graphlet(SubjectOf["Execution"]):
    """All the work behind one trainer execution, and the predictions about it."""

    __slots__ = (
        "cause", "deploys", "horizon_ms", "kind", "members", "oversized", "pipeline", "runs", "time_ms", "trainer",
    )  # fmt: skip

    KIND = 0
    trainer: Execution

    def __init__(self, pipeline: str, trainer: Execution) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.trainer = trainer
        #: Execution -> bits; the trainer itself is not among them.
        self.members: dict[Execution, int] = {}
        #: The runs of the trainer and of its up set.
        self.runs: tuple[str, ...] = ()
        #: Executions of group deploy in its down set.
        self.deploys: tuple[Execution, ...] = ()
        self.oversized = False
        #: The outcome that the facts give now, its cause and time.
        self.kind = OPEN
        self.cause: str | None = None
        self.time_ms: int | None = None
        #: When it is checked for expiry, no later than its horizon; None while no check is scheduled.
        self.horizon_ms: int | None = None

    @property
    def id(self) -> str:
        """The id, unique over all pipelines; execution ids are unique only within a pipeline."""
        return graphlet_id(self.pipeline, self.trainer.id)

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        return "graphlet", self.trainer.id

    @property
    def name(self) -> str:
        """The trainer's id."""
        return self.trainer.id

    @property
    def run_id(self) -> str | None:
        """The run of the trainer; None when it is in no run."""
        return self.trainer.run

    def graphlet_id(self, pipeline: str) -> str:
        """The id; `pipeline` is the name of the pipeline."""
        return graphlet_id(pipeline, self.trainer.id)

    def own_executions(self) -> list[Execution]:
        """The trainer and the members in its run (all members without a run), by start."""
        run = self.trainer.run
        members = [e for e in self.members if run is None or e.run == run]
        return sorted([self.trainer, *members], key=Execution.sort_key)


class Run(SubjectOf["Execution"]):
    """One run of a pipeline: its executions so far, and the predictions about its provisional graphlet."""

    __slots__ = (
        "executions", "had_trainer", "id", "in_history", "next_check_ms", "pending", "run_executions", "tasks",
        "trainers",
    )  # fmt: skip

    KIND = 1

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.id = run_id
        self.executions: list[Execution] = []
        #: Those of group run, and those of group train.
        self.run_executions: tuple[Execution, ...] = ()
        self.trainers: tuple[Execution, ...] = ()
        self.tasks: Tasks[Execution] = Tasks()
        #: Whether a trainer of the run was evicted: all outcomes of the run but a push were announced before.
        self.had_trainer = False
        #: Whether the history counts the run itself, because it was labelled when it had no trainer.
        self.in_history = False
        #: The outcome (kind, cause, time) that the facts gave at the last check.
        self.pending: tuple[str, str | None, int | None] | None = None
        #: When it is, or was last, checked for its horizon; None before the first check is scheduled.
        self.next_check_ms: int | None = None

    @property
    def row(self) -> tuple[str, str]:
        """Kind and name of its row."""
        return "run", self.id

    @property
    def name(self) -> str:
        """The run's id."""
        return self.id

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.id

    @property
    def trainer(self) -> None:
        """None: the subject is the run itself."""
        return None

    def graphlet_id(self, pipeline: str) -> str:
        """The id of its provisional graphlet; `pipeline` is the name of the pipeline."""
        return run_graphlet_id(pipeline, self.id)

    def own_executions(self) -> list[Execution]:
        """The executions of the run, by start."""
        return sorted(self.executions, key=Execution.sort_key)

    def end_ms(self) -> int | None:
        """The latest end of the run in ms since 1970 UTC; None while it has none, or was started again."""
        ended = [(e.end_ms, e.is_over) for e in self.run_executions if e.end_ms is not None]
        return max(ended)[0] if ended and all(is_over for _, is_over in ended) else None

    def set_in_history(self, in_history: bool, changes: Changes) -> None:
        """Records whether the history counts the run itself."""
        self.in_history = in_history
        changes.touch(self)

    def lose_trainer(self, changes: Changes) -> None:
        """Records that a trainer of the run was evicted."""
        self.had_trainer = True
        changes.touch(self)


def has_graphlet(execution: Execution) -> bool:
    """Whether an execution has a graphlet: it is a trainer, did not end CACHED, and no further try followed it."""
    if execution.group != TRAIN or execution.last_try is not None or execution.end_state == CACHED:
        return False
    return execution.eviction is None or not execution.eviction.retried
