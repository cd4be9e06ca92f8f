"""Delivers messages to `stream-app serve`, and asks it whether runs should stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from stream_app.errors import OptionsError
from stream_app.sidecar.answers import GO_ON
from stream_app.sidecar.forwarding import Refused, TargetUnavailableError
from stream_app.sidecar.messages import PATHS
from stream_app.sidecar.spool import Message

log = logging.getLogger(__name__)

_QUESTION = "/v1/should-prune"
#: Seconds that a request with messages, and a question, may take.
_SECONDS, _QUESTION_SECONDS = 40.0, 5.0
#: Bytes of an answer that are read.
_ANSWER_MAX = 4 << 20
#: Statuses of a question that is wrong, such as a run id of several pipelines.
_NOT_ANSWERED = (400, 404, 409, 422)


class HttpTarget:
    """A service. It is made within a running event loop.

    Parameters
    ----------
    url
        Its address.
    token
        Its bearer token; None: it needs none.

    Raises
    ------
    OptionsError
        The URL is no address of a service, or the token cannot be sent.
    """

    def __init__(self, url: str, token: str | None) -> None:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or parts.username is not None or parts.query or parts.fragment:
            raise OptionsError(
                "--url: expected the address of a service without login and query, such as http://detector:8484"
            )
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise OptionsError("the token of the service: expected printable characters in one line")
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._session = ClientSession(headers=headers, timeout=ClientTimeout(total=_SECONDS))

    async def send(self, messages: Sequence[Message]) -> list[Refused]:
        """Sends messages; see `Target.send`."""
        refused: list[Refused] = []
        indexed = sorted(enumerate(messages), key=lambda each: each[1].format)
        for format_, group in groupby(indexed, key=lambda each: each[1].format):
            refused += await self._post(f"{PATHS[format_]}/batch", list(group))
        return refused

    async def ask(self, question: Mapping[str, str]) -> dict[str, Any]:
        """Asks whether a run should stop.

        Parameters
        ----------
        question
            Parameters of `/v1/should-prune`.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        TargetUnavailableError
            There is no answer, or none of this service.
        """
        status, answer = await self._request("GET", _QUESTION, params=question, seconds=_QUESTION_SECONDS)
        if status in _NOT_ANSWERED:
            log.warning("%s does not say whether a run should stop: %s", self._url, _detail(answer) or status)
            return dict(GO_ON)
        if status != 200 or not isinstance(answer.get("prune"), bool):
            raise TargetUnavailableError(f"{self._url} does not answer {_QUESTION}: {status} {_detail(answer)}")
        return answer

    async def close(self) -> None:
        """Closes connections."""
        await self._session.close()

    async def _post(self, path: str, indexed: Sequence[tuple[int, Message]]) -> list[Refused]:
        """Posts messages of one format; halves of them where all together are too large."""
        body = b"[%s]" % b",".join(message.body for _, message in indexed)
        headers = {"Content-Type": "application/json"}
        status, answer = await self._request("POST", path, data=body, headers=headers, seconds=_SECONDS)
        detail = _detail(answer)
        if status == 200 and isinstance(answer.get("failed_events"), list):
            return [
                Refused(indexed[each["index"]][0], str(each.get("reason"))[:500])
                for each in answer["failed_events"]
                if isinstance(each, dict) and type(each.get("index")) is int and 0 <= each["index"] < len(indexed)
            ]
        if status in (413, 422) and len(indexed) > 1:
            half = len(indexed) // 2
            return [*await self._post(path, indexed[:half]), *await self._post(path, indexed[half:])]
        if status in (413, 422):
            return [Refused(indexed[0][0], detail or f"{self._url} answers {status}")]
        if status in (401, 403):
            raise TargetUnavailableError(f"{self._url} needs another token: set it as it is set there")
        raise TargetUnavailableError(f"{self._url} takes no events: {status} {detail}".rstrip())

    async def _request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        **how: Any,
    ) -> tuple[int, dict[str, Any]]:
        try:
            async with self._session.request(
                method, self._url + path, allow_redirects=False, timeout=ClientTimeout(total=seconds), **how
            ) as response:
                answer = bytearray()
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > _ANSWER_MAX:
                        break
                return response.status, _document(bytes(answer))
        except (TimeoutError, ClientError, OSError) as error:
            reason = getattr(error, "os_error", None) or error
            number = getattr(reason, "errno", None)
            why = os.strerror(number) if number else str(reason) or f"no answer within {seconds:g} s"
            raise TargetUnavailableError(f"cannot reach {self._url}: {why}") from None


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _detail(answer: Mapping[str, Any]) -> str:
    return str(answer.get("detail", ""))[:300]
