"""The facts of one graphlet of which figures and findings are made, as one small value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stream_app.analysis.fleet.execution_facts import ExecutionFacts
from stream_app.core.events import COMPLETE
from stream_app.core.features.extraction import text_property, warm_start
from stream_app.core.features.validation import blessing
from stream_app.core.operators import ANALYSIS, INGEST, RUN, TRAIN, TUNE, VALIDATE
from stream_app.core.state.entities import DOWN, UP, Execution, Graphlet, Version
from stream_app.core.state.pipeline import Pipeline


class GraphletFacts(NamedTuple):
    """What figures need of a graphlet. docs/analysis.md has the definitions.

    Attributes
    ----------
    id, run, trainer
        Ids; the run is None for a trainer outside of any run.
    start_ms
        The trainer's start, in ms since 1970 UTC.
    outcome, cause, time_ms
        As of `core.outputs`; the time is None while the graphlet is open.
    model_type, code
        The properties `model_type` and `code_version` of its own executions; "" where none reports it.
    first_ms, last_ms
        The earliest start and the latest end (the last report of what has none) of its executions' attempts.
    busy_ms
        The time in which at least one of its executions ran.
    executions, depth
        How many executions it has, and how many are on its longest way.
    node_ms, micros
        Compute by operator group, whole; and what all of it costs.
    train_micros
        What its trainer and the failed tries of it cost.
    types, failed
        Operator -> executions, and those among them that ended FAILED; sorted.
    inputs
        The artifacts read by its trainer or up set that an ingest execution wrote, or nothing known (runs aside).
    data_ms
        The earliest start of an ingest execution of its up set; None without one.
    analysed, validated, tuned, warm
        Whether its data was analysed, its model validated, hyperparameters tuned, and the trainer started from a model.
    blessed
        Whether validators blessed the model; None where none says.
    """

    id: str
    run: str | None
    trainer: str
    start_ms: int
    outcome: str
    cause: str
    time_ms: int | None
    model_type: str
    code: str
    first_ms: int
    last_ms: int
    busy_ms: int
    executions: int
    depth: int
    node_ms: tuple[tuple[str, int], ...]
    micros: int
    train_micros: int
    types: tuple[tuple[str, int], ...]
    failed: tuple[tuple[str, int], ...]
    inputs: tuple[str, ...]
    data_ms: int | None
    analysed: bool
    validated: bool
    tuned: bool
    warm: bool
    blessed: bool | None

    @property
    def sort_key(self) -> tuple[int, str]:
        """Start and trainer: the order of a pipeline's graphlets."""
        return (self.start_ms, self.trainer)

    @property
    def total_ms(self) -> int:
        """All its compute in node-ms."""
        return sum(amount for _, amount in self.node_ms)

    @property
    def train_ms(self) -> int:
        """Compute of the trainer and of its failed tries, in node-ms."""
        return dict(self.node_ms).get(TRAIN, 0)


