"""Where messages go that came over HTTP: whoever keeps them, and what is answered when they cannot be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stream_app.errors import StreamAppError
from stream_app.web.problems import ProblemError

#: Seconds after which a request is given up that the intake has not answered.
_SECONDS = 30.0

#: A message, and its pipeline if it tells of an execution.
Message = tuple[bytes, str | None]
#: Takes messages, and returns when they are safe. Raises StreamAppError when they cannot be kept now.
Intake = Callable[[Sequence[Message]], Awaitable[None]]


async def take(intake: Intake, messages: Sequence[Message]) -> None:
    """Returns when messages are safe; raises ProblemError 503 when they are not, as far as is known."""
    try:
        async with asyncio.timeout(_SECONDS):
            await intake(messages)
    except TimeoutError:
        raise ProblemError(503, "cannot be kept in time; try again", {"Retry-After": "5"}) from None
    except StreamAppError as error:
        raise ProblemError(503, f"cannot be kept now: {error}", {"Retry-After": "5"}) from None
