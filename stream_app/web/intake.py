"""Where messages that arrive over HTTP are stored, and the response when they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stream_app.errors import MalformedEvent, StreamAppError
from stream_app.service.event_log import Accepted
from stream_app.web.problems import ProblemError

#: Seconds that the intake may take to store the messages of a request.
_SECONDS = 10.0

#: Stores messages, and returns when they are safe. Raises MalformedEvent for one that is too large to be stored, and
#: another StreamAppError when they cannot be stored at the moment.
Intake = Callable[[Sequence[Accepted]], Awaitable[None]]


async def store(intake: Intake, messages: Sequence[Accepted]) -> None:
    """Stores messages and returns when they are safe.

    Parameters
    ----------
    intake
        Where they are stored.
    messages
        Messages that were decoded.

    Raises
    ------
    ProblemError
        503: they are not known to be stored. 413: one of them is too large.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            await intake(messages)
    except TimeoutError:
        raise ProblemError(503, "cannot be stored in time; try again", {"Retry-After": "5"}) from None
    except MalformedEvent as error:
        raise ProblemError(413, str(error)) from None
    except StreamAppError as error:
        raise ProblemError(503, f"cannot be stored now: {error}", {"Retry-After": "5"}) from None
