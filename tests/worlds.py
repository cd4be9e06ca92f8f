"""Hypothesis strategies for small event logs with every shape the rules must answer, and their arrival.

`fleets()` are little pipelines as one meets them, somewhat disturbed; `noise()` is events over tiny pools
of ids, where corners meet. `logs()` mixes both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from stream_app.core.events import CACHED, CANCELED, COMPLETE, ENDS, FAILED, NEW, RUNNING, ArtifactRef, Event
from stream_app.core.operators import ANALYSIS, CUSTOM, TRAIN, Operators

from .builders import Ref, artifact, happened

#: Some types are the user's own, some operators cost several nodes or a part of one.
OPERATORS = Operators(
    groups={"Lint": ANALYSIS, "Fit": TRAIN, "Notify": CUSTOM},
    nodes={"Trainer": 4, "Transform": 2.5, "Fit": 0.3},
)
#: Minutes. Logs span up to about 60: graphlets expire in some worlds and not in others.
HORIZONS = (12, 40, 14 * 24 * 60)

TYPES = (
    "CsvExampleGen", "StatisticsGen", "SchemaGen", "Transform", "Tuner", "Trainer", "Evaluator", "Pusher",
    "PipelineRun", "Resolver", "Lint", "Fit",
)  # fmt: skip
STATES = (NEW, RUNNING, RUNNING, COMPLETE, COMPLETE, COMPLETE, FAILED, CANCELED, CACHED)
RUNS = ("r1", "r2", None)


# Noise: a cast of executions, some of which change their mind about what they are


@dataclass(frozen=True)
class _Role:
    execution_id: str
    type: str
    run: str | None
    reads: tuple[Ref, ...] = ()
    writes: tuple[Ref, ...] = ()


_REFS: tuple[Ref, ...] = (
    "a", "b", "c", "d", "a", "b", artifact("d", versioned=False), artifact("u", versioned=False),
    artifact("v", versioned=False), "u", artifact("a", pushed=0), artifact("b", pushed=1),
    artifact("u", pushed="false"),
)  # fmt: skip
#: There from the start, so that small worlds have something to label.
_LEADS = (
    _Role("t1", "Trainer", "r1", ("a",), ("b",)),
    _Role("t2", "Trainer", "r2", ("a",), ("c",)),
    _Role("p1", "Pusher", "r1", ("b",), ()),
    _Role("g1", "CsvExampleGen", None, (), ("a",)),
    _Role("s1", "StatisticsGen", "r1", ("a",), ("d",)),
)
_IDS = ("e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8")
_PROPERTIES: tuple[dict[str, str], ...] = ({}, {}, {}, {}, {}, {"pruned_by": "v#1"})
_COSTS = (None, None, 0, 1, 70_000, 500_000)
#: What an event says beside its role: another type, run or pipeline.
_SLIPS = ("", "", "", "", "", "", "", "", "Trainer", "Evaluator", "StatisticsGen", "r1", "r2", "q")


def _few_refs() -> st.SearchStrategy[tuple[Ref, ...]]:
    return st.lists(st.sampled_from(_REFS), max_size=2).map(tuple)


@st.composite
def _casts(draw: st.DrawFn) -> list[_Role]:
    told = st.tuples(st.sampled_from(TYPES), st.sampled_from(RUNS), _few_refs(), _few_refs())
    extras = draw(st.lists(told, min_size=draw(st.sampled_from((0, 3, 6))), max_size=len(_IDS)))
    return [*_LEADS, *(_Role(id_, *extra) for id_, extra in zip(_IDS, extras, strict=False))]


@st.composite
def noise(draw: st.DrawFn, max_events: int = 40) -> list[Event]:
    """Events of up to thirteen executions that read and write anything, in any state, at any time."""
    nothing: st.SearchStrategy[tuple[Ref, ...]] = st.just(())
    one = st.builds(
        _noisy,
        st.sampled_from(draw(_casts())),
        st.integers(0, 15),
        st.sampled_from(STATES),
        st.one_of(nothing, nothing, _few_refs()),
        st.one_of(nothing, nothing, _few_refs()),
        st.sampled_from(_COSTS),
        st.sampled_from(_PROPERTIES),
        st.sampled_from(_SLIPS),
    )
    return draw(st.lists(one, min_size=draw(st.sampled_from((1, 10, 20))), max_size=max_events))


def _noisy(
    role: _Role,
    minute: int,
    state: str,
    reads: tuple[Ref, ...],
    writes: tuple[Ref, ...],
    node_ms: int | None,
    properties: dict[str, str],
    slip: str,
) -> Event:
    return happened(
        minute,
        role.execution_id,
        slip if slip in TYPES else role.type,
        state,
        run=slip if slip in ("r1", "r2") else role.run,
        reads=role.reads + reads,
        writes=role.writes + writes,
        node_ms=node_ms,
        properties=properties,
        pipeline="q" if slip == "q" else "p",
    )


# Fleets: runs of a pipeline, each with some of the shapes


@dataclass
class _Run:
    """What one run of a pipeline does; its artifacts carry its number."""

    pipeline: str
    number: int
    start: int
    shapes: frozenset[str]
    #: Of its one or two trainers: how each ends.
    trainers: list[str]
    #: What the pusher says; None is no pusher.
    push: str | None
    #: How the run ends; None is a run that never does.
    end: str | None
    #: How a step tells of itself, used in turn.
    manners: list[str]
    events: list[Event] = field(default_factory=list)

    @property
    def id(self) -> str | None:
        return None if "runless" in self.shapes else f"r{self.number}"


SHAPES = (
    "hub schema", "own schema", "statistics", "transform", "tuner", "resolver", "baseline", "warm start",
    "shared spans", "unversioned", "evaluator", "runless", "cycle", "self-edge", "late pusher", "lint",
    "ingests",
)  # fmt: skip
PUSHES = ("yes", "yes", "refused", "said yes", "failed", None)
TRAINER_MANNERS = ("both", "both", "costed", "failed", "cached", "start only")
MANNERS = (
    "both",
    "both",
    "both",
    "end only",
    "start only",
    "cached",
    "failed",
    "costed",
    "retried",
    "end first",
)


@st.composite
def _runs(draw: st.DrawFn, pipeline: str, number: int) -> _Run:
    return _Run(
        pipeline,
        number,
        start=10 * number + draw(st.integers(0, 8)),
        shapes=frozenset(draw(st.lists(st.sampled_from(SHAPES), max_size=9))),
        trainers=draw(st.lists(st.sampled_from(TRAINER_MANNERS), max_size=2)),
        push=draw(st.sampled_from(PUSHES)),
        end=draw(st.sampled_from((COMPLETE, FAILED, CANCELED, "pruned", None, None))),
        manners=draw(st.lists(st.sampled_from(MANNERS), min_size=1, max_size=4)),
    )  # fmt: skip


@st.composite
def fleets(draw: st.DrawFn, max_runs: int = 4) -> list[Event]:
    """One or two pipelines of a few runs each, and up to four disturbances."""
    events: list[Event] = []
    for pipeline in draw(st.sampled_from((("p",), ("p",), ("p", "q")))):
        for number in range(1, 1 + draw(st.integers(1, max_runs // (1 if pipeline == "p" else 2)))):
            events += _play(draw(_runs(pipeline, number)))
    if not events:
        return [happened(0, "alone", "Trainer", RUNNING)]
    disturbances = st.tuples(
        st.integers(0, len(events) - 1), st.sampled_from(DISTURBANCES), st.integers(0, 30)
    )
    for where, kind, number in draw(st.lists(disturbances, max_size=4)):
        events.append(_disturbed(events[where], kind, number))
    return events


def _play(run: _Run) -> list[Event]:
    """The events of a run, in the order in which it does things."""
    shapes, n, earlier = run.shapes, run.number, run.number - 1
    versioned = "unversioned" not in shapes
    span = artifact("spans" if not versioned else f"span{n}", versioned=versioned)
    spans: list[Ref] = [span, f"span{earlier}"] if "shared spans" in shapes else [span]
    schema: list[Ref] = (
        ["schema"] if "hub schema" in shapes else [f"schema{n}"] if "own schema" in shapes else []
    )
    baseline: list[Ref] = [f"model{earlier}a"] if "baseline" in shapes else []
    steps = _Steps(run)
    if "ingests" in shapes:
        steps.add("gen", "CsvExampleGen", [], [span])
    if "statistics" in shapes:
        steps.add("stats", "StatisticsGen", spans, [f"stats{n}"])
        steps.add("check", "ExampleValidator", [f"stats{n}", *schema], [f"anomalies{n}"])
    if "own schema" in shapes or ("hub schema" in shapes and n == 1):
        steps.add("schema", "SchemaGen", [f"stats{n}"], schema[:1])
    if "lint" in shapes:
        steps.add("lint", "Lint", [*spans, *schema], [])
    data: list[Ref] = [*spans, *schema]
    if "transform" in shapes:
        steps.add("transform", "Transform", data, [f"data{n}"])
        data = [f"data{n}", *schema]
    if "resolver" in shapes:
        steps.add("resolve", "Resolver", [f"model{earlier}a"], [f"model{earlier}a"])
    if "tuner" in shapes:
        steps.add("tune", "Tuner", data, [f"params{n}"])
        data = [*data, f"params{n}"]
    _train_and_deploy(run, steps, data, [*spans, *baseline])
    if run.end is not None:
        steps.end_run(run.end)
    return run.events


def _train_and_deploy(run: _Run, steps: _Steps, data: list[Ref], judged_with: list[Ref]) -> None:
    shapes, n = run.shapes, run.number
    models: list[Ref] = []
    for letter, manner in zip("ab", run.trainers, strict=False):
        warm: list[Ref] = [f"model{n - 1}a"] if "warm start" in shapes else []
        # A cached trainer hands out the model that an earlier run trained.
        model = f"model{n - 1}a" if manner == "cached" else f"model{n}{letter}"
        type_ = "Fit" if letter == "b" else "Trainer"
        steps.add(f"train{letter}", type_, [*data, *warm], [model], manner)
        models.append(model)
    verdicts: list[Ref] = []
    if "evaluator" in shapes:
        steps.add("eval", "Evaluator", [*models, *judged_with], [f"blessing{n}"])
        verdicts = [f"blessing{n}"]
    if "cycle" in shapes:
        steps.add("feedback", "Notify", [*models, *verdicts], [f"span{n}", f"params{n}"])
    if run.push is not None:
        said = {"refused": 0, "said yes": 1}.get(run.push)
        out = artifact(f"out{n}") if said is None else artifact(f"out{n}", pushed=said)
        steps.minute += 12 if "late pusher" in shapes else 0
        steps.add(
            "push", "Pusher", [*models[:1], *verdicts], [out], "failed" if run.push == "failed" else "both"
        )


class _Steps:
    """Adds the steps of a run one after the other, each in its manner."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.minute = run.start
        self._manners = self._in_turn()

    def _in_turn(self) -> Iterator[str]:
        while True:
            yield from self.run.manners

    def add(
        self, name: str, type_: str, reads: list[Ref], writes: list[Ref], manner: str | None = None
    ) -> None:
        """One step; costs are told only in manner `costed` and `retried`."""
        manner = manner or next(self._manners)
        self_edge: list[Ref] = writes[:1] if "self-edge" in self.run.shapes else []
        where: dict[str, Any] = {
            "run": self.run.id,
            "pipeline": self.run.pipeline,
            "reads": [*reads, *self_edge],
        }
        id_, minute = f"{name}{self.run.number}", self.minute
        state = {"cached": CACHED, "failed": FAILED}.get(manner, COMPLETE)
        end = happened(
            minute + 1, id_, type_, state,
            writes=writes, node_ms=90_000 if manner in ("costed", "retried") else None, **where,
        )  # fmt: skip
        if manner not in ("end only", "cached"):
            self.run.events.append(
                happened(minute + (5 if manner == "end first" else 0), id_, type_, RUNNING, **where)
            )
        if manner == "retried":
            self.run.events.append(happened(minute + 1, id_, type_, FAILED, node_ms=30_000, **where))
        if manner != "start only":
            self.run.events.append(end)
        self.minute += 1

    def end_run(self, how: str) -> None:
        run = self.run
        properties = {"pruned_by": "v#1"} if how == "pruned" else {}
        state = CANCELED if how == "pruned" else how
        # A run that lists its datasets must not join everything it contains.
        run.events.append(
            happened(
                self.minute, f"r{run.number}", "PipelineRun", state,
                run=run.id, pipeline=run.pipeline, properties=properties,
                reads=["schema", f"model{run.number - 1}a"], writes=[f"span{run.number}"],
            )
        )  # fmt: skip


