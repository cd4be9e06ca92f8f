"""Trying again what Kafka does not do at the moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import InvalidTimestampError, KafkaError, KafkaTimeoutError

from stream_app.errors import StreamAppError

#: Seconds between two attempts.
RETRY_SECONDS = 1.0

Result = TypeVar("Result")


def is_transient(error: Exception) -> bool:
    """Whether an error of a Kafka client may be over when Kafka is back.

    A producer gives up on records that it has no room for, and on topics that a broker, just started, does not know
    yet. It never gives up on records that it has accepted.
    """
    return isinstance(error, KafkaError) and (bool(error.retriable) or isinstance(error, KafkaTimeoutError))


def cause(error: object) -> str:
    """Why something cannot continue, as a person reads it."""
    if isinstance(error, StreamAppError):
        return str(error)
    if isinstance(error, InvalidTimestampError):
        return f"{error!r}: the clock of this machine is ahead of that of Kafka's brokers, by an hour or more: set it"
    return repr(error)


def always() -> bool:
    """For attempts that are wanted until they succeed or are cancelled."""
    return True


async def retry(
    attempt: Callable[[], Awaitable[Result]],
    report: Callable[[str], None],
    what: str = "",
    *,
    transient: Callable[[Exception], bool] = is_transient,
    wanted: Callable[[], bool] = always,
    seconds: float = RETRY_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Result | None:
    """Repeats an attempt until it succeeds, is no longer wanted, or is cancelled.

    Parameters
    ----------
    attempt
        Called without arguments; its result is returned.
    report
        Called with the problem after each failed attempt, and with "" after success, such as `Problem.report`.
    what
        What failed, put before the text of the error.
    transient
        Whether an error is a reason to try again.
    wanted
        Asked before each attempt and after each failure.
    seconds
        Pause between two attempts.
    sleep
        How the pause is made.

    Returns
    -------
    Result | None
        The result of the attempt that succeeded; None when it is no longer wanted.

    Raises
    ------
    Exception
        The first error that is not transient.
    """
    while wanted():
        try:
            result = await attempt()
        except Exception as error:
            if not transient(error):
                raise
            report(f"{what}: {error}" if what else str(error))
            if wanted():
                await sleep(seconds)
        else:
            report("")
            return result
    return None


class Problem:
    """Why something cannot be done at the moment; logged when it changes.

    Parameters
    ----------
    log
        Where it is logged.
    text
        The problem at the start, not logged; "" when there is none.
    """

    def __init__(self, log: logging.Logger, text: str = "") -> None:
        #: "" when there is no problem.
        self.text = text
        self._log = log

    def report(self, text: str) -> None:
        """Takes the problem as it is now; "" when it is over."""
        if text and text != self.text:
            self._log.error("%s; trying again", text)
        self.text = text
