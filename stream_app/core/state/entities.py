"""The entities of one pipeline's state. Facts are stored; membership and indices are derived and never stored.

Facts are joins over events (docs/decisions/0001-graphlets.md), so a duplicate changes nothing and order does not
matter. Everything else here is a function of the facts, kept up to date by `graphlets`, `outcomes` and `ledger`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from stream_app.core.events import CACHED, NEW, RUNNING, STATES, Scalar
from stream_app.core.ids import graphlet_id
from stream_app.core.operators import CUSTOM, TRAIN
from stream_app.core.outputs import OPEN
from stream_app.core.state.history import History
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.small_sets import Marks

#: How an execution belongs to a graphlet; an execution may have several bits.
UP, DOWN, SIDE = 1, 2, 4

#: Of most executions there is one that reads, or writes, nothing. Never changed.
NOTHING: dict[Any, Any] = {}

STATE_BITS = {state: 1 << position for position, state in enumerate(STATES)}
DAY_MS = 86_400_000


class Left(NamedTuple):
    """What evicted graphlets and trainers left on an execution that outlives them."""

    #: Whether one of the graphlets was pushed, and the policies (bits) whose flag came before the execution in all.
    pushed: bool = False
    policies: int = -1
    #: Start and id of the latest of their trainers, and why its compute was wasted; "" when no graphlet was evicted.
    latest: tuple[int, str] = (0, "")
    cause: str = ""
    #: Whether a trainer of the execution's own run, whose model it read, was evicted.
    own_trainer: bool = False


class Execution:
    """One run of an operator: its facts, then what is derived from them."""

    __slots__ = (
        "charged", "end_ms", "end_state", "first_ms", "graphlet", "group", "id", "left", "members_of",
        "own_trainer", "properties", "reads", "run", "run_ms", "running_ms", "seen", "told_node_ms",
        "touched_day", "type", "type_ms", "writes",
    )  # fmt: skip

    def __init__(self, execution_id: str) -> None:
        self.id = execution_id
        #: Of the earliest event; ties take the smaller.
        self.type = ""
        self.type_ms = 0
        self.run: str | None = None
        self.run_ms = 0
        #: Bits of all states seen.
        self.seen = 0
        #: The earliest event, the earliest RUNNING event (None: none seen).
        self.first_ms = 0
        self.running_ms: int | None = None
        #: The end that decides: the latest, then the greater name.
        self.end_ms: int | None = None
        self.end_state = ""
        self.told_node_ms: int | None = None
        #: Artifact id -> the version read, written; NOTHING while there is none.
        self.reads: dict[str, Version] = NOTHING
        self.writes: dict[str, Version] = NOTHING
        #: Name -> (event time, value); None while there is none.
        self.properties: dict[str, tuple[int, Scalar]] | None = None
        #: Day of the last event that named this execution or read what it wrote; retention counts from it.
        self.touched_day = 0
        #: None while nothing it had to do with was evicted.
        self.left: Left | None = None

        self.group = CUSTOM
        #: Whether it reads a model that a trainer of its own run wrote.
        self.own_trainer = False
        #: Graphlet -> bits UP, DOWN, SIDE.
        self.members_of: dict[Graphlet, int] | None = None
        #: The graphlet of a trainer that is not CACHED.
        self.graphlet: Graphlet | None = None
        #: The ledger class and amounts it is booked under now (see `ledger`).
        self.charged: tuple[Any, ...] | None = None

    @property
    def state(self) -> str:
        if self.end_ms is not None:
            return self.end_state
        return NEW if self.running_ms is None else RUNNING

    @property
    def start_ms(self) -> int:
        return self.first_ms if self.running_ms is None else self.running_ms

    def property(self, name: str) -> Scalar | None:
        """The value of a property, or None when it was never told."""
        if self.properties is None or name not in self.properties:
            return None
        return self.properties[name][1]

    def ever(self, state: str) -> bool:
        """Whether any event gave this state."""
        return bool(self.seen & STATE_BITS[state])

    def node_ms(self, nodes: float) -> int:
        """Compute in node-milliseconds: told, or the duration times `nodes`; 0 when CACHED."""
        if self.end_ms is not None and self.end_state == CACHED:
            return 0
        if self.told_node_ms is not None:
            return self.told_node_ms
        if self.end_ms is None:
            return 0
        return max(0, int((self.end_ms - self.start_ms) * nodes))

    def sort_key(self) -> tuple[int, str]:
        return (self.start_ms, self.id)


class Version:
    """One version of an artifact: what one writer wrote, or for a versioned artifact what all its writers did."""

    __slots__ = ("down", "reach", "readers", "touched_day", "up", "writers")

    def __init__(self) -> None:
        self.writers: list[Execution] = []
        #: Readers by run: a schema read by every run is looked up by the runs of one graphlet.
        self.readers: dict[str | None, list[Execution]] = {}
        #: Graphlets whose trainer it leads to; that lead to it; whose side set starts or passes here.
        self.up: Marks[Graphlet] = ()
        self.down: Marks[Graphlet] = ()
        self.reach: Marks[Graphlet] = ()
        self.touched_day = 0

    def all_readers(self) -> Iterator[Execution]:
        for readers in self.readers.values():
            yield from readers


class Artifact:
    """An artifact id with its joined properties and its version, or versions."""

    __slots__ = ("id", "properties", "unversioned", "version")

    def __init__(self, artifact_id: str) -> None:
        self.id = artifact_id
        self.properties: dict[str, tuple[int, Scalar]] | None = None
        #: Of a versioned artifact.
        self.version = Version()
        #: None until an event says `versioned: false`; then `version` is not used any more.
        self.unversioned: Unversioned | None = None

    def property(self, name: str) -> Scalar | None:
        """The value of a property, or None when it was never told."""
        if self.properties is None or name not in self.properties:
            return None
        return self.properties[name][1]


class Unversioned:
    """The versions of an artifact whose source cannot tell them apart, one for each writer."""

    __slots__ = ("by_writer", "chosen", "ends", "gone", "starts")

    def __init__(self) -> None:
        #: Writer id, or None for what was there before any writer -> version.
        self.by_writer: dict[str | None, Version] = {}
        #: Reader id -> id of the writer whose version it reads.
        self.chosen: dict[str, str | None] = {}
        #: Sorted: (end, id) of finished writers, (start, id) of readers.
        self.ends: list[tuple[int, str]] = []
        self.starts: list[tuple[int, str]] = []
        #: Evicted writer -> its end, which stays among the ends while its version is read.
        self.gone: dict[str, int] = {}


class Talk:
    """What was said of a graphlet: the stages predicted, and the flags that came of them."""

    __slots__ = ("decision", "first_ms", "flag_ms", "propensity", "revision", "spared", "stages")

    def __init__(self) -> None:
        self.stages: tuple[Said, ...] = ()
        #: Event time of the first stage.
        self.first_ms = 0
        #: Revision and decision of the last verdict.
        self.revision = 0
        self.decision = ""
        #: Index of a deployment budget -> event time at which its policy first flagged; NOTHING while none did.
        self.flag_ms: dict[int, int] = NOTHING
        #: The smallest chance with which a flagged run ran on; 1 when it was never at stake.
        self.propensity = 1.0
        #: Whether what its prune avoided is booked.
        self.spared = False


class Said:
    """One predicted stage, frozen; features are packed (names shared, values in an array)."""

    __slots__ = (
        "baseline", "cost", "cost_left", "decision", "flagged", "guard", "names", "p", "propensity", "score",
        "stage", "time_ms", "validator", "values",
    )  # fmt: skip

    stage: str
    validator: str | None
    time_ms: int
    names: tuple[str, ...]
    values: array[float]
    p: float
    baseline: float
    score: float
    guard: str | None
    cost: float
    cost_left: float
    decision: str
    flagged: tuple[float, ...]
    propensity: float


class Graphlet:
    """All the work behind one trainer execution, and what was said of it."""

    __slots__ = (
        "cause", "deploys", "horizon_ms", "kind", "label_revision", "members", "oversized",
        "pipeline", "runs", "said_kind", "say_ms",
        "talk", "time_ms", "trainer",
    )  # fmt: skip

    def __init__(self, pipeline: str, trainer: Execution) -> None:
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
        #: When it is looked at for expiry, no later than its horizon; None while no look is queued.
        self.horizon_ms: int | None = None
        #: The outcome said last ("" for none) and how often one was said.
        self.said_kind = ""
        self.label_revision = 0
        #: When the grace before "not pushed" is said is over; None while no such outcome waits.
        self.say_ms: int | None = None
        #: What was said of it; None before the first stage.
        self.talk: Talk | None = None

    @property
    def id(self) -> str:
        """Execution ids are unique only within a pipeline."""
        return graphlet_id(self.pipeline, self.trainer.id)


class Run:
    """One pass of a pipeline: its executions so far, and the provisional graphlet's words."""

    __slots__ = (
        "awaited", "counted", "executions", "had_trainer", "id", "label_revision", "look_ms", "run_executions",
        "said_kind", "say_ms", "talk", "trainers",
    )  # fmt: skip

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.executions: list[Execution] = []
        #: Those of group run, and those of group train.
        self.run_executions: tuple[Execution, ...] = ()
        self.trainers: tuple[Execution, ...] = ()
        #: Whether an evicted trainer was its: what could be said of the run was said before.
        self.had_trainer = False
        #: Whether the history counts the run itself, because it was labelled when it had no trainer.
        self.counted = False
        self.said_kind = ""
        self.label_revision = 0
        self.say_ms: int | None = None
        #: The outcome (kind, cause, time) that the facts gave when it was last looked at.
        self.awaited: tuple[str, str | None, int | None] | None = None
        #: When it is, or was last, looked at for its horizon; None before the first look is queued.
        self.look_ms: int | None = None
        #: What was said while no trainer was known; its trainers inherit it.
        self.talk: Talk | None = None

    def end_ms(self) -> int | None:
        """The latest end of the run, or None while it has none."""
        return max((e.end_ms for e in self.run_executions if e.end_ms is not None), default=None)


