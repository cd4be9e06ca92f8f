"""A hook: stops the run of a flag that is due, and reports it as pruned once the stop is confirmed.

The order makes a stop safe, and known also where the process ends in between. First the orchestrator is asked how the
run stands: one that this hook has stopped is reported, one that has ended otherwise is left alone. Then the gate is
asked in the last moment, the stop is sent, and the orchestrator is asked again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from stream_app.acting.hours import parse_hours
from stream_app.alerts.filters import matcher
from stream_app.alerts.flag_acts import WriteEvents
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.hook_sinks import HookSink
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.sinks.hooks.canceled import canceled
from stream_app.alerts.sinks.hooks.target import Phase, Place, Seen, Stop, Target
from stream_app.alerts.sinks.sink import Outgoing, Result, cleaned
from stream_app.alerts.stopping import StopCheck
from stream_app.figures.numbers import percent

log = logging.getLogger(__name__)


class Hook:
    """Stops runs at one orchestrator; see `Sink`.

    Parameters
    ----------
    name
        The id of its subscription.
    sink
        The sink of the subscription.
    target
        The orchestrator.
    check
        The gate.
    write
        Stores the events of runs that were pruned.
    link_of
        Returns the address of a page about a flag; "" for none.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(
        self,
        name: str,
        sink: HookSink,
        target: Target,
        check: StopCheck,
        write: WriteEvents,
        link_of: Callable[[AlertRecord], str],
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._sink = sink
        self._target = target
        self._check = check
        self._write = write
        self._link_of = link_of
        self._now = now
        self._may_act_on = matcher(sink.pipelines)

    async def send(self, message: Outgoing) -> Result:
        """Stops the run of the flag of a message; see `Sink.send`."""
        record = message.records[0]
        if len(message.records) != 1 or not isinstance(record, FlagRecord) or record.change is not Change.DUE:
            return _refused("a hook acts on flag.due alone")
        if not self._may_act_on(record.pipeline):
            return _refused(f"this hook may not act on pipeline {record.pipeline}; see sink.pipelines")
        if not record.graphlets:
            return _refused("the record of the flag names nothing that is flagged")
        place = self._target.find(record)
        if isinstance(place, str):
            return _refused(f"the run is not known at {self._target.name}: {place}")
        seen = await self._target.look(place)
        if isinstance(seen, Result):
            return seen
        if seen.pipeline not in ("", record.pipeline):
            return _refused(f"run {place} of {self._target.name} is of pipeline {seen.pipeline}, not {record.pipeline}")
        stop = Stop(message.id, record, record.graphlets[0].verdict, self._note(record))
        if seen.phase is Phase.STOPPED and self._is_own(seen, stop, message):
            return await self._report(place, stop)
        if seen.phase is not Phase.ACTIVE:
            return _refused(_left_alone(self._target.name, place, seen))
        return await self._stop(place, seen, stop, message)

    async def _stop(self, place: Place, seen: Seen, stop: Stop, message: Outgoing) -> Result:
        target, record = self._target, stop.record
        if (refused := await self._refusal(record)) is not None:
            return refused
        if self._sink.dry_run:
            return _refused(f"dry run: would stop run {place} of {target.name}{_word(seen)} for verdict {stop.verdict}")
        if not target.keeps_mark and not target.answer_confirms and not _intends(stop, message):
            # That this stop is about to be sent is saved before it is: afterwards nothing at the run tells who did it.
            return Result(again_after=0.0, thread={record.subject: stop.message})
        prepared = await target.prepare(place, stop)
        if not prepared.succeeded:
            return prepared
        if (refused := await self._refusal(record)) is not None:
            return refused
        sent = await target.stop(place, stop)
        if not sent.succeeded:
            return sent
        log.info("hook %s has asked to stop run %s of pipeline %s", self._name, place, record.pipeline)
        after = Seen(Phase.STOPPED) if target.answer_confirms else await target.look(place)
        if isinstance(after, Result):
            return Result(f"the stop was accepted and not confirmed: {after.reason}", after.retry_after)
        if after.phase is not Phase.STOPPED:
            return Result(f"the stop was accepted and not confirmed: run {place} is{_word(after) or ' gone'}")
        return await self._report(place, stop)

    async def _refusal(self, record: FlagRecord) -> Result | None:
        """Why the run must not be stopped now; the message waits where that passes by itself."""
        reason = await self._check.refusal(record)
        if not reason:
            return None
        end_ms, now_ms = None, round(self._now() * 1000)
        if record.exempt_hours:
            with contextlib.suppress(ValueError):  # the reason says so
                end_ms = parse_hours(record.exempt_hours).end_ms(now_ms)
        if end_ms is not None:
            return Result(cleaned(reason.encode()), again_after=(end_ms - now_ms) / 1000.0)
        return _refused(reason)

    async def _report(self, place: Place, stop: Stop) -> Result:
        """Stores that the run was pruned."""
        events = canceled(stop.record, self._name, round(self._now() * 1000))
        try:
            await self._write(events)
        except Exception as error:  # whoever stores them has errors of its own
            return Result(f"run {place} is stopped, and that cannot be stored: {cleaned(str(error).encode())}")
        return Result(note=f"stopped run {place} of {self._target.name} for verdict {stop.verdict}")

    def _is_own(self, seen: Seen, stop: Stop, message: Outgoing) -> bool:
        """Whether this hook has stopped a run that is stopped."""
        return bool(seen.mark) if self._target.keeps_mark else _intends(stop, message)

    def _note(self, record: FlagRecord) -> str:
        first, link = record.graphlets[0], self._link_of(record)
        said = f"Stopped by stream-app: {percent(record.p_push)} likely to be pushed, verdict {first.verdict}."
        return f"{said} {link}" if link else said


def _intends(stop: Stop, message: Outgoing) -> bool:
    """Whether an earlier attempt has saved that it is about to send this stop."""
    return message.thread.get(stop.record.subject) == stop.message


def _refused(reason: str) -> Result:
    return Result(cleaned(reason.encode()), dropped=True)


def _word(seen: Seen) -> str:
    return f" ({seen.word})" if seen.word else ""


def _left_alone(name: str, place: Place, seen: Seen) -> str:
    if seen.phase is Phase.MISSING:
        return f"{name} knows no run {place}: check the URL of the hook, and where the id of the run comes from"
    if seen.phase is Phase.STOPPED:
        return f"somebody else has stopped run {place} of {name}{_word(seen)}"
    return f"run {place} of {name} had ended already{_word(seen)}"
