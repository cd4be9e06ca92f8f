"""The detector: `step` is the only way in which state changes, and says what came of it.

One detector holds any number of pipelines, which share nothing but the learner that is asked for probabilities and
thresholds. It never teaches the learner: examples are outputs, and whoever runs the detector folds them in
(`replay` at once, the worker from the examples log).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_app.core.decisions import stages
from stream_app.core.decisions.policy import Policy
from stream_app.core.decisions.verdicts import predict
from stream_app.core.events import Event
from stream_app.core.graphlets.membership import listed
from stream_app.core.graphlets.updating import apply
from stream_app.core.ids import GraphletName, parse_graphlet_id
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.seen_examples import RETENTION_MS
from stream_app.core.operators import DEPLOY, RUN, Operators
from stream_app.core.outcomes import accounting, labels, outcomes
from stream_app.core.outputs import NOT_PUSHED, OPEN, PRUNED, Closed, Output
from stream_app.core.state.entities import Execution, Graphlet, Run, Subject
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.storage import loading, retention, rows
from stream_app.core.storage.invariants import check, check_touched
from stream_app.core.storage.story import StoryEntry, story, story_line
from stream_app.core.units import DAY_MS

#: So much later than the pipeline's clock an event may be told and still be news: what a stage is dated by.
LAG_MS = 600_000
#: Stories of graphlets in the note of an error.
STORIES_MAX = 3


@dataclass(frozen=True)
class Settings:
    """What a detector is told once."""

    operators: Operators = field(default_factory=Operators)
    policy: Policy = field(default_factory=Policy)
    #: When a graphlet that nothing decided counts as not pushed: this long after its trainer's start.
    horizon_ms: int = 14 * DAY_MS
    #: How long what nothing touches is kept, and how late an event may come.
    retention_ms: int = 30 * DAY_MS
    lateness_ms: int = 7 * DAY_MS
    #: Whether each step checks the invariants of what it touched.
    invariants: bool = False

    def __post_init__(self) -> None:
        if self.horizon_ms > self.retention_ms:
            raise ValueError("the horizon must not be longer than the retention: outcomes would be evicted unsaid")

    @property
    def keep_ms(self) -> int:
        """Retention and lateness together: how long what nothing touches is kept."""
        return self.retention_ms + self.lateness_ms

    def learner(self) -> Learner:
        """A learner without labels that fits a detector of these settings.

        It keeps thresholds for the policy's budgets, and remembers labels for as long as the detector keeps graphlets,
        since until then they may be corrected. It remembers no shorter than by default: examples may come twice.
        """
        return Learner(self.policy.budgets, max(self.keep_ms, RETENTION_MS))


class Detector:
    """Graphlets, outcomes, ledger and verdicts of some pipelines, kept up to date event by event.

    Parameters
    ----------
    settings
        What it is told once.
    learner
        Asked for probabilities and thresholds; None: no predictions and no examples are made.
    keep_rows
        Whether changed state is collected for `take_rows`.
    """

    def __init__(
        self, settings: Settings | None = None, learner: Learner | None = None, *, keep_rows: bool = False
    ) -> None:
        self.settings = settings or Settings()
        self.learner = learner
        self.keep_rows = keep_rows
        self.pipelines: dict[str, Pipeline] = {}
        #: Events dropped because they touch only what was evicted.
        self.dropped = 0
        #: Old id -> new id of graphlets in loaded rows of an earlier version, where the two differ.
        self.renamed: dict[str, str] = {}
        self._touched: dict[Pipeline, None] = {}

    def step(self, event: Event, log_ms: int | None = None) -> list[Output]:
        """Applies an event; returns the verdicts, examples and closed graphlets that came of it.

        Parameters
        ----------
        log_ms
            When the event was logged (a Kafka record's own time); the event's time where there is no log.
        """
        pipeline = self._pipeline(event.pipeline)
        if event.time_ms < pipeline.clock.cutoff_ms and event.execution_id not in pipeline.executions:
            self.dropped += 1
            return []
        logged_ms = event.time_ms if log_ms is None else log_ms
        pipeline.clock.record_event(event.time_ms, logged_ms)
        try:
            outputs = self._advance(pipeline, event.time_ms)
            execution, changed_facts = apply(pipeline, event, self.settings.operators)
            if changed_facts:
                unsettle(pipeline, execution)
            outputs.extend(self._settle(pipeline, execution if changed_facts else None, event.time_ms))
            if self.settings.invariants:
                check_touched(pipeline, execution, self.settings.operators)
        except Exception as error:  # whatever it is, the log needs to tell what it happened to
            error.add_note(note(pipeline, event))
            raise
        return outputs

    def story(self, graphlet: str) -> list[StoryEntry]:
        """What happened to a graphlet that is kept, or to a run before its trainer is known; empty where there is none.

        Parameters
        ----------
        graphlet
            Its id.
        """
        name = parse_graphlet_id(graphlet)
        pipeline = self.pipelines.get(name.pipeline) if name is not None else None
        subject = self._subject(pipeline, name) if pipeline is not None and name is not None else None
        return story(subject) if subject is not None else []

    def tick(self, log_ms: int) -> list[Output]:
        """Moves every pipeline's clock by the log time passed since its last event; returns what came of it."""
        outputs: list[Output] = []
        for pipeline in self.pipelines.values():
            outputs.extend(self._advance(pipeline, pipeline.clock.at_tick(log_ms)))
        return outputs

    def _advance(self, pipeline: Pipeline, clock_ms: int) -> list[Output]:
        """Moves a pipeline's clock; what fell due in between is said before anything else happens, each in its turn."""
        outputs: list[Output] = []
        if clock_ms <= pipeline.clock.now_ms:
            return outputs
        announcing = self.learner is not None
        while True:
            due_ms = pipeline.timers.next_ms(announcing=announcing, sweeping=bool(pipeline.executions))
            if due_ms is None or due_ms > clock_ms:
                break
            pipeline.clock.now_ms = max(pipeline.clock.now_ms, due_ms)
            outputs.extend(self._settle(pipeline, None))
        pipeline.clock.now_ms = clock_ms
        if clock_ms >= pipeline.timers.next_sweep_ms:
            outputs.extend(self._settle(pipeline, None))
        return outputs

    def _pipeline(self, name: str) -> Pipeline:
        pipeline = self.pipelines.get(name)
        if pipeline is None:
            pipeline = self.pipelines[name] = Pipeline(name, keep_rows=self.keep_rows)
        return pipeline

    def _settle(self, pipeline: Pipeline, execution: Execution | None, event_ms: int = 0) -> list[Output]:
        """Brings outcomes up to date, predicts the stages reached, says outcomes that are due, evicts."""
        settings = self.settings
        if self.keep_rows:
            self._touched[pipeline] = None
        outcomes.expire(pipeline)
        runs: dict[str, None] = {}
        changed: list[Graphlet] = []
        if pipeline.work.unsettled:
            runs.update(dict.fromkeys(pipeline.work.runs))
            changed = outcomes.settle(pipeline, settings.horizon_ms)
        outputs: list[Output] = []
        if self.learner is not None:
            if execution is not None:
                for stage in stages.reached(pipeline, execution):
                    now_ms = event_ms if pipeline.clock.now_ms - event_ms <= LAG_MS else pipeline.clock.now_ms
                    outputs.append(predict(pipeline, stage, self.learner, settings.policy, settings.operators, now_ms))
                    if isinstance(stage.subject, Run):
                        labels.schedule_check(pipeline, stage.subject, settings.horizon_ms)
                labels.advance_check(pipeline, execution, settings.horizon_ms)
            if changed or runs:
                runs.update(dict.fromkeys(g.trainer.run for g in changed if g.trainer.run is not None))
                labels.schedule(pipeline, changed, runs, settings.horizon_ms)
            outputs.extend(labels.announce_due(pipeline, settings.horizon_ms, settings.operators.nodes))
        if pipeline.clock.now_ms >= pipeline.timers.next_sweep_ms:
            outputs.extend(self._sweep(pipeline))
        return outputs

    def _sweep(self, pipeline: Pipeline) -> list[Output]:
        """Closes and drops what nothing has touched for the retention."""
        settings = self.settings
        closing = retention.due(pipeline, settings.keep_ms)
        if not pipeline.clock.cutoff_ms:
            return []
        accounting.settle(pipeline, settings.operators.nodes)
        outputs: list[Output] = [self._closed(graphlet, pipeline) for graphlet in closing]
        retention.evict(pipeline, closing)
        return outputs

    def _closed(self, graphlet: Graphlet, pipeline: Pipeline) -> Closed:
        record = describe(pipeline, graphlet, self.settings.operators)
        return Closed(record, outcome_record(record))

    def graphlets(self) -> Iterator[dict[str, Any]]:
        """The graphlets kept, as they stand: ids, sorted members, outcome, cause, time, cost by group in node-ms."""
        for pipeline in self.pipelines.values():
            for graphlet in sorted(pipeline.graphlets.values(), key=lambda graphlet: graphlet.id):
                yield describe(pipeline, graphlet, self.settings.operators)

    def ledger(self, pipeline: str) -> Ledger:
        """The ledger of a pipeline as it stands, evicted compute included."""
        return accounting.settle(self.pipelines[pipeline], self.settings.operators.nodes)

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """The rows of state changed since the last call; a value of None says that the row is gone."""
        taken = rows.changed_rows(self._touched)
        self._touched.clear()
        return taken

    @classmethod
    def load(cls, settings: Settings, saved: Mapping[bytes, bytes], learner: Learner | None = None) -> Detector:
        """A detector from all rows of another: indices, membership, outcomes and ledger are computed anew.

        Raises
        ------
        StateError
            A row cannot be read.
        """
        detector = cls(settings, learner, keep_rows=True)
        detector.renamed = loading.renamed_graphlets(saved)
        for pipeline in loading.load(saved, settings.operators):
            outcomes.settle(pipeline, settings.horizon_ms)
            labels.resume(pipeline, settings.horizon_ms)
            pipeline.changes.take()
            detector.pipelines[pipeline.name] = pipeline
        # Rewritten in this version, they are renamed once.
        for new_id in detector.renamed.values():
            detector._touch(new_id)
        return detector

    def _touch(self, graphlet: str) -> None:
        """Has the row of a graphlet, or of a run's provisional one, written again."""
        name = parse_graphlet_id(graphlet)
        assert name is not None
        pipeline = self.pipelines[name.pipeline]
        subject = self._subject(pipeline, name)
        if subject is not None:
            pipeline.changes.touch(subject)
            self._touched[pipeline] = None

    def _subject(self, pipeline: Pipeline, name: GraphletName) -> Subject | None:
        if name.trainer is None:
            return pipeline.runs.get(name.run or "")
        return pipeline.graphlets.get(name.trainer) or pipeline.retired.get(name.trainer)

    def validate(self) -> None:
        """Asserts every invariant of the state, by recomputing what is kept incrementally."""
        for pipeline in self.pipelines.values():
            accounting.settle(pipeline, self.settings.operators.nodes)
            check(pipeline, self.settings.operators)


def note(pipeline: Pipeline, event: Event) -> str:
    """An event that the detector failed on, with the stories of the graphlets that its execution is in."""
    execution = pipeline.executions.get(event.execution_id)
    graphlets = [] if execution is None else [execution.graphlet, *(execution.members_of or ())]
    stories = [story_line(graphlet) for graphlet in graphlets if graphlet is not None][:STORIES_MAX]
    what = f"{event.execution_type} {event.execution_id!r} {event.state} at {event.time_ms}"
    return "\n".join([f"at the event {what} of pipeline {event.pipeline!r}, run {event.run!r}", *stories])


def unsettle(pipeline: Pipeline, execution: Execution) -> None:
    """What an event of this execution may have decided is to be looked at again."""
    if execution.graphlet is not None:
        pipeline.work.settle_one(execution.graphlet)
    if execution.group == DEPLOY:
        pipeline.work.settle(execution.members_of or ())
    elif execution.group == RUN and execution.run is not None:
        pipeline.work.settle_run(execution.run)


def describe(pipeline: Pipeline, graphlet: Graphlet, operators: Operators) -> dict[str, Any]:
    """A graphlet as a plain value; cost in node-milliseconds by operator group."""
    up, down, side = listed(graphlet)
    cost: dict[str, int] = {}
    for execution in (graphlet.trainer, *graphlet.members):
        node_ms = execution.node_ms(operators.nodes.get(execution.type, 1.0))
        cost[execution.group] = cost.get(execution.group, 0) + node_ms
    return {
        "graphlet": graphlet.id,
        "pipeline": pipeline.name,
        "run": graphlet.trainer.run,
        "trainer": graphlet.trainer.id,
        "up": up,
        "down": down,
        "side": side,
        "outcome": graphlet.kind,
        "cause": graphlet.cause,
        "time_ms": graphlet.time_ms,
        "cost": dict(sorted(cost.items())),
    }


def outcome_record(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The outcome of a described graphlet, or None while it is open; `pushed` is None for a pruned one."""
    if record["outcome"] == OPEN:
        return None
    return {
        "graphlet": record["graphlet"],
        "trainer": record["trainer"],
        "pushed": {PRUNED: None, NOT_PUSHED: False}.get(record["outcome"], True),
        "cause": record["cause"],
        "time_ms": record["time_ms"],
    }