def facts_of(pipeline: Pipeline, graphlet: Graphlet, known: Mapping[str, ExecutionFacts]) -> GraphletFacts:
    """Collects the facts of a graphlet.

    Parameters
    ----------
    pipeline
        The pipeline of the graphlet.
    graphlet
        A graphlet that is kept.
    known
        Execution id to its facts.

    Returns
    -------
    GraphletFacts
        A function of the facts of its executions, its members and its outcome.
    """
    trainer, members = graphlet.trainer, graphlet.members
    run = trainer.run
    cost: dict[str, int] = {}
    types: dict[str, int] = {}
    failed: dict[str, int] = {}
    busy: list[tuple[int, int]] = []
    own: list[Execution] = []
    validators: list[Execution] = []
    micros = train_micros = 0
    data_ms: int | None = None
    for execution, bits in ((trainer, UP), *members.items()):
        start_ms, attempts, operator, group, node_ms, own_micros, has_failed, is_cached, _ = known[execution.id]
        cost[group] = cost.get(group, 0) + node_ms
        types[operator] = types.get(operator, 0) + 1
        if has_failed:
            failed[operator] = failed.get(operator, 0) + 1
        if not is_cached:
            busy += attempts
        micros += own_micros
        if group == TRAIN:
            train_micros += own_micros
        elif group == INGEST and bits & UP and (data_ms is None or start_ms < data_ms):
            data_ms = start_ms
        elif group == VALIDATE and bits & DOWN:
            validators.append(execution)
        properties = execution.properties
        is_own = execution is trainer if run is None else execution.run == run
        if is_own and properties is not None and ("model_type" in properties or "code_version" in properties):
            own.append(execution)
    busy.sort()
    own.sort(key=Execution.sort_key)
    last_ms, busy_ms = covered(busy)
    steps_up, inputs = way_up(graphlet)
    blessed = blessing(pipeline, validators) if validators else None
    return GraphletFacts(
        id=graphlet.id, run=run, trainer=trainer.id, start_ms=trainer.start_ms,
        outcome=graphlet.kind, cause=graphlet.cause or "", time_ms=graphlet.time_ms,
        model_type=text_property(own, "model_type"), code=text_property(own, "code_version"),
        first_ms=busy[0][0], last_ms=last_ms, busy_ms=busy_ms,
        executions=1 + len(members), depth=steps_up + 1 + steps_down(graphlet),
        node_ms=tuple(sorted(cost.items())), micros=micros, train_micros=train_micros,
        types=tuple(sorted(types.items())), failed=tuple(sorted(failed.items())),
        inputs=inputs, data_ms=data_ms, analysed=ANALYSIS in cost,
        validated=any(each.ever(COMPLETE) for each in validators), tuned=TUNE in cost,
        warm=warm_start(trainer), blessed=None if blessed is None else blessed > 0,
    )  # fmt: skip


def note_graphlets(execution: Execution, found: dict[Graphlet, object]) -> None:
    """Adds the graphlets whose facts follow from those of an execution.

    They are its own, those that it is a member of, and those that a training led to with what it wrote: they start from
    its model and do not have it as a member.

    Parameters
    ----------
    execution
        The execution.
    found
        Graphlets, which are added to.
    """
    if execution.graphlet is not None:
        found[execution.graphlet] = None
    if execution.members_of:
        found.update(execution.members_of)
    if execution.group == TRAIN:
        for version in execution.writes.values():
            found.update(dict.fromkeys(version.up))


def covered(spans: list[tuple[int, int]]) -> tuple[int, int]:
    """The end of some spans, and the time in which at least one of them holds.

    Parameters
    ----------
    spans
        Start and end of each, sorted.

    Returns
    -------
    end, total : int
        In the unit of the spans.

    Examples
    --------
    >>> covered([(0, 10), (5, 12), (20, 21)])
    (21, 13)
    """
    total, until = 0, -(2**63)
    for start, end in spans:
        if end > until:
            total += end - (start if start > until else until)
            until = end
    return until, total


def way_up(graphlet: Graphlet) -> tuple[int, tuple[str, ...]]:
    """The most steps from the trainer up to an execution of its up set by the shortest way, and the inputs."""
    members = graphlet.members
    inputs: set[str] = set()
    seen = {graphlet.trainer}
    read: set[Version] = set()
    level, steps = [graphlet.trainer], -1
    while level:
        steps += 1
        above: list[Execution] = []
        for execution in level:
            for artifact_id, version in execution.reads.items():
                if version in read:
                    continue
                read.add(version)
                is_input, is_ingested = True, False
                for writer in version.writers:
                    group = writer.group
                    if group == INGEST:
                        is_ingested = True
                    elif group != RUN:
                        is_input = False
                    if writer not in seen and members.get(writer, 0) & UP:
                        seen.add(writer)
                        above.append(writer)
                if is_input or is_ingested:
                    inputs.add(artifact_id)
        level = above
    return steps, tuple(sorted(inputs))


def steps_down(graphlet: Graphlet) -> int:
    """The most steps from the trainer down to an execution of its down set by the shortest way."""
    readers: dict[Version, list[Execution]] = {}
    for execution, bits in graphlet.members.items():
        if bits & DOWN:
            for version in execution.reads.values():
                readers.setdefault(version, []).append(execution)
    if not readers:
        return 0
    seen: set[Execution] = set()
    level, steps = [graphlet.trainer], -1
    while level:
        steps += 1
        below: list[Execution] = []
        for execution in level:
            for version in execution.writes.values():
                for reader in readers.get(version, ()):
                    if reader not in seen:
                        seen.add(reader)
                        below.append(reader)
        level = below
    return steps
