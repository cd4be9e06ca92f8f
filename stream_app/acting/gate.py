"""The gate: whether a run may be stopped now, by its flag, the ladder, exempt hours and the kill switch.

It is asked in the last moment and keeps nothing. It works on the JSON form of verdicts, those of earlier releases
included: where a verdict has no ladder, nothing is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_app.acting.hours import parse_hours
from stream_app.acting.reasons import NotNow, Why
from stream_app.acting.switch import Switch
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.outputs import PRUNE
from stream_app.times import text_to_time, time_to_text


@dataclass(frozen=True, slots=True)
class Flagged:
    """What the gate asks of a flag.

    Parameters
    ----------
    pipeline
        The pipeline of the run.
    mode
        The mode in which the flag was raised.
    ladder
        The last step of its ladder; "": there is none, and nothing is waited for.
    stop_ms
        From when the run may be stopped, in ms since 1970 UTC; None: never, where there is a ladder.
    exempt_hours
        Hours in which no run is stopped; "": none.
    """

    pipeline: str
    mode: str
    ladder: str = ""
    stop_ms: int | None = None
    exempt_hours: str = ""


def verdict_refusal(verdict: Mapping[str, Any], now_ms: int, switch: Switch) -> NotNow | None:
    """Why the run of a verdict must not be stopped now.

    Parameters
    ----------
    verdict
        The verdict that decides about the run, in its JSON form.
    now_ms
        The time in ms since 1970 UTC.
    switch
        The kill switch.

    Returns
    -------
    NotNow or None
        None where it may be stopped.
    """
    try:
        if verdict["decision"] != PRUNE:
            return NotNow(Why.NOT_FLAGGED, f"its verdict is {verdict['decision']}")
        ladder = verdict.get("ladder")
        flagged = Flagged(verdict["pipeline"], verdict["policy"]["mode"])
        if ladder is not None:
            stop_from, hours = ladder["stop_from"], ladder["exempt_hours"]
            stop_ms = text_to_time(stop_from) if stop_from is not None else None
            flagged = Flagged(flagged.pipeline, flagged.mode, ladder["last"] or "no step", stop_ms, hours)
        return refusal(flagged, now_ms, switch)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return NotNow(Why.UNREADABLE, f"its verdict cannot be read: {error!r}")


def refusal(flagged: Flagged, now_ms: int, switch: Switch) -> NotNow | None:
    """Why the run of an open flag must not be stopped now.

    Parameters
    ----------
    flagged
        The flag.
    now_ms, switch
        As of `verdict_refusal`.

    Returns
    -------
    NotNow or None
        None where it may be stopped.
    """
    if flagged.mode != ENFORCE:
        return NotNow(Why.OBSERVE, f"its flag was raised in the mode {flagged.mode}")
    if flagged.ladder and flagged.stop_ms is None:
        return NotNow(Why.WARNED_ONLY, f"the ladder of its pipeline ends with {flagged.ladder}")
    if flagged.stop_ms is not None and now_ms < flagged.stop_ms:
        return NotNow(Why.TOO_EARLY, f"it may be stopped from {time_to_text(flagged.stop_ms)} on")
    if flagged.exempt_hours:
        try:
            end_ms = parse_hours(flagged.exempt_hours).end_ms(now_ms)
        except ValueError as error:
            return NotNow(Why.UNREADABLE, f"its exempt hours cannot be read: {error}")
        if end_ms is not None:
            within = f"no run of it is stopped within {flagged.exempt_hours}"
            return NotNow(Why.EXEMPT_HOURS, f"{within}, which is until {time_to_text(end_ms)}")
    return switch.refusal(flagged.pipeline)


class Gate:
    """The gate of a process, with its clock and its kill switch.

    Parameters
    ----------
    switch
        The kill switch; None: one that is on.
    now_ms
        The clock, in ms since 1970 UTC.
    on_refusal
        Called with the reason, each time that a flagged run must not be stopped.
    """

    def __init__(
        self,
        switch: Switch | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_refusal: Callable[[Why], None] = lambda _: None,
    ) -> None:
        self.switch = switch or Switch()
        self._now_ms = now_ms
        self._on_refusal = on_refusal

    def refused(self, reason: NotNow) -> NotNow:
        """Counts a reason that was found elsewhere, and returns it."""
        self._on_refusal(reason.why)
        return reason

    def refusal(self, verdicts: Iterable[Mapping[str, Any]], enforces: bool) -> NotNow | None:
        """Why a run must not be stopped now.

        Parameters
        ----------
        verdicts
            Those that decide about the run, each as of `verdict_refusal`.
        enforces
            Whether the detector enforces flags now.

        Returns
        -------
        NotNow or None
            None where it may be stopped, which each verdict must allow.
        """
        found: NotNow | None = NotNow(Why.NOT_FLAGGED, "there is no verdict on it")
        for verdict in verdicts:
            found = verdict_refusal(verdict, self._now_ms(), self.switch)
            if found is not None:
                break
        if found is None and not enforces:
            found = NotNow(Why.OBSERVE, "flags are not enforced")
        return self.refused(found) if found is not None else None
