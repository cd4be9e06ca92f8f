"""Everything that the library apprise can reach: Teams, PagerDuty, SMS and some 170 more."""

from __future__ import annotations

import asyncio
import logging

from stream_app.alerts.sinks.sink import TIMEOUT_SECONDS, Outgoing, Result


class Apprise:
    """Sends messages through apprise. Its URLs are secrets, and it connects to whatever they name.

    Parameters
    ----------
    url
        The URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, message: Outgoing) -> Result:
        """Sends a message; see `Sink.send`."""
        import apprise

        # Their lines contain URLs, which are secrets.
        logging.getLogger("apprise").disabled = True
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        service = apprise.Apprise()
        if not service.add(self._url):
            return Result("apprise does not know the kind of this URL", gone=True)
        sending = asyncio.to_thread(service.notify, title=message.text.title, body=message.text.body)
        try:
            async with asyncio.timeout(4 * TIMEOUT_SECONDS):
                sent = await sending
        except TimeoutError:
            return Result(f"no answer within {4 * TIMEOUT_SECONDS:g} s")
        return Result() if sent else Result("the service did not take the message")