class Pipeline:
    """Everything known of one pipeline. Pipelines share nothing, so each can live on another worker."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Latest event time seen, moved on by ticks; and the log time of the event that set it.
        self.clock_ms = 0
        self.last_event_ms = 0
        self.last_log_ms = 0
        #: Day of the last event: one number for all that it touches.
        self.day = 0
        self.executions: dict[str, Execution] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.runs: dict[str, Run] = {}
        #: Trainer id -> graphlet.
        self.graphlets: dict[str, Graphlet] = {}
        #: Run -> graphlets that have it among their `runs`.
        self.graphlets_of_run: dict[str, Marks[Graphlet]] = {}
        self.oversized: dict[Graphlet, None] = {}
        #: Trainer id -> graphlet of a trainer that proved to be none, or CACHED: should it be one after all, what
        #: was said of it still stands.
        self.retired: dict[str, Graphlet] = {}
        #: Pushed graphlets, sorted: (trainer start, trainer id, push time).
        self.pushed: list[tuple[int, str, int]] = []
        #: Graphlets that no fact has decided.
        self.open: dict[Graphlet, None] = {}
        #: Those, and those decided by a later push or their horizon alone, sorted: (trainer start, trainer id).
        self.waiting: list[tuple[int, str]] = []
        self.waits_at: dict[Graphlet, tuple[int, str]] = {}
        #: To be looked at again: outcome, ledger class.
        self.unsettled: dict[Graphlet, None] = {}
        self.unsettled_runs: dict[str, None] = {}
        self.stale: dict[Execution, None] = {}
        self.ledger = Ledger()
        #: Sums of evicted executions, part of `ledger`.
        self.frozen_ledger = Ledger()
        self.push_of: dict[Graphlet, tuple[int, str, int]] = {}
        #: Heaps: (horizon, trainer id) of open graphlets; (when, 0 and trainer id or 1 and run) of outcomes to be said.
        self.horizons: list[tuple[int, str]] = []
        self.unsaid: list[tuple[int, int, str]] = []
        self.cutoff_ms = 0
        #: Entities changed since the rows were last taken; None when nobody takes them.
        self.changed: dict[Execution | Artifact | Graphlet | Run | History, None] | None = None
        #: (kind, id) of rows whose entity was dropped since.
        self.gone: dict[tuple[str, str], None] = {}
        self.next_sweep_ms = 0
        self.history = History()


def has_graphlet(execution: Execution) -> bool:
    """A trainer that did not end CACHED has one."""
    return execution.group == TRAIN and not (execution.end_ms is not None and execution.end_state == CACHED)


def mark(pipeline: Pipeline, entity: Execution | Artifact | Graphlet | Run | History) -> None:
    """Notes that an entity's row is to be written."""
    if pipeline.changed is not None:
        pipeline.changed[entity] = None
