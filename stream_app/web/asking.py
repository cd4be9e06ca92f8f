"""Asks the workers that keep pipelines, and goes on asking where a partition moves, for a few seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from stream_app.provenance.names import AmbiguousNameError, UnknownNameError
from stream_app.provenance.peers import MessageError, MovedError, Peer
from stream_app.web.limits import retry_after
from stream_app.web.problems import ProblemError
from stream_app.web.worker_routes import AMBIGUOUS, ANSWER, PREFIX, UNKNOWN

Answer = TypeVar("Answer")

#: Seconds for which is asked again, and the share of them that one attempt may take.
DEADLINE_SECONDS, _ATTEMPT = 5.0, 0.6
#: Seconds between two attempts where the directory does not change.
_PAUSE_SECONDS = 0.2
#: Requests at one time, in all and to one worker; bytes of an answer.
_REQUESTS, _REQUESTS_EACH, _ANSWER_BYTES = 32, 4, 64 << 20
#: What a worker answers about what it has not open now, and what others answer that have taken its port.
_AWAY = (404, 405, 421, 429, 503)


class Place(Protocol):
    """Where a worker is asked; equal ones are one."""

    @property
    def address(self) -> str:
        """As `host:port`."""

    @property
    def instance(self) -> str:
        """The worker's life, for which the address holds."""


class Directory(Protocol):
    """Which worker has which partition, as far as is known."""

    @property
    def partitions(self) -> int:
        """How many there are; 0 while no worker has told."""

    def place(self, number: int) -> Place | None:
        """Where a partition was opened last; None where that is not known."""

    async def changed(self) -> None:
        """Returns when it has changed."""


class _AwayError(Exception):
    """Some partitions are answered for elsewhere, or later."""

    def __init__(self, numbers: Collection[int]) -> None:
        super().__init__()
        self.numbers = numbers


