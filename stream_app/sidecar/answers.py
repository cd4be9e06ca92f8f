"""Whether runs should stop, kept at hand: a question is answered at once, and asked again in the background."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_app.acting.reasons import NotNow, Why
from stream_app.sidecar.forwarding import TargetUnavailableError

log = logging.getLogger(__name__)

#: Parameters of a question.
PARAMETERS = ("run", "pipeline", "execution")
#: The answer where nothing is known: the run goes on.
GO_ON: Mapping[str, Any] = {
    "known": False, "decision": None, "p_push": None, "why": [], "prune": False, "why_not": None, "verdict": None,
}  # fmt: skip
#: Seconds between two times that a question is asked again, and after which nobody's question is asked any more.
ASK_SECONDS, FORGET_SECONDS = 10.0, 3_600.0
#: Seconds for which an answer counts while the service is away, and one by which a run should stop: it may have been
#: withdrawn since, or the kill switch turned. Then the service is asked again, and the run goes on if it is away.
VALID_SECONDS, STOP_SECONDS = 300.0, 2.0
#: Seconds that somebody waits for the first answer; clients wait for one second.
FIRST_SECONDS = 0.7
#: Questions that are kept.
QUESTIONS_MAX = 1_000

_UNCONFIRMED = NotNow(Why.UNCONFIRMED, "the service flags it, and does not confirm now that it should stop").to_dict()

Question = tuple[tuple[str, str], ...]
#: Asks the service; raises TargetUnavailableError.
Ask = Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class _Known:
    answer: Mapping[str, Any]
    #: When the service answered, and when somebody asked last, in seconds of the clock.
    at: float
    asked: float


class Answers:
    """Answers of the service by question.

    Parameters
    ----------
    ask
        Asks the service; None: there is nobody to ask, and all runs go on.
    on_stop
        Called once for each verdict by which a run should stop, with the question and the answer.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self,
        ask: Ask | None,
        on_stop: Callable[[Mapping[str, str], Mapping[str, Any]], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._on_stop = on_stop
        self._clock = clock
        self._known: OrderedDict[Question, _Known] = OrderedDict()
        self._stops: OrderedDict[str, None] = OrderedDict()
        #: Why the service did not answer last; "" when it did.
        self._fault = ""

    async def answer(self, question: Question) -> Mapping[str, Any]:
        """The answer that is known; for a question that is asked for the first time, that of the service.

        Parameters
        ----------
        question
            Parameters of the question and their values, sorted.

        Returns
        -------
        Mapping
            As of `/v1/should-prune`; that the run goes on where the service does not answer.
        """
        now = self._clock()
        known = self._known.get(question)
        if known is None:
            known = self._known[question] = _Known(GO_ON, now, now)
            if len(self._known) > QUESTIONS_MAX:
                self._known.popitem(last=False)
            await self._refresh_now(question, known)
        elif known.answer["prune"] and now - known.at > STOP_SECONDS:
            await self._refresh_now(question, known)
        known.asked = now
        if question in self._known:  # others may have taken its place meanwhile
            self._known.move_to_end(question, last=True)
        if now - known.at > VALID_SECONDS:
            return GO_ON
        if known.answer["prune"] and now - known.at > STOP_SECONDS:
            return {**known.answer, "prune": False, "why_not": _UNCONFIRMED}
        return known.answer

    async def _refresh_now(self, question: Question, known: _Known) -> None:
        """Asks while somebody waits."""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._refresh(question, known)
        except TimeoutError:
            self._tell("the service does not answer in time")

    async def run(self) -> None:
        """Asks again until cancelled."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Asks once more what somebody asked in the last hour."""
        now = self._clock()
        for question, known in list(self._known.items()):
            if now - known.asked > FORGET_SECONDS:
                self._known.pop(question, None)
            elif not await self._refresh(question, known):
                return  # the service is away: one try is enough

    async def _refresh(self, question: Question, known: _Known) -> bool:
        """Whether the service has answered."""
        if self._ask is None:
            return False
        try:
            answer = await self._ask(dict(question))
        except TargetUnavailableError as error:
            self._tell(str(error))
            return False
        self._tell("")
        known.answer, known.at = answer, self._clock()
        verdict = answer.get("verdict")
        if answer["prune"] and isinstance(verdict, str) and verdict not in self._stops:
            self._stops[verdict] = None
            if len(self._stops) > QUESTIONS_MAX:
                self._stops.popitem(last=False)
            self._on_stop(dict(question), answer)
        return True

    def _tell(self, fault: str) -> None:
        if fault and not self._fault:
            log.warning("%s; whether runs should stop is not known meanwhile, and they go on", fault)
        elif self._fault and not fault:
            log.info("the service answers again whether runs should stop")
        self._fault = fault
