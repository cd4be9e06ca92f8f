"""The life of flags, from raised to resolved. Pure, so worker, service and replay track alike.

A run is flagged while any of its trainers is, or the run itself while no trainer has a verdict. A flag is known from
its first verdict that prunes until nothing has changed it for long, so its revisions rise and its end is reported once.

Nothing is raised for the past: a verdict whose event time is too far behind its log time changes the state only. The
end of such a flag is not reported either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagOutcome, FlagRecord, flag_id
from stream_app.alerts.ladder_steps import StepQueue, exempt_end_ms, next_step
from stream_app.alerts.tracked import TrackedFlag
from stream_app.core.ids import graphlet_id, run_graphlet_id
from stream_app.core.outputs import PRUNE, PRUNED, Example, Guard, Verdict
from stream_app.core.units import DAY_MS, HOUR_MS

#: How long a flag is known after its last change, in ms of log time: by then its run has been evicted.
FORGET_MS = 74 * DAY_MS
#: How far the event time of a verdict may be behind its log time for a flag to be raised, in ms.
MAX_AGE_MS = HOUR_MS
#: Flagged graphlets that a record names, those with the most compute left first.
GRAPHLETS_MAX = 20


class FlagTracker:
    """Follows the flags of some pipelines.

    Parameters
    ----------
    rows
        Flag id -> row, as `take_rows` gave them.
    max_age_ms
        How far the event time of a verdict may be behind its log time for a flag to be raised, in ms.

    Raises
    ------
    StateError
        A row cannot be read.
    """

    def __init__(self, rows: Mapping[str, bytes] | None = None, max_age_ms: int = MAX_AGE_MS) -> None:
        self._max_age_ms = max_age_ms
        self._flags: dict[str, TrackedFlag] = {}
        self._changed: dict[str, None] = {}
        self._steps = StepQueue()
        for name, row in (rows or {}).items():
            flag = self._flags[name] = TrackedFlag.read(name, row)
            self._plan(name, flag)

    @property
    def open_flags(self) -> int:
        """Flags that are open and were reported."""
        return sum(flag.open and flag.reported for flag in self._flags.values())

    def is_open(self, flag: str) -> bool:
        """Whether a flag is open, and was reported."""
        found = self._flags.get(flag)
        return found is not None and found.open and found.reported

    def take_rows(self) -> list[tuple[str, bytes | None]]:
        """Flag id and row of every flag that has changed since the last call; None: it is forgotten."""
        changed, self._changed = self._changed, {}
        return [(name, self._flags[name].row() if name in self._flags else None) for name in changed]

    def verdict(self, verdict: Verdict, log_ms: int) -> FlagRecord | None:
        """Applies a verdict.

        Parameters
        ----------
        verdict
            The verdict.
        log_ms
            When its event was logged, in ms since 1970 UTC.

        Returns
        -------
        FlagRecord or None
            The change of the flag; None where there is none to report.
        """
        name = flag_id(verdict.pipeline, verdict.run, verdict.graphlet)
        prunes = verdict.decision == PRUNE
        if not prunes and name not in self._flags:
            return None
        flag = self._flags.setdefault(name, TrackedFlag(verdict.pipeline, verdict.run))
        if flag.open and not prunes and verdict.withdrawn == Guard.NOTHING_LEFT:
            self._spare(name, flag, verdict.graphlet)
            return None  # the run is not thought better of: there is only nothing left to save, and its end is near
        before = flag.flagged()
        flag.graphlets[verdict.graphlet] = FlaggedGraphlet.of(verdict) if prunes else None
        flag.owner = verdict.owner or flag.owner
        flag.labels = {**flag.labels, **verdict.labels}
        flag.mode, flag.budget, flag.touched_ms = verdict.mode, verdict.budget, log_ms
        self._changed[name] = None
        record = self._changed_by(name, flag, before, verdict, log_ms)
        self._plan(name, flag)
        return record

    def _changed_by(
        self, name: str, flag: TrackedFlag, before: list[FlaggedGraphlet], verdict: Verdict, log_ms: int
    ) -> FlagRecord | None:
        """The change that a verdict makes, given the graphlets that were flagged before it."""
        undecided, was_open = flag.undecided(), flag.open
        if undecided and verdict.decision == PRUNE and not (was_open and flag.reported):
            flag.open, flag.raised_ms, flag.outcome = True, verdict.time_ms, None
            flag.reminded_ms = flag.due_ms = None
            flag.reported = verdict.time_ms >= log_ms - self._max_age_ms
            return self._record(name, flag, Change.RAISED, undecided, verdict.time_ms)
        if not was_open:
            return None
        if undecided:
            return self._record(name, flag, Change.REVISED, undecided, verdict.time_ms)
        flag.open = False
        if verdict.withdrawn == Guard.KEEP:
            flag.outcome = FlagOutcome.OVERRIDDEN
            return self._record(name, flag, Change.RESOLVED, before, verdict.time_ms)
        flag.outcome = flag.resolved()  # of the trainers that had ended before
        if flag.outcome is not None:
            return self._record(name, flag, Change.RESOLVED, flag.flagged(), verdict.time_ms)
        return self._record(name, flag, Change.WITHDRAWN, before, verdict.time_ms, verdict.withdrawn)

    def example(self, example: Example, log_ms: int) -> FlagRecord | None:
        """Applies an outcome: the flag is resolved once a flagged graphlet was pushed, or all have an outcome.

        Parameters
        ----------
        example
            The label, or its correction.
        log_ms
            As of `verdict`.

        Returns
        -------
        FlagRecord or None
            As of `verdict`. A correction is reported if the flag was resolved otherwise before.
        """
        name = flag_id(example.pipeline, example.run, example.graphlet)
        flag = self._flags.get(name)
        if flag is None or example.graphlet not in flag.graphlets:
            return None
        flag.outcomes[example.graphlet] = _outcome_of(example)
        flag.owner = example.owner or flag.owner
        flag.touched_ms = log_ms
        self._changed[name] = None
        record = self._ended_by(name, flag, example)
        self._plan(name, flag)
        return record

    def _ended_by(self, name: str, flag: TrackedFlag, example: Example) -> FlagRecord | None:
        """The change that an outcome makes."""
        outcome = flag.resolved()
        ended = not flag.open and flag.outcome in (None, FlagOutcome.OVERRIDDEN)  # withdrawn, or somebody's word
        if outcome is None or outcome == flag.outcome or ended:
            return None
        correction = not flag.open
        flag.open, flag.outcome = False, outcome
        cause = example.cause if outcome in (FlagOutcome.NOT_PUSHED, FlagOutcome.UNKNOWN) else None
        return self._record(name, flag, Change.RESOLVED, flag.flagged(), example.time_ms, cause, correction)

    def tick(self, clocks: Mapping[str, int], log_ms: int) -> list[FlagRecord]:
        """Takes the steps of ladders whose time has come: second warnings, and runs that may be stopped from now on.

        Parameters
        ----------
        clocks
            Pipeline -> its clock, in ms since 1970 UTC.
        log_ms
            Log time in ms since 1970 UTC. A time of a ladder is reached once both have reached it.

        Returns
        -------
        list of FlagRecord
            One of a flag at most, in a fixed order.
        """
        found = []
        for pipeline in self._steps.pipelines(clocks):
            now_ms = min(clocks[pipeline], log_ms)
            for name in self._steps.take(pipeline, now_ms):
                record = self._climb(name, self._flags[name], now_ms, log_ms)
                if record is not None:
                    found.append(record)
        return found

    def _climb(self, name: str, flag: TrackedFlag, now_ms: int, log_ms: int) -> FlagRecord | None:
        """The step of a ladder whose time has come; None: it is put off, since runs are not stopped at this hour."""
        step, flagged = next_step(flag), flag.undecided()
        assert step is not None
        if step.change is Change.REMINDED:
            flag.reminded_ms = now_ms
        else:
            try:
                end_ms = exempt_end_ms(flagged, log_ms)
            except ValueError:
                return None  # hours that cannot be read: nothing is stopped by them
            if end_ms is not None:
                self._steps.put(flag.pipeline, name, end_ms)
                return None
            flag.due_ms = step.stop_ms
        self._changed[name] = None
        record = self._record(name, flag, step.change, flagged, now_ms)
        self._plan(name, flag)
        return record

    def _plan(self, name: str, flag: TrackedFlag) -> None:
        """Puts the next step of a flag's ladder into the queue."""
        step = next_step(flag)
        self._steps.put(flag.pipeline, name, step.at_ms if step is not None else None)

    def _spare(self, name: str, flag: TrackedFlag, graphlet: str) -> None:
        """Has the ladder of a flagged graphlet end, of which nothing is left to save."""
        flagged = flag.graphlets.get(graphlet)
        if flagged is not None and (flagged.warn_again_ms, flagged.stop_ms) != (None, None):
            flag.graphlets[graphlet] = replace(flagged, warn_again_ms=None, stop_ms=None)
            self._changed[name] = None
            self._plan(name, flag)

    def forget(self, before_ms: int) -> int:
        """Forgets the flags that nothing has changed since a time, of which nothing is reported.

        Parameters
        ----------
        before_ms
            Log time in ms since 1970 UTC.

        Returns
        -------
        int
            How many of them were open and had been reported.
        """
        for flag in self._flags.values():
            flag.touched_ms = flag.touched_ms or before_ms  # taken over, and not changed since
        old = [name for name, flag in self._flags.items() if flag.touched_ms < before_ms]
        self._changed.update(dict.fromkeys(old))
        forgotten = [self._flags.pop(name) for name in old]
        for name, flag in zip(old, forgotten, strict=True):
            self._steps.put(flag.pipeline, name, None)
        return sum(flag.open and flag.reported for flag in forgotten)

    def take_over(self, pipeline: str, run: str | None, trainer: str | None) -> None:
        """Opens the flag of a graphlet that an earlier release had flagged, and had reported.

        Parameters
        ----------
        pipeline, run
            Of the graphlet.
        trainer
            Its trainer; None: it is that of the run.
        """
        graphlet = graphlet_id(pipeline, trainer) if trainer is not None else run_graphlet_id(pipeline, run or "")
        name = flag_id(pipeline, run, graphlet)
        flag = self._flags.setdefault(name, TrackedFlag(pipeline, run))
        flag.open = flag.reported = True
        unknown = FlaggedGraphlet(graphlet, trainer, None, "", 0.0, None, 0.0, "", 0.0, 0.0, (), "")
        flag.graphlets.setdefault(graphlet, unknown)
        self._changed[name] = None

    def _record(
        self,
        name: str,
        flag: TrackedFlag,
        change: Change,
        graphlets: Iterable[FlaggedGraphlet],
        time_ms: int,
        cause: str | None = None,
        correction: bool = False,
    ) -> FlagRecord | None:
        if not flag.reported:
            return None
        flag.revision += 1
        most = sorted(graphlets, key=lambda each: (-each.cost_left, each.graphlet))[:GRAPHLETS_MAX]
        return FlagRecord(
            flag=name,
            revision=flag.revision,
            change=change,
            pipeline=flag.pipeline,
            run=flag.run,
            owner=flag.owner,
            labels=flag.labels,
            graphlets=tuple(most),
            mode=flag.mode,
            budget=flag.budget,
            raised_ms=flag.raised_ms or time_ms,
            time_ms=time_ms,
            outcome=flag.outcome if change is Change.RESOLVED else None,
            cause=cause,
            correction=correction,
        )


def _outcome_of(example: Example) -> FlagOutcome:
    if example.pushed is None:
        return FlagOutcome.PRUNED if example.cause == PRUNED else FlagOutcome.UNKNOWN
    return FlagOutcome.PUSHED if example.pushed else FlagOutcome.NOT_PUSHED
