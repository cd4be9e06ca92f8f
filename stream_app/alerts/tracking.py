"""The life of flags: raised, revised, withdrawn, resolved. Pure, so worker, service and replay track alike.

A run is flagged while any of its trainers is, or the run itself while no trainer has a verdict. A flag is known from
its first verdict that prunes until nothing has changed it for long, so its revisions rise and its end is reported once.

Nothing is raised for the past: a verdict whose event time is too far behind its log time changes the state only. The
end of such a flag is not reported either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_app.alerts.flags import (
    Change,
    FlaggedGraphlet,
    FlagOutcome,
    FlagRecord,
    flag_id,
    graphlet_from_dict,
    graphlet_to_dict,
)
from stream_app.core.ids import graphlet_id, parse_graphlet_id, run_graphlet_id
from stream_app.core.outputs import PRUNE, PRUNED, Example, Guard, Verdict
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StateError

#: How long a flag is known after its last change, in ms of log time: by then its run has been evicted.
FORGET_MS = 74 * DAY_MS
#: How far the event time of a verdict may be behind its log time for a flag to be raised, in ms.
MAX_AGE_MS = HOUR_MS
#: Flagged graphlets that a record names, those with the most compute left first.
GRAPHLETS_MAX = 20


@dataclass(slots=True)
class _Flag:
    """A flag, as it is stored."""

    pipeline: str
    run: str | None
    revision: int = 0
    open: bool = False
    #: Whether its raising was reported; if not, its end is not either.
    reported: bool = False
    raised_ms: int = 0
    mode: str = ""
    budget: float = 0.0
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    outcome: FlagOutcome | None = None
    #: Log time of its last change.
    touched_ms: int = 0
    #: Every graphlet with a verdict since the flag is known; None: it is not flagged.
    graphlets: dict[str, FlaggedGraphlet | None] = field(default_factory=dict)
    #: Outcomes of these graphlets, as far as they are known.
    outcomes: dict[str, FlagOutcome] = field(default_factory=dict)

    def flagged(self) -> list[FlaggedGraphlet]:
        """The graphlets for which the run is flagged now: trainers decide once one of them has a verdict."""
        trainers = [name for name in self.graphlets if not _is_run(name)]
        return [each for name in trainers or self.graphlets if (each := self.graphlets[name]) is not None]


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
        self._flags: dict[str, _Flag] = {}
        self._changed: dict[str, None] = {}
        for flag, row in (rows or {}).items():
            self._flags[flag] = _read(flag, row)

    @property
    def open_flags(self) -> int:
        """Flags that are open and were reported."""
        return sum(flag.open and flag.reported for flag in self._flags.values())

    def take_rows(self) -> list[tuple[str, bytes | None]]:
        """Flag id and row of every flag that has changed since the last call; None: it is forgotten."""
        changed, self._changed = self._changed, {}
        return [(name, _row(self._flags[name]) if name in self._flags else None) for name in changed]

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
        flag = self._flags.setdefault(name, _Flag(verdict.pipeline, verdict.run))
        if flag.open and not prunes and verdict.withdrawn == Guard.NOTHING_LEFT:
            return None  # the run is not thought better of: there is only nothing left to save, and its end is near
        before = flag.flagged()
        flag.graphlets[verdict.graphlet] = FlaggedGraphlet.of(verdict) if prunes else None
        flag.owner = verdict.owner or flag.owner
        flag.labels = {**flag.labels, **verdict.labels}
        flag.mode, flag.budget, flag.touched_ms = verdict.mode, verdict.budget, log_ms
        self._changed[name] = None
        return self._changed_by(name, flag, before, verdict, log_ms)

    def _changed_by(
        self, name: str, flag: _Flag, before: list[FlaggedGraphlet], verdict: Verdict, log_ms: int
    ) -> FlagRecord | None:
        """The change that a verdict makes, given the graphlets that were flagged before it."""
        flagged, was_open = flag.flagged(), flag.open
        undecided = [each for each in flagged if each.graphlet not in flag.outcomes]
        if undecided and verdict.decision == PRUNE and not (was_open and flag.reported):
            flag.open, flag.raised_ms, flag.outcome = True, verdict.time_ms, None
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
        flag.outcome = _resolved(flag)  # of the trainers that had ended before
        if flag.outcome is not None:
            return self._record(name, flag, Change.RESOLVED, flagged, verdict.time_ms)
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
        outcome = _resolved(flag)
        ended = not flag.open and flag.outcome in (None, FlagOutcome.OVERRIDDEN)  # withdrawn, or somebody's word
        if outcome is None or outcome == flag.outcome or ended:
            return None
        correction = not flag.open
        flag.open, flag.outcome = False, outcome
        cause = example.cause if outcome in (FlagOutcome.NOT_PUSHED, FlagOutcome.UNKNOWN) else None
        return self._record(name, flag, Change.RESOLVED, flag.flagged(), example.time_ms, cause, correction)

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
        flag = self._flags.setdefault(name, _Flag(pipeline, run))
        flag.open = flag.reported = True
        unknown = FlaggedGraphlet(graphlet, trainer, None, "", 0.0, None, 0.0, "", 0.0, 0.0, (), "")
        flag.graphlets.setdefault(graphlet, unknown)
        self._changed[name] = None

    def _record(
        self,
        name: str,
        flag: _Flag,
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


def _is_run(graphlet: str) -> bool:
    """Whether a graphlet is that of a run whose trainer is not known yet."""
    name = parse_graphlet_id(graphlet)
    return name is not None and name.trainer is None


def _outcome_of(example: Example) -> FlagOutcome:
    if example.pushed is None:
        return FlagOutcome.PRUNED if example.cause == PRUNED else FlagOutcome.UNKNOWN
    return FlagOutcome.PUSHED if example.pushed else FlagOutcome.NOT_PUSHED


def _resolved(flag: _Flag) -> FlagOutcome | None:
    """The outcome of the graphlets that are flagged; None while it is open."""
    known = [flag.outcomes.get(each.graphlet) for each in flag.flagged()]
    for outcome in (FlagOutcome.PUSHED, None, FlagOutcome.PRUNED, FlagOutcome.UNKNOWN):
        if outcome in known:
            return outcome
    return FlagOutcome.NOT_PUSHED if known else None


def _row(flag: _Flag) -> bytes:
    return orjson.dumps(
        {
            "pipeline": flag.pipeline,
            "run": flag.run,
            "revision": flag.revision,
            "open": flag.open,
            "reported": flag.reported,
            "raised_ms": flag.raised_ms,
            "mode": flag.mode,
            "budget": flag.budget,
            "owner": flag.owner,
            "labels": dict(flag.labels),
            "outcome": flag.outcome,
            "touched_ms": flag.touched_ms,
            "graphlets": {
                name: graphlet_to_dict(each) if each is not None else None for name, each in flag.graphlets.items()
            },
            "outcomes": flag.outcomes,
        }
    )


def _read(name: str, row: bytes) -> _Flag:
    try:
        stored: dict[str, Any] = orjson.loads(row)
        graphlets = stored.pop("graphlets")
        outcomes = stored.pop("outcomes")
        outcome = stored.pop("outcome")
        return _Flag(
            **{name: value for name, value in stored.items() if name in _Flag.__slots__},
            outcome=FlagOutcome(outcome) if outcome is not None else None,
            graphlets={
                graphlet: graphlet_from_dict(each) if each is not None else None for graphlet, each in graphlets.items()
            },
            outcomes={graphlet: FlagOutcome(each) for graphlet, each in outcomes.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"the row of flag {name} cannot be read: {error!r}") from None
