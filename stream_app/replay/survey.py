"""What a stream of events says about its executions and artifacts, counted without the detector's rules.

Memory is bounded: executions and artifacts beyond `EXECUTIONS_MAX` and `ARTIFACTS_MAX` are counted as events alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from stream_app.core.events import CACHED, ENDS, Event
from stream_app.core.operators import CUSTOM, DEPLOY, RUN, TRAIN, Operators
from stream_app.core.properties import JOB
from stream_app.replay.near_names import NearNames
from stream_app.replay.rule_guesses import group_of_words

EXECUTIONS_MAX, ARTIFACTS_MAX = 500_000, 1_000_000
#: Examples of each finding that are kept.
EXAMPLES = 10
#: The share of a type's executions from which halves are taken for executions that were split.
_SPLIT_SHARE = 0.1


@dataclass(slots=True)
class Seen:
    """An execution of which events were seen."""

    id: str
    type: str
    #: The job of OpenLineage, whose runs have ids that say nothing; "" of other sources.
    job: str
    events: int = 0
    run: str | None = None
    cached: bool = False
    has_artifacts: bool = False
    start_ms: int | None = None
    end_ms: int | None = None
    in_graphlet: bool = False
    #: Of a trainer: whether its graphlet has anything before it.
    has_inputs: bool = False
    #: What it read; kept only of trainers, deploys, and what is named like a deploy.
    reads: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.id} ({self.job})" if self.job else self.id


@dataclass(frozen=True, slots=True)
class Unended:
    """Executions of one type without an end."""

    type: str
    executions: int
    example: str


@dataclass(frozen=True, slots=True)
class SplitExecution:
    """An execution that started under one id and, by its pipeline, type and times, ended under another."""

    pipeline: str
    type: str
    started_as: str
    ended_as: str


@dataclass(frozen=True, slots=True)
class SpreadRun:
    """A run of OpenLineage whose events are in one pipeline, and what runs in it, or other events of it, in another."""

    run: str
    job: str
    pipeline: str
    other: str
    #: Whether other executions name it as their run there; its own events are there else.
    is_named: bool


@dataclass(frozen=True, slots=True)
class UnwrittenRead:
    """An execution outside of every graphlet that read what no execution of its pipeline wrote."""

    pipeline: str
    execution: str
    group: str
    artifact: str
    #: What was written under a name that is alike, and what differs; None where there is none.
    near: str | None
    differs: str | None


@dataclass(slots=True)
class Graph:
    """How much of the graph is connected, in executions and graphlets."""

    executions: int = 0
    #: Executions that are members of a graphlet.
    in_graphlets: int = 0
    #: Graphlets, those whose trainer has anything before it, and those with an execution of group deploy after it.
    graphlets: int = 0
    with_inputs: int = 0
    with_deploy: int = 0
    #: Outcome -> graphlets; `open` without one.
    outcomes: dict[str, int] = field(default_factory=dict)
    #: Executions of group deploy that are in no graphlet, and executions of group train without anything before them.
    loose_deploys: int = 0
    loose_trainers: int = 0
    #: False where there are more executions than the survey keeps; the counts are of those kept.
    complete: bool = True


class Survey:
    """Follows events, then graphlets.

    Parameters
    ----------
    operators
        Maps execution types to operator groups.
    """

    def __init__(self, operators: Operators) -> None:
        self._operators = operators
        self._executions: dict[tuple[str, str], Seen] = {}
        #: Artifact -> its pipeline and the type of its writer.
        self._written: dict[str, tuple[str, str]] = {}
        self._also_written: set[tuple[str, str]] = set()
        #: Pipeline and run that an execution names as its own.
        self._named_runs: set[tuple[str, str]] = set()
        self._graph = Graph()
        #: Type -> whether what its executions read is kept.
        self._kept_reads: dict[str, bool] = {}

    def add(self, event: Event) -> None:
        """Notes an event."""
        key = (event.pipeline, event.execution_id)
        seen = self._executions.get(key)
        if seen is None:
            if len(self._executions) >= EXECUTIONS_MAX:
                self._graph.complete = False
                return
            job = intern(str(event.properties.get(JOB, "")))
            seen = self._executions[key] = Seen(event.execution_id, intern(event.execution_type), job)
        seen.events += 1
        if event.run is not None:
            seen.run = intern(event.run)
            if event.run != event.execution_id:
                self._named_runs.add((intern(event.pipeline), seen.run))
        seen.cached |= event.state == CACHED
        seen.has_artifacts |= bool(event.inputs or event.outputs)
        if event.state in ENDS:
            seen.end_ms = max(seen.end_ms or 0, event.time_ms)
        else:
            seen.start_ms = min(seen.start_ms or event.time_ms, event.time_ms)
        if event.inputs and self._keeps_reads(event.execution_type):
            seen.reads.update(artifact.id for artifact in event.inputs)
        for artifact in event.outputs:
            writer = self._written.setdefault(artifact.id, (intern(event.pipeline), seen.type))
            if writer[0] != event.pipeline and len(self._also_written) < ARTIFACTS_MAX:
                self._also_written.add((event.pipeline, artifact.id))
            if len(self._written) > ARTIFACTS_MAX:
                del self._written[artifact.id]
                self._graph.complete = False

    def add_graphlet(self, record: Mapping[str, Any]) -> None:
        """Notes a graphlet, as the detector describes it."""
        graph, pipeline = self._graph, record["pipeline"]
        graph.graphlets += 1
        trainer = self._executions.get((pipeline, record["trainer"]))
        if record["up"]:
            graph.with_inputs += 1
            if trainer is not None:
                trainer.has_inputs = True
        outcome = record["outcome"] or "open"
        graph.outcomes[outcome] = graph.outcomes.get(outcome, 0) + 1
        for execution in (record["trainer"], *record["up"], *record["side"]):
            self._enter(pipeline, execution)
        groups = {self._enter(pipeline, execution) for execution in record["down"]}
        graph.with_deploy += DEPLOY in groups

    def _enter(self, pipeline: str, execution: str) -> str | None:
        seen = self._executions.get((pipeline, execution))
        if seen is None:
            return None
        seen.in_graphlet = True
        return self._operators.group(seen.type)

    def _group(self, pipeline: str, seen: Seen) -> str:
        """The group of an execution; what others name as their run is one, as in `core.graphlets.roles`."""
        group = self._operators.group(seen.type)
        is_step = group == RUN or (group != CUSTOM and seen.has_artifacts)
        return group if is_step or (pipeline, seen.id) not in self._named_runs else RUN

    def _keeps_reads(self, name: str) -> bool:
        keeps = self._kept_reads.get(name)
        if keeps is None:
            guess = group_of_words(name)
            keeps = self._operators.group(name) in (TRAIN, DEPLOY) or (guess is not None and guess[0] == DEPLOY)
            self._kept_reads[name] = keeps
        return keeps

    def groups(self) -> Counter[tuple[str, str]]:
        """The number of executions of each group and type."""
        return Counter((self._group(pipeline, seen), seen.type) for (pipeline, _), seen in self._executions.items())

    def without_run(self) -> int:
        """The number of events of executions that are in no run, and are none."""
        return sum(
            seen.events
            for (pipeline, _), seen in self._executions.items()
            if seen.run is None and self._group(pipeline, seen) != RUN
        )

    def jobs_of_runs(self) -> set[str]:
        """The jobs of OpenLineage whose executions are runs, whatever their types."""
        return {seen.job for (pipeline, _), seen in self._executions.items() if self._group(pipeline, seen) == RUN} - {
            ""
        }

    def spread(self) -> list[SpreadRun]:
        """Runs of OpenLineage, whose ids are unique, that are in two pipelines; at most `EXAMPLES`."""
        places: dict[str, list[str]] = {}
        for (pipeline, execution), seen in self._executions.items():
            if seen.job:
                places.setdefault(execution, []).append(pipeline)
        found: list[SpreadRun] = []
        for run, (pipeline, *others) in places.items():
            found += [SpreadRun(run, self._executions[pipeline, run].job, pipeline, each, False) for each in others]
        for other, run in self._named_runs:
            if run in places and (other, run) not in self._executions:
                pipeline = places[run][0]
                found.append(SpreadRun(run, self._executions[pipeline, run].job, pipeline, other, True))
        return sorted(found, key=lambda each: (each.pipeline, each.job, each.other, each.run))

    def graph(self) -> Graph:
        """How much of the graph is connected; call it once all graphlets are noted."""
        graph = self._graph
        graph.executions = len(self._executions)
        graph.in_graphlets = sum(seen.in_graphlet for seen in self._executions.values())
        graph.loose_deploys = sum(group == DEPLOY for _, _, group in self._loose())
        graph.loose_trainers = graph.graphlets - graph.with_inputs
        return graph

    def unended(self) -> list[Unended]:
        """Types of executions without an end, the most frequent first."""
        counts: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for seen in self._executions.values():
            if seen.end_ms is None:
                counts[seen.type] += 1
                examples.setdefault(seen.type, seen.name)
        return [Unended(name, count, examples[name]) for name, count in counts.most_common()]

    def split(self) -> list[SplitExecution]:
        """Executions that started under one id and ended under another.

        A start without an end is matched with the first later end without a start of its pipeline, type and run. What
        was cached has no start. Few such pairs among many executions are rather messages that were lost.
        """
        totals = Counter((pipeline, seen.type) for (pipeline, _), seen in self._executions.items())
        halves: dict[tuple[str, str, str | None], list[tuple[int, bool, str]]] = {}
        for (pipeline, _), seen in self._executions.items():
            if (seen.start_ms is None) != (seen.end_ms is None) and not seen.cached:
                time_ms = seen.end_ms if seen.start_ms is None else seen.start_ms
                key = (pipeline, seen.type, seen.run)
                halves.setdefault(key, []).append((time_ms or 0, seen.start_ms is None, seen.name))
        pairs: dict[tuple[str, str], list[SplitExecution]] = {}
        for (pipeline, name, _), times in halves.items():
            starts: list[str] = []
            for _, is_end, execution in sorted(times):
                if not is_end:
                    starts.append(execution)
                elif starts:
                    pair = SplitExecution(pipeline, name, starts.pop(0), execution)
                    pairs.setdefault((pipeline, name), []).append(pair)
        return [pair for key, some in pairs.items() if len(some) >= _SPLIT_SHARE * totals[key] for pair in some]

    def unwritten(self) -> list[UnwrittenRead]:
        """What deploys, then trainers, read although no execution of their pipeline wrote it; at most `EXAMPLES`."""
        names: NearNames | None = None
        found: list[UnwrittenRead] = []
        for pipeline, seen, group in sorted(self._loose(), key=lambda each: (each[2] != DEPLOY, each[0], each[1].name)):
            missing = [artifact for artifact in seen.reads if not self._is_written(pipeline, artifact)]
            missing.sort(key=lambda artifact: (artifact.endswith("@"), artifact))  # a name without its version last
            if not missing or len(missing) < len(seen.reads):
                continue
            names = names or NearNames(self._written)
            artifact, near, differs = self._near(names, missing)
            if group == DEPLOY or near is not None:  # what a trainer reads may well come from elsewhere
                found.append(UnwrittenRead(pipeline, seen.name, group, artifact, near, differs))
            if len(found) == EXAMPLES:
                break
        return found

    def _near(self, names: NearNames, missing: Sequence[str]) -> tuple[str, str | None, str | None]:
        """One of the artifacts, what was written under a name that is alike, and what differs."""
        for artifact in missing:
            if artifact in self._written:
                return artifact, artifact, f"pipeline: {self._written[artifact][0]}"
            alike = names.nearest(artifact)
            if alike is not None:
                return artifact, *alike
        return missing[0], None, None

    def _is_written(self, pipeline: str, artifact: str) -> bool:
        writer = self._written.get(artifact)
        return writer is not None and (writer[0] == pipeline or (pipeline, artifact) in self._also_written)

    def _loose(self) -> Iterator[tuple[str, Seen, str]]:
        """Executions that read and that no graphlet connects: deploys in none, and trainers with nothing written."""
        for (pipeline, _), seen in self._executions.items():
            group = self._operators.group(seen.type)
            if (group == TRAIN and not seen.has_inputs) or (group == DEPLOY and not seen.in_graphlet):
                yield pipeline, seen, group

    def writers(self, types: Iterable[str]) -> set[str]:
        """The types of the executions that wrote what executions of some types read."""
        chosen = set(types)
        read = {artifact for seen in self._executions.values() if seen.type in chosen for artifact in seen.reads}
        return {self._written[artifact][1] for artifact in read if artifact in self._written}