class Asker:
    """Asks workers, while its context lasts.

    Parameters
    ----------
    directory
        Who has which partition.
    token
        What workers are shown; None: nothing.
    seconds
        For which is asked again where a partition moves.
    """

    def __init__(self, directory: Directory, token: str | None, seconds: float = DEADLINE_SECONDS) -> None:
        self._directory = directory
        self._seconds = seconds
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Asker:
        connector = TCPConnector(limit=_REQUESTS, limit_per_host=_REQUESTS_EACH)
        self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self,
        numbers: Collection[int],
        question: str,
        parameters: Mapping[str, Any],
        seconds: float | None = None,
    ) -> list[Any]:
        """Asks whoever has some partitions; each answer is about some of them, all together about all.

        Parameters
        ----------
        numbers
            The partitions.
        question, parameters
            As of `stream_app.provenance.questions.answer`.
        seconds
            For which is asked again, where not for as long as always.

        Raises
        ------
        ProblemError
            503: a partition moves; 502: a worker cannot be understood, or refuses the token.
        UnknownNameError, AmbiguousNameError
            As of `stream_app.provenance.questions.answer`.
        """
        pending, answers = set(numbers), list[Any]()

        async def attempt(left: float) -> list[Any]:
            at = self._places(pending)
            made = [self._ask_at(place, each, question, parameters, left) for place, each in at.items()]
            found = await asyncio.gather(*made, return_exceptions=True)
            for each, one in zip(at.values(), found, strict=True):
                if not isinstance(one, BaseException):
                    pending.difference_update(each)
                    answers.append(one)
                elif not isinstance(one, _AwayError):
                    raise one
            if pending:
                raise _AwayError(pending)
            return answers

        return await self._until(attempt, self._seconds if seconds is None else seconds)

    async def ask_peers(
        self,
        numbers: Collection[int],
        question: str,
        asking: Callable[[Sequence[Peer]], Awaitable[Answer]],
    ) -> Answer:
        """Asks several times for one answer, each process of those that have some partitions when that begins.

        Parameters
        ----------
        numbers
            The partitions.
        question
            The question whose parameters the peers are given.
        asking
            Given the peers; it begins again where a partition moves.

        Raises
        ------
        ProblemError
            As of `ask`.
        Exception
            What `asking` raises.
        """

        async def attempt(left: float) -> Answer:
            at = self._places(numbers)
            missing = set(numbers).difference(*at.values())
            if missing:
                raise _AwayError(missing)

            def peer(place: Place, of_place: Collection[int]) -> Peer:
                return lambda parameters: self._ask_at(place, of_place, question, parameters, left)

            try:
                return await asking([peer(*each) for each in at.items()])
            except MovedError:
                raise _AwayError(numbers) from None
            except MessageError as error:
                raise ProblemError(502, f"a worker is of another release: {error}") from None

        return await self._until(attempt, self._seconds)

    async def _until(self, attempt: Callable[[float], Awaitable[Answer]], seconds: float) -> Answer:
        """Attempts something, given the seconds that are left, until partitions are where they are asked about."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            changed = asyncio.ensure_future(self._directory.changed())
            try:
                return await attempt(end - loop.time())
            except _AwayError as error:
                if loop.time() >= end:
                    raise self._moving(min(error.numbers)) from None
                await asyncio.wait([changed], timeout=min(_PAUSE_SECONDS, end - loop.time()))
            finally:
                changed.cancel()

    def _places(self, numbers: Collection[int]) -> dict[Place, set[int]]:
        """Where partitions were opened last; those of which that is not known are left out."""
        at: dict[Place, set[int]] = {}
        for number in numbers:
            place = self._directory.place(number)
            if place is not None:
                at.setdefault(place, set()).add(number)
        return at

    def _moving(self, number: int) -> ProblemError:
        if self._directory.place(number) is not None:
            return ProblemError(503, f"partition {number} moves to another worker; ask again", retry_after(1))
        told = f"no worker has told that it has partition {number}"
        return ProblemError(503, f"{told}: it moves, or its worker answers no questions; ask again", retry_after(1))

    async def _ask_at(
        self, place: Place, numbers: Collection[int], question: str, parameters: Mapping[str, Any], seconds: float
    ) -> Any:
        if self._session is None:
            raise _AwayError(numbers)
        asked = {
            "instance": place.instance,
            "of": self._directory.partitions,
            "partitions": sorted(numbers),
            "parameters": parameters,
        }
        try:
            async with self._session.post(
                f"http://{place.address}{PREFIX}/{question}",
                data=json.dumps(asked).encode(),
                headers={"Content-Type": "application/json"},
                timeout=ClientTimeout(total=max(0.05, min(seconds, _ATTEMPT * self._seconds))),
                allow_redirects=False,
            ) as response:
                body = await _body(place, response)
                if response.status in _AWAY:
                    raise _AwayError(numbers)
                return _read(place, response.status, body)
        except (ClientError, TimeoutError, OSError) as error:
            raise _AwayError(numbers) from error


async def _body(place: Place, response: ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _ANSWER_BYTES:
            raise ProblemError(502, f"the worker at {place.address} answers more than {_ANSWER_BYTES:,} bytes")
    return bytes(body)


def _read(place: Place, status: int, body: bytes) -> Any:
    """The answer in a response; raises what it is instead."""
    if status in (401, 403):
        raise ProblemError(
            502, f"the worker at {place.address} refuses the token: set queries.token to the same value for all"
        )
    if status in (400, 501):
        raise ProblemError(502, f"the worker at {place.address} does not know this question: it is of another release")
    try:
        found = orjson.loads(body) if status == 200 else {}
        if found["instance"] == place.instance:
            if UNKNOWN in found:
                raise UnknownNameError(str(found[UNKNOWN]))
            if AMBIGUOUS in found:
                raise AmbiguousNameError(str(found[AMBIGUOUS]))
            return found[ANSWER]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise ProblemError(502, f"what is at {place.address} failed on the question, with status {status}")
