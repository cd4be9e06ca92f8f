"""Delivers the messages of the spool to where they belong, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from stream_app.errors import StreamAppError
from stream_app.sidecar.spool import Message, Stored
from stream_app.sidecar.spool_thread import SpoolThread

log = logging.getLogger(__name__)

#: Messages, and bytes of them, that are delivered at a time.
BATCH, BATCH_BYTES = 500, 1 << 20
#: Seconds between two attempts while there is no success: the first, and the most.
PAUSE_SECONDS, PAUSE_MAX_SECONDS = 1.0, 60.0


class TargetUnavailableError(StreamAppError):
    """The target does not answer, or takes no messages now; the message says what to do. They stay in the spool."""


class Refused(NamedTuple):
    """A message that the target will never take.

    Attributes
    ----------
    place
        Of the message among those that were sent.
    reason
        Why.
    """

    place: int
    reason: str


class Target(Protocol):
    """Where messages are delivered to."""

    async def send(self, messages: Sequence[Message]) -> list[Refused]:
        """Sends messages, and returns once the others than those in the list are safe.

        Raises TargetUnavailableError: some may be safe, and all are sent again.
        """

    async def close(self) -> None:
        """Closes connections."""


class Forwarder:
    """Delivers messages in order of their arrival, and pauses longer and longer while the target is away.

    Parameters
    ----------
    spool
        The messages.
    target
        Where they are delivered to.
    on_delivered
        Called with the numbers of messages that were delivered and refused.
    on_pause
        Called with why nothing can be delivered now; "" when it can again.
    pause_seconds, pause_max_seconds
        Between two attempts without success, the first time and at most.
    """

    def __init__(
        self,
        spool: SpoolThread,
        target: Target,
        on_delivered: Callable[[int, int], None] = lambda *_: None,
        on_pause: Callable[[str], None] = lambda _: None,
        pause_seconds: float = PAUSE_SECONDS,
        pause_max_seconds: float = PAUSE_MAX_SECONDS,
    ) -> None:
        self._spool = spool
        self._target = target
        self._on_delivered = on_delivered
        self._on_pause = on_pause
        self._pause_seconds = pause_seconds
        self._pause_max_seconds = pause_max_seconds
        self._work = asyncio.Event()
        self._fault = ""

    def wake(self) -> None:
        """There is a new message."""
        self._work.set()

    async def run(self) -> None:
        """Delivers until cancelled."""
        pause = self._pause_seconds
        while True:
            try:
                if await self.deliver():
                    pause = self._pause_seconds
                    continue
            except TargetUnavailableError as error:
                self._tell(str(error))
                # Sidecars of many runs must not return all at the same moment.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, self._pause_max_seconds)
                continue
            self._work.clear()
            if not await self._spool.count():
                await self._work.wait()

    async def deliver(self) -> bool:
        """Delivers the oldest messages.

        Returns
        -------
        bool
            Whether there were any.

        Raises
        ------
        TargetUnavailableError
            They are not delivered.
        """
        stored = await self._spool.take(BATCH, BATCH_BYTES)
        if not stored:
            return False
        await self._send(stored)
        self._tell("")
        return True

    async def _send(self, stored: Sequence[Stored]) -> None:
        refused = await self._target.send([each.message for each in stored])
        for each in refused:
            log.warning("an event is refused, and dropped: %s", each.reason)
        await self._spool.drop(stored)
        self._on_delivered(len(stored) - len(refused), len(refused))

    def _tell(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("%s; events wait in the spool", fault)
        elif self._fault and not fault:
            log.info("events are delivered again")
        if fault != self._fault:
            self._on_pause(fault)
        self._fault = fault
