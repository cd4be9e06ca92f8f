"""What a hook needs of an orchestrator: to find a run there, to see how it stands, and to stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import orjson

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.sinks.http import Answer, HttpClient, result_of
from stream_app.alerts.sinks.sink import Result, cleaned

#: Bytes of an answer that are read: a run may come with the whole of its pipeline.
_ANSWER_BYTES = 4 << 20
#: Answers are read as they come, so they are not to be compressed.
_JSON = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "stream-app",
}


class Phase(StrEnum):
    """How a run stands at its orchestrator."""

    ACTIVE = "active"
    #: In the state that a stop leads to.
    STOPPED = "stopped"
    #: In another state that ends it.
    ENDED = "ended"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is at its orchestrator.

    Parameters
    ----------
    run
        The orchestrator's id of the run.
    group
        What the run belongs to there, such as its DAG; "" where its id is enough.
    parts
        The ids of the parts of the run that are ended with it.
    """

    run: str
    group: str = ""
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.group}/{self.run}" if self.group else self.run


@dataclass(frozen=True, slots=True)
class Seen:
    """How a run stood when the orchestrator was asked.

    Parameters
    ----------
    phase
        How it stands.
    word
        The orchestrator's own word.
    mark
        The verdict in the mark that a stop leaves at the run; "" for none.
    pipeline
        The pipeline that the orchestrator says it is of; "" where it does not.
    """

    phase: Phase
    word: str = ""
    mark: str = ""
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that is due.

    Parameters
    ----------
    message
        The id of its message, the same at every attempt.
    record
        The record of the flag.
    verdict
        The id of the verdict for which it is stopped.
    note
        Why, in one line for people.
    """

    message: str
    record: FlagRecord
    verdict: str
    note: str


class Target(Protocol):
    """An orchestrator, or whatever stops runs for one."""

    @property
    def name(self) -> str:
        """Its name for people."""

    @property
    def keeps_mark(self) -> bool:
        """Whether a stop leaves a mark at the run, so that it is told from a stop by others."""

    @property
    def answer_confirms(self) -> bool:
        """Whether the answer to a stop confirms it, since the run cannot be looked at."""

    def find(self, record: FlagRecord) -> Place | str:
        """Where the run of a flag is; or, where that is not known, why and what to do."""

    async def look(self, place: Place) -> Seen | Result:
        """How a run stands; or why that could not be asked."""

    async def prepare(self, place: Place, stop: Stop) -> Result:
        """Does what comes before a stop, such as a checkpoint; it must succeed."""

    async def stop(self, place: Place, stop: Stop) -> Result:
        """Asks for the stop of a run; that it was accepted is no confirmation."""


class Api:
    """An API that speaks JSON.

    Parameters
    ----------
    http
        The client.
    url
        The address before the paths.
    headers
        Headers of each request.
    """

    def __init__(self, http: HttpClient, url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {**headers, **_JSON}

    async def call(
        self, now: float, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]] | Result:
        """Makes a request.

        Parameters
        ----------
        now
            Seconds since 1970 UTC.
        method, path
            The method, and the path with its query, quoted.
        body
            The body; None: there is none.
        headers
            Further headers.

        Returns
        -------
        tuple or Result
            The status and the document of an answer 2xx, and of 404; else why there was none.
        """
        content = orjson.dumps(body) if body is not None else b""
        sent = {**self._headers, **(headers or {})}
        answer = await self._http.request(method, f"{self._url}{path}", content, sent, _ANSWER_BYTES)
        if isinstance(answer, Answer) and answer.status == 404:
            return 404, document_of(answer.body) or {}
        result = result_of(answer, now)
        if not isinstance(answer, Answer) or not result.succeeded:
            return Result(result.reason, result.retry_after)
        found = document_of(answer.body)
        if found is None:
            return Result(
                f"the answer is no JSON object: {cleaned(answer.body)}; is {self._url} the address of the API?"
            )
        return answer.status, found


class Orchestrator:
    """What orchestrators with an API share: they are asked how a run stands, and nothing comes before a stop.

    Parameters
    ----------
    http
        The client.
    url
        The address of the API.
    headers
        Headers of each request.
    now
        The clock, in seconds since 1970 UTC.
    """

    answer_confirms = False

    def __init__(self, http: HttpClient, url: str, headers: Mapping[str, str], now: Callable[[], float]) -> None:
        self._api = Api(http, url, headers)
        self._now = now

    async def prepare(self, place: Place, stop: Stop) -> Result:  # noqa: ARG002
        """There is nothing to prepare; see `Target.prepare`."""
        return Result()


def accepted(run: object, found: tuple[int, dict[str, Any]] | Result) -> Result:
    """What became of a request to change a run.

    Parameters
    ----------
    run
        The run, in words.
    found
        As `Api.call` returns it; a run that is not found is gone.
    """
    if isinstance(found, Result):
        return found
    return Result() if found[0] != 404 else Result(f"there is no run {run} any more")


def document_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer; None where it is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
