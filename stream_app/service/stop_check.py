"""Whether the run of a flag may be stopped now, by the verdicts on it: what an embedded detector and workers share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from stream_app.acting.gate import Gate
from stream_app.acting.reasons import NotNow, Why
from stream_app.alerts.flags import FlagRecord
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.ids import parse_graphlet_id
from stream_app.service.detector_thread import Embedded
from stream_app.service.verdict_index import VerdictIndex, VerdictRecord, deciding

log = logging.getLogger(__name__)

#: Seconds that a check may take, and between two looks whether everything has been applied.
CHECK_SECONDS, _LOOK_SECONDS = 10.0, 0.01


def check_run(
    record: FlagRecord,
    verdicts: VerdictIndex,
    gate: Gate,
    *,
    is_open: bool,
    enforces: Callable[[VerdictRecord], bool] = lambda _: True,
) -> NotNow | None:
    """Why the run of a flag must not be stopped now.

    Parameters
    ----------
    record
        A record of the flag, by which it is to be stopped.
    verdicts
        The verdicts as they are now.
    gate
        The gate.
    is_open
        Whether the flag is open now.
    enforces
        Whether the detector enforces a verdict now.

    Returns
    -------
    NotNow or None
        None where it may be stopped.
    """
    name = parse_graphlet_id(record.flag)
    of_run = name is not None and name.trainer is None and name.run == record.run
    alone = name is not None and name.trainer is not None and record.run is None
    if name is None or name.pipeline != record.pipeline or not (of_run or alone):
        return gate.refused(NotNow(Why.UNREADABLE, f"the flag {record.flag} is not that of this run and pipeline"))
    if not is_open:
        return gate.refused(NotNow(Why.NOT_FLAGGED, f"the flag {record.flag} is not open any more"))
    if record.run is not None:
        found = verdicts.of_run(record.run, record.pipeline)
    else:
        own = verdicts.get(record.flag)
        found = [own] if own is not None else []
    decisive = deciding(found, None)
    return gate.refusal(decisive, all(map(enforces, decisive)))


class Check(Protocol):
    """What a check does once it is asked."""

    async def __call__(self, record: FlagRecord) -> NotNow | None:
        """Why the run must not be stopped now."""


async def words_of(check: Check, record: FlagRecord, gate: Gate, seconds: float = CHECK_SECONDS) -> str:
    """The words of a check, of which every failure is a reason; "" where the run may be stopped.

    Parameters
    ----------
    check
        The check.
    record
        A record of the flag.
    gate
        Counts what is refused.
    seconds
        How long it may take.
    """
    try:
        async with asyncio.timeout(seconds):
            found = await check(record)
    except TimeoutError:
        found = gate.refused(NotNow(Why.UNREADABLE, f"how the flag is now was not known within {seconds:g} s"))
    except Exception as error:  # whatever it is, nothing is stopped
        log.warning("whether %s may be stopped cannot be checked: %r", record.flag, error)
        found = gate.refused(NotNow(Why.UNREADABLE, f"how the flag is now cannot be asked: {type(error).__name__}"))
    return found.words if found is not None else ""


class EmbeddedStopCheck:
    """Asks an embedded detector; see `stream_app.alerts.stopping.StopCheck`.

    Parameters
    ----------
    embedded
        The detector.
    gate
        The gate.
    """

    def __init__(self, embedded: Embedded, gate: Gate) -> None:
        self._embedded = embedded
        self._gate = gate

    async def refusal(self, record: FlagRecord) -> str:
        """Why the run of a flag must not be stopped now, once all that was accepted before has been applied.

        Parameters
        ----------
        record
            A record of the flag.

        Returns
        -------
        str
            In words; "" where it may be stopped.
        """
        return await words_of(self._check, record, self._gate)

    async def _check(self, record: FlagRecord) -> NotNow | None:
        embedded = self._embedded
        await asyncio.wrap_future(embedded.submit([]))  # what was accepted before is written, and waits to be applied
        while embedded.behind:
            await asyncio.sleep(_LOOK_SECONDS)
        is_open = await asyncio.to_thread(self._is_open, record.flag)
        mode = embedded.settings.detector.policy.mode
        return check_run(
            record, embedded.verdicts, self._gate, is_open=is_open, enforces=lambda _: mode == ENFORCE
        )  # fmt: skip

    def _is_open(self, flag: str) -> bool:
        with self._embedded.detector_lock:
            return self._embedded.flags.is_open(flag)