DISTURBANCES = (
    "type", "trainer", "run", "no run", "end state", "start", "earlier", "later", "self-edge", "reads schema",
    "reads a model", "writes a model", "unversioned", "cost", "pushed no", "pruned", "other pipeline",
    "no cost",
)  # fmt: skip


def _disturbed(event: Event, kind: str, number: int) -> Event:
    """A further event of the same execution that says something else, often at the same time."""
    run, model = f"r{1 + number % 3}", artifact(f"model{number % 4}a")
    choices: dict[str, dict[str, Any]] = {
        "type": {"execution_type": TYPES[number % len(TYPES)]},
        "trainer": {"execution_type": "Trainer", "time_ms": event.time_ms - 60_000 * (number % 3)},
        "run": {"run": run, "time_ms": event.time_ms - 60_000 * (number % 3)},
        "no run": {"run": None},
        "end state": {"state": sorted(ENDS)[number % 4]},
        "start": {"state": RUNNING},
        "earlier": {"time_ms": event.time_ms - 60_000 * number},
        "later": {"time_ms": event.time_ms + 60_000 * number},
        "self-edge": {"inputs": event.outputs, "outputs": event.inputs},
        "reads schema": {"inputs": (artifact("schema"),)},
        "reads a model": {"inputs": (model,)},
        "writes a model": {"outputs": (model,)},
        "unversioned": {"inputs": tuple(replace(ref, versioned=False) for ref in event.inputs)},
        "cost": {"node_ms": 10_000 * number},
        "pushed no": {"outputs": tuple(_with_pushed(ref, number % 2) for ref in event.outputs)},
        "pruned": {"state": CANCELED, "properties": {"pruned_by": "v#2"}},
        "other pipeline": {"pipeline": "q"},
        "no cost": {"node_ms": None},
    }
    return replace(event, **choices[kind])


