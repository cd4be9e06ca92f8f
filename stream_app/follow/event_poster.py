"""Sends events to `stream-app serve` over HTTP, with the standard library."""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from stream_app.errors import OptionsError, StreamAppError
from stream_app.follow.follower import Message

log = logging.getLogger(__name__)

#: Seconds that one request may take; between two requests to a busy service; after which that is an error.
_TIMEOUT_SECONDS, _BUSY_SECONDS, _BUSY_MAX_SECONDS = 40.0, 1.0, 20.0
#: Bytes of a response that are read.
_RESPONSE_MAX = 4 << 20


class ServiceUnavailableError(StreamAppError):
    """The service does not answer, or accepts no events at the moment."""


class EventPoster:
    """Posts native events to a service; it waits for some seconds while the service is busy.

    Parameters
    ----------
    url
        The address of the service.
    token
        Its bearer token; None: it needs none.

    Raises
    ------
    OptionsError
        The URL is not an address of a service.
    """

    def __init__(self, url: str, token: str | None) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise OptionsError("--url: expected the address of a service, such as http://localhost:8484")
        self._url = url.rstrip("/")
        self._token = token

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages and returns when all are stored; malformed ones are refused by the service, and logged.

        Parameters
        ----------
        messages
            Native events, each with its pipeline.

        Raises
        ------
        ServiceUnavailableError
            The service does not answer, or accepts no events at the moment.
        OptionsError
            It is not such a service, or needs another token.
        """
        body = b"[%s]" % b",".join(message for message, _ in messages)
        until = time.monotonic() + _BUSY_MAX_SECONDS
        while True:
            status, answer = self._post(body)
            if status != 503 or time.monotonic() >= until:
                break
            time.sleep(_BUSY_SECONDS)
        detail = str(answer.get("detail", ""))
        if status in (401, 403):
            raise OptionsError(f"{self._url} needs another token: set serve.token as it is set there")
        if status == 422:
            log.warning("%s refuses all of %d events: %s", self._url, len(messages), detail)
        elif status == 429 or status >= 500:
            raise ServiceUnavailableError(f"{self._url} accepts no events now: {status} {detail}")
        elif status != 200 or "summary" not in answer:
            raise OptionsError(f"{self._url} does not answer as `stream-app serve`: {status} {detail}")
        elif answer.get("failed_events"):
            failed = answer["failed_events"]
            log.warning("%s refuses %d events; the first: %s", self._url, len(failed), failed[0].get("reason"))

    def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/v1/events/batch", body, headers)
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                return response.status, _document(response.read(_RESPONSE_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _document(error.read(_RESPONSE_MAX))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ServiceUnavailableError(f"cannot reach {self._url}: {reason}") from None


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
