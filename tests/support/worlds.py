"""Hypothesis strategies for small event logs with every shape the rules must have an answer for.

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
from tests.support.builders import MINUTE, Ref, artifact, happened

#: Some types are the user's own, some operators cost several nodes or a part of one.
OPERATORS = Operators(
    groups={"Lint": ANALYSIS, "Fit": TRAIN, "Notify": CUSTOM},
    nodes={"Trainer": 4, "Transform": 2.5, "Fit": 0.3},
)
#: Minutes of silence after which a training is lost.
LOST = (2, 4, 360)
#: Minutes. Logs span up to about 60: graphlets expire in some worlds and not in others.
HORIZONS = (5, 8, 10, 40, 14 * 24 * 60)

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
    artifact("o", pushed=0), artifact("o", pushed=True), artifact("o", pushed="0"),
    artifact("o", pushed="yes"), artifact("o", pushed=" No"),
)  # fmt: skip
#: There from the start, so that small worlds have something to label.
_LEADS = (
    _Role("t1", "Trainer", "r1", ("a",), ("b",)),
    _Role("t2", "Trainer", "r2", ("a",), ("c",)),
    _Role("p1", "Pusher", "r1", ("b",), ("o",)),
    _Role("r1", "PipelineRun", "r1"),
    _Role("g1", "CsvExampleGen", None, (), ("a",)),
    _Role("again", "PipelineRun", "r1"),
    _Role("s1", "StatisticsGen", "r1", ("a",), ("d",)),
    _Role("p2", "Pusher", "r2", ("c",)),
)
_IDS = ("e1", "e2", "e3", "e4", "e5", "e6")
_PROPERTIES: tuple[dict[str, str], ...] = (
    {}, {}, {}, {"job": "train"}, {"job": "train"}, {"job": "train", "map_index": "1"}, {"pruned_by": "v#1"},
    {"label_unknown": "true"}, {"task": "deploy"}, {"task": "deploy"}, {"skipped_tasks": "report,deploy"},
)  # fmt: skip
_COSTS = (None, None, None, None, None, None, None, 0, 70_000, 500_000)
#: What an event says beside its role: another type, run (which may be a step or a training) or pipeline.
_SLIPS = ("", "", "", "", "", "", "", "", "Trainer", "Evaluator", "StatisticsGen", "r1", "r2", "e1", "t1", "q")


def _few_refs() -> st.SearchStrategy[tuple[Ref, ...]]:
    return st.lists(st.sampled_from(_REFS), max_size=2).map(tuple)


@st.composite
def _casts(draw: st.DrawFn) -> list[_Role]:
    told = st.tuples(st.sampled_from(TYPES), st.sampled_from(RUNS), _few_refs(), _few_refs())
    extras = draw(st.lists(told, min_size=draw(st.sampled_from((0, 2, 4))), max_size=len(_IDS)))
    leads = _LEADS[: draw(st.sampled_from((3, 4, 5, 8)))]
    return [*leads, *(_Role(id_, *extra) for id_, extra in zip(_IDS, extras, strict=False))]


@st.composite
def noise(draw: st.DrawFn, max_events: int = 40) -> list[Event]:
    """Events of up to fourteen executions that read and write anything, in any state, at any time."""
    nothing: st.SearchStrategy[tuple[Ref, ...]] = st.just(())
    one = st.builds(
        _noisy,
        st.sampled_from(draw(_casts())),
        st.integers(0, 10),
        st.sampled_from(STATES),
        st.one_of(nothing, nothing, _few_refs()),
        st.one_of(nothing, nothing, _few_refs()),
        st.sampled_from(_COSTS),
        st.sampled_from(_PROPERTIES),
        st.sampled_from(_SLIPS),
    )
    return draw(st.lists(one, min_size=draw(st.sampled_from((1, 15, 25))), max_size=max_events))


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
        run=slip if slip in ("r1", "r2", "e1", "t1") else role.run,
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
    #: How each of its trainers ends, and what the pusher of its model says (None is no pusher).
    trainers: list[tuple[str, str | None]]
    #: How the run ends; None is a run that never does.
    end: str | None
    #: How a step tells of itself, used in turn.
    manners: list[str]
    events: list[Event] = field(default_factory=list)

    @property
    def id(self) -> str | None:
        return None if "runless" in self.shapes else f"r{self.number}"


#: What a run does, each half of the time, ...
SHAPES = (
    "ingests", "statistics", "hub schema", "own schema", "transform", "tuner", "evaluator", "baseline",
    "resolver", "shared spans", "warm start",
)  # fmt: skip
#: ... and what is seen less often.
QUIRKS = (
    "runless", "unversioned", "cycle", "self-edge", "late pusher", "lint", "tried again", "reports", "own deploy run",
    "run as a job", "skips", "unknown label",
)  # fmt: skip
PUSHES = ("yes", "yes", "refused", "said yes", "unclear", "failed", None, None)
TRAINER_MANNERS = ("both", "both", "costed", "failed", "cached", "start only", "reports only", "reports only")
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
def _runs(draw: st.DrawFn, pipeline: str, number: int, always: frozenset[str]) -> _Run:
    habits = draw(st.integers(0, 2 ** len(SHAPES) - 1))
    trainer = st.tuples(st.sampled_from(TRAINER_MANNERS), st.sampled_from(PUSHES))
    return _Run(
        pipeline,
        number,
        start=5 * number + draw(st.integers(0, 8)),
        shapes=frozenset(shape for bit, shape in enumerate(SHAPES) if habits >> bit & 1)
        | frozenset(draw(st.lists(st.sampled_from(QUIRKS), max_size=3)))
        | always,
        trainers=draw(st.lists(trainer, min_size=draw(st.sampled_from((1, 1, 0))), max_size=2)),
        end=draw(st.sampled_from((None, None, None, None, COMPLETE, CANCELED, "retried", "pruned"))),
        manners=draw(st.lists(st.sampled_from(MANNERS), min_size=1, max_size=4)),
    )


@st.composite
def fleets(draw: st.DrawFn, max_runs: int = 4) -> list[Event]:
    """One or two pipelines of a few runs each, and up to eight disturbances."""
    events: list[Event] = []
    for pipeline in draw(st.sampled_from((("p",), ("p",), ("p", "q")))):
        always = draw(st.sampled_from(((), (), ("unversioned", "ingests"), ("late pusher",))))
        for number in range(1, 1 + draw(st.integers(1, max_runs // (1 if pipeline == "p" else 2)))):
            events += _play(draw(_runs(pipeline, number, frozenset(always))))
    if not events:
        return [happened(0, "alone", "Trainer", RUNNING)]
    disturbances = st.tuples(
        st.integers(0, len(events) - 1),
        st.sampled_from(DISTURBANCES),
        st.integers(0, 30),
        st.sampled_from((0, 0, 0, -1, 1, 2, -10, 20)),
    )
    few = draw(st.sampled_from((0, 2, 4)))
    for where, kind, number, minutes in draw(st.lists(disturbances, min_size=few, max_size=8)):
        events.append(_disturbed(events[where], kind, number, minutes))
    return events


def _play(run: _Run) -> list[Event]:
    """The events of a run, in the order in which it does things."""
    shapes, n, earlier = run.shapes, run.number, run.number - 1
    versioned = "unversioned" not in shapes
    span = artifact("spans" if not versioned else f"span{n}", versioned=versioned)
    spans: list[Ref] = [span, f"span{earlier}"] if "shared spans" in shapes else [span]
    schema: list[Ref] = ["schema"] if "hub schema" in shapes else [f"schema{n}"] if "own schema" in shapes else []
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
    shapes, n, before = run.shapes, run.number, f"model{run.number - 1}a"
    models: list[Ref] = []
    for letter, (manner, _) in zip("ab", run.trainers, strict=False):
        # A cached trainer hands out the model that an earlier run trained.
        models.append(before if manner == "cached" else f"model{n}{letter}")
        warm: list[Ref] = [before] if "warm start" in shapes else []
        type_ = "Trainer" if letter == "a" else "Fit"
        if "tried again" in shapes:
            steps.add(f"try{letter}", type_, [*data, *warm], [], "failed", properties={"job": letter})
        told = {"job": letter} | ({"label_unknown": True} if "unknown label" in shapes else {})
        steps.add(f"train{letter}", type_, [*data, *warm], models[-1:], manner, properties=told)
        steps.minute -= 1
    steps.minute += 1
    verdicts: list[Ref] = []
    if "evaluator" in shapes:
        steps.add("eval", "Evaluator", [*models, *judged_with], [f"blessing{n}"])
        verdicts = [f"blessing{n}"]
    if "cycle" in shapes:
        steps.add("feedback", "Notify", [*models, *verdicts], [f"span{n}", f"params{n}"])
    steps.minute += 12 if "late pusher" in shapes else 0
    if "own deploy run" in shapes:
        steps.run_id = f"deploy{n}"
    for letter, model, (_, push) in zip("ab", models, run.trainers, strict=False):
        if push is not None:
            said = {"refused": 0, "said yes": 1, "unclear": "no"}.get(push)
            out = artifact(f"out{n}{letter}") if said is None else artifact(f"out{n}{letter}", pushed=said)
            manner = "failed" if push == "failed" else "both"
            steps.add(
                f"push{letter}", "Pusher", [model, *verdicts], [out], manner, properties={"task": f"push{letter}"}
            )
        if push == "unclear":
            # At the same time it also says that it did not push: one of the two wins, whichever comes first.
            run.events.append(replace(run.events[-1], outputs=(artifact(f"out{n}{letter}", pushed=0),)))
    if "skips" in shapes:
        steps.end_run("skipped")


class _Steps:
    """Adds the steps of a run one after the other, each in its manner."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.run_id = run.id
        self.minute = run.start
        self._manners = self._in_turn()

    def _in_turn(self) -> Iterator[str]:
        while True:
            yield from self.run.manners

    def add(
        self,
        name: str,
        type_: str,
        reads: list[Ref],
        writes: list[Ref],
        manner: str | None = None,
        properties: dict[str, Any] | None = None,
    ) -> None:
        """One step; costs are told only in manner `costed` and `retried`."""
        manner = manner or next(self._manners)
        self_edge: list[Ref] = writes[:1] if "self-edge" in self.run.shapes else []
        where: dict[str, Any] = {
            "run": self.run_id,
            "pipeline": self.run.pipeline,
            "reads": [*reads, *self_edge],
            "properties": properties,
        }
        id_, minute = f"{name}{self.run.number}", self.minute
        state = {"cached": CACHED, "failed": FAILED}.get(manner, COMPLETE)
        end = happened(
            minute + 1, id_, type_, state,
            writes=writes, node_ms=90_000 if manner in ("costed", "retried") else None, **where,
        )  # fmt: skip
        if manner not in ("end only", "cached"):
            self.run.events.append(happened(minute + (5 if manner == "end first" else 0), id_, type_, RUNNING, **where))
        if "reports" in self.run.shapes or manner == "reports only":
            self.run.events += [happened(minute + each / 4, id_, type_, RUNNING, **where) for each in range(1, 4)]
        if manner == "retried":
            self.run.events.append(happened(minute + 1, id_, type_, FAILED, node_ms=30_000, **where))
        if manner not in ("start only", "reports only"):
            self.run.events.append(end)
        self.minute += 1

    def end_run(self, how: str) -> None:
        """The run's own end; a run that lists its datasets must not join everything it contains."""
        n, run = self.run.number, self.run
        where: dict[str, Any] = {
            "run": self.run_id, "pipeline": run.pipeline,
            "reads": ["schema", f"model{n - 1}a"], "writes": [f"span{n}"],
        }  # fmt: skip
        if how == "skipped":
            self._ended(self.run_id or f"r{n}", COMPLETE, where, properties={"skipped_tasks": "pusha"})
        elif how == "retried":
            self._ended(f"r{n}", FAILED, where)
            self._ended(f"r{n}-again", COMPLETE, where)
        elif how == "pruned":
            if run.trainers:
                trainer = {"run": run.id, "pipeline": run.pipeline}
                self._ended(f"traina{n}", CANCELED, trainer, "Trainer", {"pruned_by": "v#1"})
            self._ended(f"r{n}", CANCELED, where, properties={"pruned_by": "v#1"})
        else:
            self._ended(f"r{n}", how, where)

    def _ended(
        self,
        id_: str,
        state: str,
        where: dict[str, Any],
        type_: str | None = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        type_ = type_ or ("Dag" if "run as a job" in self.run.shapes else "PipelineRun")
        self.run.events.append(happened(self.minute, id_, type_, state, properties=properties, **where))
        self.minute += 1


DISTURBANCES = (
    "type", "trainer", "run", "no run", "end state", "start", "again", "self-edge", "reads schema",
    "reads a model", "writes a model", "unversioned", "cost", "no cost", "pushed", "pruned", "other pipeline",
)  # fmt: skip


def _disturbed(event: Event, kind: str, number: int, minutes: int) -> Event:
    """A further event of the same execution that says something else, often at the same time."""
    run, model = f"r{1 + number % 3}", artifact(f"model{number % 4}a")
    choices: dict[str, dict[str, Any]] = {
        "type": {"execution_type": TYPES[number % len(TYPES)]},
        "trainer": {"execution_type": "Trainer"},
        "run": {"run": run},
        "no run": {"run": None},
        "end state": {"state": sorted(ENDS)[number % 4]},
        "start": {"state": RUNNING},
        "again": {},
        "self-edge": {"inputs": event.outputs, "outputs": event.inputs},
        "reads schema": {"inputs": (artifact("schema"),)},
        "reads a model": {"inputs": (model,)},
        "writes a model": {"outputs": (model,)},
        "unversioned": {"inputs": tuple(replace(ref, versioned=False) for ref in event.inputs)},
        "cost": {"node_ms": 10_000 * number},
        "pushed": {"outputs": tuple(_with_pushed(ref, number % 2) for ref in event.outputs)},
        "pruned": {"state": CANCELED, "properties": {"pruned_by": "v#2"}},
        "other pipeline": {"pipeline": "q"},
        "no cost": {"node_ms": None},
    }
    return replace(event, time_ms=event.time_ms + MINUTE * minutes, **choices[kind])


def _with_pushed(ref: ArtifactRef, said: int) -> ArtifactRef:
    return replace(ref, properties={"pushed": said})


def logs() -> st.SearchStrategy[list[Event]]:
    """Event logs of both kinds, in the order in which they were written."""
    return st.one_of(fleets(), noise())
