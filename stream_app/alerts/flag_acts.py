"""What people may do about an open flag, and the event by which the detector hears of it. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stream_app.alerts.flags import FlagOutcome, FlagRecord
from stream_app.core.acts import ActOn, keep, prolong, wrong
from stream_app.core.events import Event
from stream_app.core.ids import parse_graphlet_id
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StreamAppError
from stream_app.times import text_to_time, time_to_text

#: Stores events, and returns when they are safe; raises StreamAppError where they are not known to be.
WriteEvents = Callable[[Sequence[Event]], Awaitable[None]]

#: Characters of a reason, and how long from now a run may be prolonged, in ms.
REASON_MAX, PROLONG_MAX_MS = 1_000, 14 * DAY_MS


class FlagAct(StrEnum):
    """What a person may decide about a flagged run."""

    KEEP = "keep"
    PROLONG = "prolong"
    WRONG = "wrong"


class ActError(StreamAppError):
    """What is asked is not what it should be.

    Parameters
    ----------
    field
        The field that is wrong; "" for the whole.
    reason
        What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for.

    Parameters
    ----------
    act
        The act.
    reason
        Why, in one line.
    value
        Of keep and wrong: whether it holds; False takes it back.
    until_ms
        Of prolong: until when, in ms since 1970 UTC; None: for `added_ms`.
    added_ms
        Of prolong: how long from now, or from when the run may be stopped if that is later, in ms.
    """

    act: FlagAct
    reason: str
    value: bool = True
    until_ms: int | None = None
    added_ms: int = DAY_MS

    def prolonged_ms(self, record: FlagRecord, now_ms: int) -> int:
        """Until when a run is prolonged, in ms since 1970 UTC.

        Parameters
        ----------
        record
            The last record of its flag.
        now_ms
            The time in ms since 1970 UTC.

        Raises
        ------
        ActError
            It is in the past, or too far away.
        """
        later_ms = max(now_ms, record.stop_ms or 0) + self.added_ms
        until_ms = self.until_ms if self.until_ms is not None else later_ms
        return bounded_ms(until_ms, now_ms, "until" if self.until_ms is not None else "hours")


def read_asked(act: FlagAct, given: Mapping[str, Any]) -> Asked:
    """Reads what somebody asks for.

    Parameters
    ----------
    act
        The act.
    given
        The JSON form: `reason`; of prolong also `until` (RFC 3339) or `hours`, of the others perhaps `value`.

    Raises
    ------
    ActError
        A field is missing, wrong, or not known.
    """
    known = {"reason", "until", "hours"} if act is FlagAct.PROLONG else {"reason", "value"}
    check_fields(given, known)
    reason = read_reason(given)
    if act is not FlagAct.PROLONG:
        value = given.get("value", True)
        if not isinstance(value, bool):
            raise ActError("value", "expected true, or false to take it back")
        return Asked(act, reason, value)
    until_ms, added_ms = _read_while(given)
    return Asked(act, reason, True, until_ms, added_ms)


def _read_while(given: Mapping[str, Any]) -> tuple[int | None, int]:
    """Until when, or None and for how long, in ms; raises ActError."""
    if ("until" in given) == ("hours" in given):
        raise ActError("until", "expected either until, such as 2026-03-01T12:00:00Z, or hours, such as 24")
    return (read_time(given, "until"), 0) if "until" in given else (None, read_hours(given))


def bounded_ms(until_ms: int, now_ms: int, field: str) -> int:
    """A time that is to come and not too far away, in ms since 1970 UTC; raises ActError of a field."""
    if until_ms <= now_ms:
        raise ActError(field, "expected a time that is still to come")
    if until_ms > now_ms + PROLONG_MAX_MS:
        latest = time_to_text(now_ms + PROLONG_MAX_MS)
        raise ActError(field, f"at most {PROLONG_MAX_MS // DAY_MS} days from now, which is until {latest}")
    return until_ms


@dataclass(frozen=True, slots=True)
class AskedQuiet:
    """That somebody asks not to be told of a flag.

    Parameters
    ----------
    reason
        Why, in one line.
    until_ms
        Until when, in ms since 1970 UTC; None: not at all.
    subscription, owner
        Who is not told: a subscription by its id, or all of an owner; None: those of the owner of the run.
    """

    reason: str
    until_ms: int | None
    subscription: str | None
    owner: str | None


def read_quiet(given: Mapping[str, Any], now_ms: int, *, mute: bool) -> AskedQuiet:
    """Reads what somebody asks not to be told of.

    Parameters
    ----------
    given
        The JSON form: `reason`, and perhaps `subscription` or `owner`; unless `mute` also `until` or `hours`.
    now_ms
        The time in ms since 1970 UTC.
    mute
        Whether for ever.

    Raises
    ------
    ActError
        A field is missing, wrong, or not known.
    """
    times = set() if mute else {"until", "hours"}
    check_fields(given, {"reason", "subscription", "owner", *times})
    reason, until_ms = read_reason(given), None
    if not mute:
        given_ms, added_ms = _read_while(given)
        field = "until" if given_ms is not None else "hours"
        until_ms = bounded_ms(given_ms if given_ms is not None else now_ms + added_ms, now_ms, field)
    names = {name: given.get(name) for name in ("subscription", "owner")}
    for name, value in names.items():
        if name in given and not (isinstance(value, str) and value):
            raise ActError(name, "expected a text that is not empty")
    if None not in names.values():
        raise ActError("owner", "expected a subscription, or an owner, not both")
    return AskedQuiet(reason, until_ms, **names)


def check_fields(given: Mapping[str, Any], known: set[str]) -> None:
    """Raises ActError for a field that is not known."""
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ActError(unknown[0][:80], f"there is no such field; there are {', '.join(sorted(known))}")


def read_reason(given: Mapping[str, Any]) -> str:
    """The reason, as one line; raises ActError where there is none."""
    line = read_line(given.get("reason"))
    if not line or len(line) > REASON_MAX:
        raise ActError("reason", f"expected why, in 1 to {REASON_MAX:,} characters")
    return line


def read_line(given: object) -> str:
    """A text as one printable line; "" for what is none."""
    text = given if isinstance(given, str) else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def read_time(given: Mapping[str, Any], field: str) -> int:
    """A time of a field, in ms since 1970 UTC; raises ActError."""
    try:
        return text_to_time(given[field])
    except (TypeError, ValueError, AttributeError):
        raise ActError(field, "expected an RFC 3339 time, such as 2026-03-01T12:00:00Z") from None


def read_hours(given: Mapping[str, Any]) -> int:
    """The field `hours`, in ms; raises ActError."""
    hours, most = given["hours"], PROLONG_MAX_MS / HOUR_MS
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= most:
        raise ActError("hours", f"expected a number above 0 and up to {most:g}")
    return max(1, round(hours * HOUR_MS))


def refusal(record: FlagRecord, act: FlagAct) -> str:
    """Why nothing can be done about a flag any more; "" where it can.

    Parameters
    ----------
    record
        Its last record.
    act
        What is asked: what was decided by a person may be decided anew after it has ended the flag.
    """
    if not record.is_end or (act is not FlagAct.PROLONG and record.outcome is FlagOutcome.OVERRIDDEN):
        return ""
    how = record.outcome.value.replace("_", " ") if record.outcome is not None else record.change.value
    return f"the flag is not open any more: {how} at {time_to_text(record.time_ms)}"


def event_of(record: FlagRecord, asked: Asked, by: str, now_ms: int) -> Event:
    """The event of an act.

    Parameters
    ----------
    record
        The last record of the flag.
    asked
        What is asked.
    by
        Who asks.
    now_ms
        The time in ms since 1970 UTC.

    Raises
    ------
    ActError
        The run cannot be prolonged until then.
    """
    on = subject_of(record)
    match asked.act:
        case FlagAct.KEEP:
            return keep(on, by, asked.reason, now_ms, asked.value)
        case FlagAct.WRONG:
            return wrong(on, by, asked.reason, now_ms, asked.value)
        case FlagAct.PROLONG:
            return prolong(on, asked.prolonged_ms(record, now_ms), by, asked.reason, now_ms)


def subject_of(record: FlagRecord) -> ActOn:
    """What acts on a flag are about: its run, or the trainer that is in no run."""
    if record.run is not None:
        return ActOn(record.pipeline, record.run)
    name = parse_graphlet_id(record.flag)
    trainer = name.trainer if name is not None else None
    if trainer is None:
        raise ActError("", f"the flag {record.flag[:200]} names neither a run nor a training")
    return ActOn(record.pipeline, None, trainer)
