"""Server-sent events of the HTTP service, over connections that may be lost.

References
----------
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from time import sleep
from typing import Any

from stream_app.cli.service_client import Service, ServiceError

#: Seconds until the first attempt to connect again, and the most that they grow to.
FIRST_WAIT, LAST_WAIT = 2.0, 30.0
#: Refusals that another attempt does not change.
_FINAL = range(400, 500)
_TOO_MANY = 429


class EventStream:
    """The events of a stream, each once, from now on.

    Parameters
    ----------
    service
        The service.
    path
        Of the stream, with its query.
    lost
        Called with one line for a person when a connection is lost, or cannot be made again.

    Raises
    ------
    ServiceError
        The first connection is refused.
    """

    def __init__(self, service: Service, path: str, lost: Callable[[str], None]) -> None:
        self._service = service
        self._path = path
        self._lost = lost
        self._last: str | None = None
        self._wait = FIRST_WAIT
        self._response = service.events(path, None)

    def __iter__(self) -> Iterator[Any]:
        """The data of each event; raises ServiceError where the service refuses to go on."""
        while True:
            yield from self._connection()
            self._connect()

    def _connection(self) -> Iterator[Any]:
        """The events of one connection, until it is lost."""
        with self._response as response:
            try:
                for fields in _events(response):
                    self._wait = FIRST_WAIT
                    self._last = fields.get("id", self._last)
                    if "data" in fields:
                        yield json.loads(fields["data"])
                reason = "the service ended it"
            except TimeoutError:
                reason = "nothing came for too long"
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "strerror", None) or "it was cut")
            except ValueError:
                raise ServiceError("the stream has something else than JSON; is it stream-app serve?") from None
        self._lost(f"lost the connection: {reason}; connecting again")

    def _connect(self) -> None:
        """Connects again, with the id of the last event, until that succeeds."""
        while True:
            sleep(self._wait)
            self._wait = min(2 * self._wait, LAST_WAIT)
            try:
                self._response = self._service.events(self._path, self._last)
                return
            except ServiceError as error:
                if error.status in _FINAL and error.status != _TOO_MANY:
                    raise
                self._lost(f"{error}; trying again in {self._wait:g} s")


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The fields of each event that came whole; comments are fields without a name."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode(errors="replace").rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            yield fields
            fields = {}
