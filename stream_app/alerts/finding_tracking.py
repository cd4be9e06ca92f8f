"""The life of findings: raised, revised, resolved. Pure, so worker, service and replay track alike.

A finding is a figure that somebody looks at now and then. It begins and ends once two looks in a row say so, and is
revised only where something changed that a person cares about: docs/findings.md has the rules.

Nothing is raised for the past: a pipeline whose clock is too far behind the log is not looked at before it has caught
up, unless findings of it are open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from stream_app.alerts.findings import (
    FiguresOfFinding,
    FindingRecord,
    finding_from_dict,
    finding_to_dict,
    record_of,
)
from stream_app.alerts.flags import Change
from stream_app.alerts.tracking import FORGET_MS, MAX_AGE_MS
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StateError

#: Log time between two looks at a pipeline, at least, in ms; and pipelines that are looked at in one tick, at most:
#: a look at a busy one takes about ten milliseconds, for which the detector waits.
LOOK_MS, LOOKS_MAX = HOUR_MS, 10
#: Looks in a row that must see a finding before it is raised, and miss it before it is resolved.
LOOKS = 2
#: A revision needs another kind of act, a monthly cost that differs by this share, or a count that is so many times as
#: large; and so much log time since the last record, in ms.
COST_SHARE, COUNT_TIMES, REVISE_MS = 0.25, 2, DAY_MS


class Look(NamedTuple):
    """What a look at a pipeline has seen.

    Parameters
    ----------
    findings
        Its findings.
    labels
        Texts among the properties of its last training and that one's run.
    """

    findings: Sequence[FiguresOfFinding] = ()
    labels: Mapping[str, str] = {}


#: Looks at a pipeline; None: it cannot be looked at now.
LookAt = Callable[[str], Look | None]


@dataclass(slots=True)
class _Finding:
    """A finding, as it is stored."""

    revision: int = 0
    #: Looks in a row that said otherwise than `open`.
    looks: int = 0
    #: Log time of the last record.
    announced_ms: int = 0
    #: The last record; None where it is not open.
    last: FindingRecord | None = None

    @property
    def open(self) -> bool:
        return self.last is not None


@dataclass(slots=True)
class _Pipeline:
    looked_ms: int = 0
    findings: dict[str, _Finding] = field(default_factory=dict)

    @property
    def has_open(self) -> bool:
        return any(each.open for each in self.findings.values())


class FindingTracker:
    """Follows the findings of some pipelines.

    Parameters
    ----------
    rows
        Pipeline -> row, as `take_rows` gave them.
    max_age_ms
        How far the clock of a pipeline may be behind the log time for a finding to be raised, in ms.
    look_ms
        Log time between two looks at a pipeline, at least, in ms.

    Raises
    ------
    StateError
        A row cannot be read.
    """

    def __init__(
        self, rows: Mapping[str, bytes] | None = None, max_age_ms: int = MAX_AGE_MS, look_ms: int = LOOK_MS
    ) -> None:
        self._max_age_ms = max_age_ms
        self._look_ms = look_ms
        self._pipelines = {name: _read(name, row) for name, row in (rows or {}).items()}
        self._changed: dict[str, None] = {}

    def revisions(self, pipeline: str) -> Mapping[str, int]:
        """The revisions of a pipeline's findings that were announced last, by id.

        Parameters
        ----------
        pipeline
            The name of the pipeline.
        """
        known = self._pipelines.get(pipeline, _Pipeline())
        return {name: each.revision for name, each in known.findings.items() if each.revision}

    def take_rows(self) -> list[tuple[str, bytes | None]]:
        """Pipeline and row of every pipeline that has changed since the last call; None: it is forgotten."""
        changed, self._changed = self._changed, {}
        return [(name, _row(self._pipelines[name]) if name in self._pipelines else None) for name in changed]

    def tick(self, clocks: Mapping[str, int], log_ms: int, look_at: LookAt) -> list[FindingRecord]:
        """Looks at the pipelines that are due.

        Parameters
        ----------
        clocks, log_ms
            As of `due`.
        look_at
            Looks at a pipeline that there is.

        Returns
        -------
        list of FindingRecord
            The changes to announce.
        """
        records: list[FindingRecord] = []
        for name in self.due(clocks, log_ms):
            look = look_at(name) if name in clocks else Look()
            records += self.take(name, look, clocks.get(name, log_ms), log_ms)
        self._forget(log_ms - FORGET_MS)
        return records

    def look(self, pipeline: str, now_ms: int, look_at: LookAt) -> list[FindingRecord]:
        """Looks at one pipeline where it is due and nothing else tells the time: in a recording.

        Parameters
        ----------
        pipeline
            The name of the pipeline.
        now_ms
            Its clock, which is the log time too, in ms since 1970 UTC.
        look_at
            Looks at it.

        Returns
        -------
        list of FindingRecord
            The changes to announce.
        """
        return self.take(pipeline, look_at(pipeline), now_ms, now_ms) if self._waits(pipeline, now_ms) else []

    def due(self, clocks: Mapping[str, int], log_ms: int, limit: int = LOOKS_MAX) -> list[str]:
        """The pipelines to look at now.

        Parameters
        ----------
        clocks
            The clock of each pipeline that there is, in ms since 1970 UTC.
        log_ms
            The log time, in ms since 1970 UTC.
        limit
            How many at most.

        Returns
        -------
        list of str
            Those that were not looked at for longest first.
        """
        oldest_ms = log_ms - self._max_age_ms
        found = []
        for name, clock_ms in clocks.items():
            known = self._pipelines.get(name, _Pipeline())
            if self._waits(name, log_ms) and (clock_ms >= oldest_ms or known.has_open):
                found.append((known.looked_ms, name))
        for name, known in self._pipelines.items():
            if name not in clocks and known.has_open and self._waits(name, log_ms):
                found.append((known.looked_ms, name))
        return [name for _, name in sorted(found)[:limit]]

    def _waits(self, pipeline: str, log_ms: int) -> bool:
        known = self._pipelines.get(pipeline)
        return known is None or not _is_recent(known.looked_ms, log_ms, self._look_ms)

    def take(self, pipeline: str, look: Look | None, clock_ms: int, log_ms: int) -> list[FindingRecord]:
        """Takes in what a look has seen.

        Parameters
        ----------
        pipeline
            The name of the pipeline.
        look
            What it has seen; None: it failed, and says nothing.
        clock_ms
            The pipeline's clock, in ms since 1970 UTC.
        log_ms
            The log time, in ms since 1970 UTC.

        Returns
        -------
        list of FindingRecord
            The changes to announce.
        """
        known = self._pipelines.setdefault(pipeline, _Pipeline())
        known.looked_ms = log_ms
        self._changed[pipeline] = None
        if look is None:
            return []
        by_id = {each.id: each for each in look.findings}
        is_past = clock_ms < log_ms - self._max_age_ms
        records = []
        for name in [*by_id, *(each for each in known.findings if each not in by_id)]:
            state = known.findings.setdefault(name, _Finding())
            record = _changed(state, by_id.get(name), look.labels, clock_ms, is_past=is_past, log_ms=log_ms)
            if record is not None:
                state.revision, state.announced_ms = record.revision, log_ms
                state.last = None if record.is_end else record
                records.append(record)
            if not state.revision and not state.looks:
                del known.findings[name]
        return records

    def _forget(self, before_ms: int) -> None:
        """Forgets pipelines without open findings that were not looked at since a log time."""
        old = [name for name, each in self._pipelines.items() if each.looked_ms < before_ms and not each.has_open]
        for name in old:
            del self._pipelines[name]
        self._changed.update(dict.fromkeys(old))


def _changed(
    state: _Finding, found: FiguresOfFinding | None, labels: Mapping[str, str], clock_ms: int, *, is_past: bool,
    log_ms: int,
) -> FindingRecord | None:  # fmt: skip
    """The record of what a look says of one finding; None where there is nothing to announce."""
    if (found is not None) != state.open:
        state.looks = state.looks + 1 if state.open or not is_past else 0
        if state.looks < LOOKS:
            return None
        state.looks = 0
        if state.last is None:
            assert found is not None
            return record_of(found, labels, Change.RAISED, state.revision + 1, clock_ms, clock_ms)
        return replace(state.last, change=Change.RESOLVED, revision=state.revision + 1, time_ms=clock_ms)
    state.looks = 0
    if found is None or state.last is None or _is_recent(state.announced_ms, log_ms, REVISE_MS):
        return None
    record = record_of(found, labels, Change.REVISED, state.revision + 1, state.last.raised_ms, clock_ms)
    return record if is_news(state.last, record) else None


def _is_recent(then_ms: int, log_ms: int, span_ms: int) -> bool:
    """Whether something was within a span; what is in the future was not: the clock of the log was put back since."""
    return 0 <= log_ms - then_ms < span_ms


def is_news(before: FindingRecord, after: FindingRecord) -> bool:
    """Whether a person cares about the difference between two records of a finding.

    Parameters
    ----------
    before, after
        The record that was announced last, and a newer one.

    Returns
    -------
    bool
        Whether the kind of the act is another one, the monthly cost differs by a quarter at least, or the count has
        doubled. The cost is money where both have a price, else compute.
    """
    first, second = before.money_a_month, after.money_a_month
    if first is None or second is None:
        first, second = before.cost_a_month, after.cost_a_month
    differs = first != second and abs(second - first) >= COST_SHARE * first
    return before.act != after.act or differs or after.count >= COUNT_TIMES * max(1, before.count)


def _row(known: _Pipeline) -> bytes:
    findings = {
        name: {
            "revision": each.revision,
            "open": each.open,
            "looks": each.looks,
            "announced_ms": each.announced_ms,
            "last": finding_to_dict(each.last) if each.last is not None else None,
        }
        for name, each in known.findings.items()
    }
    return orjson.dumps({"looked_ms": known.looked_ms, "findings": findings})


def _read(pipeline: str, row: bytes) -> _Pipeline:
    try:
        stored: dict[str, Any] = orjson.loads(row)
        found = _Pipeline(int(stored["looked_ms"]))
        for name, each in stored["findings"].items():
            last = finding_from_dict(each["last"]) if each["last"] is not None else None
            state = _Finding(int(each["revision"]), int(each["looks"]), int(each["announced_ms"]), last)
            found.findings[name] = state
            if state.open != bool(each["open"]):
                raise ValueError(f"finding {name!r} is open without a record, or the other way round")
    except (StateError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"the row of the findings of pipeline {pipeline!r} cannot be read: {error!r}") from None
    return found
