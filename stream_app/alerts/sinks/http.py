"""HTTP towards sinks: no redirects, no proxies of the environment, bounded in time, bytes and addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType

import aiohttp

from stream_app.alerts.guard import NO_PUBLIC, AddressGuard, RefusedAddressError
from stream_app.alerts.sinks.sink import TIMEOUT_SECONDS, Result, cleaned

#: Bytes of an answer that are read.
_ANSWER_BYTES = 4 << 10
#: Connections at one time.
_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Parameters
    ----------
    status
        The code.
    headers
        The headers.
    body
        The beginning of the body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Posts to sinks.

    Parameters
    ----------
    guard
        Decides which addresses may be connected to.
    timeout_seconds
        Seconds that an attempt may take.
    """

    def __init__(self, guard: AddressGuard, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._guard = guard
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpClient:
        connector = aiohttp.TCPConnector(
            socket_factory=self._guard.socket,
            limit=_CONNECTIONS,
            limit_per_host=0,
            ttl_dns_cache=10,
            use_dns_cache=True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=8 << 10,
            max_field_size=8 << 10,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | str:
        """Posts a body.

        Parameters
        ----------
        url
            Where.
        body
            The body.
        headers
            Its headers.

        Returns
        -------
        Answer or str
            The answer; or, where there was none, the reason in words.
        """
        return await self.request("POST", url, body, headers)

    async def request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], most: int = _ANSWER_BYTES
    ) -> Answer | str:
        """Makes a request.

        Parameters
        ----------
        method
            The method.
        url, body, headers
            As of `post`; no body where it is empty.
        most
            Bytes of the answer that are read.

        Returns
        -------
        Answer or str
            As of `post`.
        """
        assert self._session is not None, "the client is not open"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async with self._session.request(
                    method, url, data=body or None, headers=headers, allow_redirects=False
                ) as response:
                    read = await _beginning(response, most)
                    if not response.content.at_eof():
                        response.close()  # the rest is not waited for, so the connection cannot be used again
                    return Answer(response.status, response.headers, read)
        except TimeoutError:
            return f"no answer within {self._timeout_seconds:g} s"
        except aiohttp.ClientConnectorError as error:
            return _refused(error.os_error) or f"cannot connect: {_named(error.os_error)}"
        except RefusedAddressError as error:
            return str(error)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return f"{type(error).__name__}: {cleaned(str(error).encode())}"


async def _beginning(response: aiohttp.ClientResponse, most: int) -> bytes:
    read = bytearray()
    while len(read) < most:
        chunk = await response.content.read(most - len(read))
        if not chunk:
            break
        read += chunk
    return bytes(read)


def result_of(answer: Answer | str, now: float) -> Result:
    """What became of a post: any 2xx is success, 410 says that the sink is gone.

    Parameters
    ----------
    answer
        As `HttpClient.post` returns it.
    now
        Seconds since 1970 UTC, for a Retry-After that is a date.
    """
    if isinstance(answer, str):
        return Result(answer)
    if 200 <= answer.status < 300:
        return Result()
    said = cleaned(answer.body)
    reason = f"HTTP {answer.status}{f': {said}' if said else ''}"
    if 300 <= answer.status < 400:
        reason = f"HTTP {answer.status}: redirects are not followed; give the URL that it leads to"
    return Result(reason, _retry_after(answer.headers.get("Retry-After", ""), now), answer.status == 410)


def _retry_after(value: str, now: float) -> float | None:
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def _refused(error: OSError) -> str:
    """Why none of the addresses of a name may be connected to; "" where one may. One speaks for all."""
    if isinstance(error, RefusedAddressError):
        return str(error)
    each = str(error).removeprefix("Multiple exceptions: ").split(", ")  # as aiohttp joins them
    return each[0] if all(NO_PUBLIC in text for text in each) else ""


def _named(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
