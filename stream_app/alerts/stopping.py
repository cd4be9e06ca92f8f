"""The last question before a stop is sent: whether the run of a flag may be stopped now."""

from __future__ import annotations

from typing import Protocol

from stream_app.alerts.flags import FlagRecord


class StopCheck(Protocol):
    """Asks how the flag is now, by what was stored when it is asked."""

    async def refusal(self, record: FlagRecord) -> str:
        """Why the run of a flag must not be stopped now, in words; "" where it may.

        Whatever cannot be asked is a reason.
        """