def _with_pushed(ref: ArtifactRef, said: int) -> ArtifactRef:
    return replace(ref, properties={"pushed": said})


def logs() -> st.SearchStrategy[list[Event]]:
    """Event logs of both kinds, in the order in which they were written."""
    return st.one_of(fleets(), noise())


# Arrivals


@st.composite
def shuffled(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The same events in another order."""
    return draw(st.permutations(events))


@st.composite
def duplicated(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The events shuffled, some of them several times."""
    again = draw(st.lists(st.sampled_from(events), min_size=1, max_size=len(events)))
    return draw(st.permutations([*events, *again]))


@st.composite
def late(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The events in the order of their times, except those that a broken sender kept back until the end."""
    kept_back = draw(st.sets(st.integers(0, len(events) - 1), min_size=1))
    order = sorted(range(len(events)), key=lambda i: (events[i].time_ms, i))
    return [events[i] for i in order if i not in kept_back] + [events[i] for i in order if i in kept_back]


def any_arrival(events: list[Event]) -> st.SearchStrategy[list[Event]]:
    """In any of these ways, or as written."""
    return st.one_of(st.just(events), shuffled(events), duplicated(events), late(events))


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Up to three places at which a log of that length is cut, rising."""
    return st.lists(st.integers(0, length), min_size=1, max_size=3).map(sorted)
