"""The detector: `Detector.step` is the only way to change state, and returns the outputs that follow from the change.

One detector holds any number of pipelines. They share nothing but the learner, which gives probabilities and
thresholds. The detector never teaches the learner: it returns examples, and the program that runs the detector folds
them into the learner (`replay` at once, the worker from the examples log).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from stream_app.core.acts import is_act, only_words
from stream_app.core.decisions import stages
from stream_app.core.decisions.revising import revise
from stream_app.core.decisions.verdicts import predict
from stream_app.core.events import Event
from stream_app.core.graphlets.description import describe
from stream_app.core.graphlets.updating import apply
from stream_app.core.ids import GraphletName, parse_graphlet_id
from stream_app.core.learning.learner import Learner
from stream_app.core.outcomes import accounting, labels, outcomes
from stream_app.core.outputs import Closed, Output
from stream_app.core.settings import Settings
from stream_app.core.state.clock import fleet_ms
from stream_app.core.state.entities import Execution, Graphlet, Run, Subject
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.storage import loading, retention, rows
from stream_app.core.storage.invariants import check, check_touched
from stream_app.core.storage.story import StoryEntry, failure_note, story
from stream_app.core.units import DAY_MS

#: A stage is dated by its event's time unless the event is later than this, in ms, against the pipeline's clock.
LAG_MS = 600_000
#: How far one execution may move its pipeline's clock ahead alone at the end of a log, in ms.
LEAP_MAX_MS = 366 * DAY_MS

__all__ = ["Detector", "Follower", "Settings"]


class Follower(Protocol):
    """Keeps figures of the state beside a detector. It reads the state and never changes it."""

    def enter(self, pipeline: Pipeline) -> None:
        """Called with every pipeline, once."""

    def before_eviction(self, pipeline: Pipeline, closing: Sequence[Graphlet]) -> None:
        """Called before graphlets are closed and evicted, once all outcomes and charges are up to date."""

    def after_eviction(self, pipeline: Pipeline) -> None:
        """Called after it was evicted."""


class Detector:
    """Keeps the graphlets, outcomes, ledger and verdicts of some pipelines up to date, event by event.

    Parameters
    ----------
    settings
        The settings, by default `Settings()`.
    learner
        Gives probabilities and thresholds. Without one the detector makes no predictions and no examples.
    keep_rows
        Whether changed state is collected for `take_rows`.
    """

    def __init__(
        self, settings: Settings | None = None, learner: Learner | None = None, *, keep_rows: bool = False
    ) -> None:
        self.settings = settings or Settings()
        self.learner = learner
        self.keep_rows = keep_rows
        self._follower: Follower | None = None
        self.pipelines: dict[str, Pipeline] = {}
        #: Events dropped because they touch only what was evicted.
        self.dropped = 0
        #: Old id -> new id of graphlets in loaded rows of an earlier version, where the two differ.
        self.renamed: dict[str, str] = {}
        self._touched: dict[Pipeline, None] = {}

    def step(self, event: Event, log_ms: int | None = None) -> list[Output]:
        """Applies an event.

        Parameters
        ----------
        event
            The event. Applying it again changes nothing.
        log_ms
            When the event was logged (a Kafka record's own time), in ms since 1970 UTC; by default the event's time.

        Returns
        -------
        list of Output
            The verdicts, examples and closed graphlets that follow from the event, in order.
        """
        pipeline = self._pipeline(event.pipeline)
        if is_act(event):
            return self._act(pipeline, event)
        logged_ms = event.time_ms if log_ms is None else log_ms
        before_ms = pipeline.clock.now_ms
        clock_ms = pipeline.clock.record_event(event.time_ms, logged_ms, event.execution_id, self.settings.leap_ms)
        if pipeline.clock.now_ms < before_ms:  # the sweep was due by the time that was taken back
            pipeline.timers.next_sweep_ms = clock_ms
        if self.keep_rows:
            self._touched[pipeline] = None
        if event.time_ms < pipeline.clock.cutoff_ms and event.execution_id not in pipeline.executions:
            self.dropped += 1
            return []
        try:
            outputs = self._advance(pipeline, clock_ms)
            execution, changed_facts = apply(pipeline, event, self.settings.operators)
            if changed_facts:
                outcomes.unsettle(pipeline, execution)
            outputs.extend(self._settle(pipeline, execution if changed_facts else None, event.time_ms))
            if self.settings.invariants:
                check_touched(pipeline, execution, self.settings.operators)
        except Exception as error:  # whatever it is, the log needs to name the event and graphlets
            error.add_note(failure_note(pipeline, event))
            raise
        return outputs

    def _act(self, pipeline: Pipeline, event: Event) -> list[Output]:
        """Applies an act of a person. It moves no clock: it says nothing about how far the pipeline's events are."""
        if self.keep_rows:
            self._touched[pipeline] = None
        if event.time_ms < pipeline.clock.cutoff_ms and event.execution_id not in pipeline.executions:
            self.dropped += 1
            return []
        act, changed_facts = apply(pipeline, only_words(event), self.settings.operators)
        if not changed_facts or self.learner is None:
            return []
        return list(revise(pipeline, act, self.settings.policy, self.settings.owner_of, event.time_ms))

    def follow(self, follower: Follower) -> None:
        """Has a follower called from now on.

        Parameters
        ----------
        follower
            It enters the pipelines that there are at once.
        """
        self._follower = follower
        for pipeline in self.pipelines.values():
            follower.enter(pipeline)

    def story(self, graphlet: str) -> list[StoryEntry]:
        """Lists what happened to a graphlet that is kept, or to a run whose trainer is not known yet.

        Parameters
        ----------
        graphlet
            The id of the graphlet.

        Returns
        -------
        list of StoryEntry
            In the order of time; empty when there is no such graphlet.
        """
        name = parse_graphlet_id(graphlet)
        pipeline = self.pipelines.get(name.pipeline) if name is not None else None
        subject = self._subject(pipeline, name) if pipeline is not None and name is not None else None
        return story(subject) if subject is not None else []

    def tick(self, log_ms: int) -> list[Output]:
        """Moves every pipeline's clock by the log time passed since its last event.

        Parameters
        ----------
        log_ms
            The log's time now, in ms since 1970 UTC.

        Returns
        -------
        list of Output
            The outputs that became due.
        """
        outputs: list[Output] = []
        for pipeline in self.pipelines.values():
            outputs.extend(self._advance(pipeline, pipeline.clock.at_tick(log_ms)))
        return outputs

    def settle_last(self) -> list[Output]:
        """Moves clocks at the end of a log, for which there will be no ticks.

        The clock of a pipeline that has been silent for longer than the horizon and the lateness moves to the time that
        the fleet has reached.

        Returns
        -------
        list of Output
            The outputs that became due.
        """
        outputs: list[Output] = []
        for pipeline in self.pipelines.values():
            outputs.extend(self._advance(pipeline, pipeline.clock.last_ms(LEAP_MAX_MS)))
        now_ms = fleet_ms([pipeline.clock for pipeline in self.pipelines.values()])
        silent_ms = self.settings.horizon_ms + self.settings.lateness_ms
        for pipeline in self.pipelines.values():
            if pipeline.clock.now_ms + silent_ms < now_ms:
                outputs.extend(self._advance(pipeline, now_ms))
        return outputs

    def _advance(self, pipeline: Pipeline, clock_ms: int) -> list[Output]:
        """Moves a pipeline's clock, after settling each timer that is due by the new time at its own time."""
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
            if self._follower is not None:
                self._follower.enter(pipeline)
        return pipeline

    def _settle(self, pipeline: Pipeline, execution: Execution | None, event_ms: int = 0) -> list[Output]:
        """Brings outcomes up to date, predicts the stages reached, announces outcomes that are due, and evicts."""
        settings = self.settings
        if self.keep_rows:
            self._touched[pipeline] = None
        outcomes.expire(pipeline)
        runs: dict[str, None] = {}
        changed: list[Graphlet] = []
        if pipeline.work.unsettled:
            runs.update(dict.fromkeys(pipeline.work.runs))
            changed = outcomes.settle(pipeline, settings.limits)
        outputs: list[Output] = []
        if self.learner is not None:
            if execution is not None:
                for stage in stages.reached(pipeline, execution):
                    now_ms = event_ms if 0 <= pipeline.clock.now_ms - event_ms <= LAG_MS else pipeline.clock.now_ms
                    outputs.append(
                        predict(
                            pipeline,
                            stage,
                            self.learner,
                            settings.policy,
                            settings.operators,
                            now_ms,
                            settings.owner_of,
                        )
                    )
                    if isinstance(stage.subject, Run):
                        labels.schedule_check(pipeline, stage.subject, settings.limits)
                labels.advance_check(pipeline, execution, settings.limits)
            if changed or runs:
                runs.update(dict.fromkeys(g.trainer.run for g in changed if g.trainer.run is not None))
                labels.schedule(pipeline, changed, runs, settings.limits)
            outputs.extend(labels.announce_due(pipeline, settings.limits, settings.operators.nodes, settings.owner_of))
        if pipeline.clock.now_ms >= pipeline.timers.next_sweep_ms:
            outputs.extend(self._sweep(pipeline))
        return outputs

    def _sweep(self, pipeline: Pipeline) -> list[Output]:
        """Closes and evicts what no event has touched for the retention."""
        settings = self.settings
        closing = retention.due(pipeline, settings.keep_ms)
        if not pipeline.clock.cutoff_ms:
            return []
        accounting.settle(pipeline, settings.operators.nodes)
        outputs: list[Output] = [Closed(describe(pipeline, graphlet, settings.operators)) for graphlet in closing]
        if self._follower is not None:
            self._follower.before_eviction(pipeline, closing)
        before = len(pipeline.executions)
        retention.evict(pipeline, closing)
        if self._follower is not None and (closing or len(pipeline.executions) < before):
            self._follower.after_eviction(pipeline)
        return outputs

    def graphlets(self) -> Iterator[dict[str, Any]]:
        """Describes the graphlets that are kept.

        Yields
        ------
        dict
            Ids, sorted members, outcome, cause, time in ms since 1970 UTC, and cost in node-ms by operator group.
        """
        for pipeline in self.pipelines.values():
            for graphlet in sorted(pipeline.graphlets.values(), key=lambda graphlet: graphlet.id):
                yield describe(pipeline, graphlet, self.settings.operators)

    def ledger(self, pipeline: str) -> Ledger:
        """Brings the ledger of a pipeline up to date.

        Parameters
        ----------
        pipeline
            The name of the pipeline.

        Returns
        -------
        Ledger
            Sums in node-ms, those of evicted executions included.

        Raises
        ------
        KeyError
            The detector has seen no event of the pipeline.
        """
        return accounting.settle(self.pipelines[pipeline], self.settings.operators.nodes)

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """Returns the rows of state that changed since the last call.

        Returns
        -------
        list of tuple
            Key and value of each row; the value is None for a row that was dropped.
        """
        taken = rows.changed_rows(self._touched)
        self._touched.clear()
        return taken

    @classmethod
    def load(cls, settings: Settings, saved: Mapping[bytes, bytes], learner: Learner | None = None) -> Detector:
        """Makes a detector from all rows of another; indices, membership, outcomes and ledger are computed anew.

        Parameters
        ----------
        settings
            The settings; they may differ from those of the detector that wrote the rows.
        saved
            The rows by their keys, of this version or of an earlier one.
        learner
            As for `Detector`.

        Returns
        -------
        Detector
            A detector that collects changed rows.

        Raises
        ------
        StateError
            A row cannot be read.
        """
        detector = cls(settings, learner, keep_rows=True)
        for pipeline, names in loading.load(saved, settings.operators):
            detector.renamed.update(names)
            with loading.refusing(pipeline.name):
                outcomes.settle(pipeline, settings.limits)
                labels.resume(pipeline, settings.limits)
            pipeline.changes.take()
            detector.pipelines[pipeline.name] = pipeline
        # Rewritten in this version, they are renamed once.
        for new_id in detector.renamed.values():
            detector._touch(new_id)
        return detector

    def _touch(self, graphlet: str) -> None:
        """Has the row of a graphlet, or of a run without a known trainer, written again."""
        name = parse_graphlet_id(graphlet)
        assert name is not None
        pipeline = self.pipelines[name.pipeline]
        subject = self._subject(pipeline, name)
        if subject is not None:
            pipeline.changes.touch(subject)
            pipeline.history_to_change()  # it knows the graphlet by its id
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
