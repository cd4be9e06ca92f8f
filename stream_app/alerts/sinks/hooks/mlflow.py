"""MLflow: ends runs as KILLED, with a tag that names the verdict.

A tracking server starts no process and ends none: whoever runs the training sees that its run has ended.

References
----------
https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.hook_sinks import MlflowSink
from stream_app.alerts.sinks.hooks.target import Orchestrator, Phase, Place, Seen, Stop, accepted
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Result, cleaned

_RUNS = "/api/2.0/mlflow/runs"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_PHASES = {
    "SCHEDULED": Phase.ACTIVE,
    "RUNNING": Phase.ACTIVE,
    "KILLED": Phase.STOPPED,
    "FINISHED": Phase.ENDED,
    "FAILED": Phase.ENDED,
}
#: The tag that names the verdict; `stream_app.sources.mlflow` reads it.
TAG = "stream_app.pruned_by"


class Mlflow(Orchestrator):
    """The API of a tracking server; see `Target`.

    Parameters
    ----------
    http
        The client.
    sink
        The sink.
    headers
        Its headers.
    now
        The clock, in seconds since 1970 UTC.
    """

    name = "MLflow"
    keeps_mark = True

    def __init__(
        self, http: HttpClient, sink: MlflowSink, headers: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        super().__init__(http, sink.url, headers, now)

    def find(self, record: FlagRecord) -> Place | str:
        """Runs and trainings have the ids of their runs in MLflow; see `Target.find`."""
        trainers = tuple(each.trainer for each in record.graphlets if each.trainer is not None)
        first = record.run if record.run is not None else next(iter(trainers), "")
        wrong = next((each for each in (first, *trainers) if not _ID.match(each)), None)
        if wrong is not None:
            return f"{wrong[:100]!r} is no id of a run of MLflow: this hook stops what was read from MLflow"
        return Place(first, parts=tuple(each for each in trainers if each != first))

    async def look(self, place: Place) -> Seen | Result:
        """See `Target.look`."""
        return await self._look(place.run)

    async def stop(self, place: Place, stop: Stop) -> Result:
        """Ends the flagged trainings that run, and then their run; see `Target.stop`."""
        for part in place.parts:
            seen = await self._look(part)
            if isinstance(seen, Result):
                return seen
            if seen.phase is Phase.ACTIVE:
                killed = await self._kill(part, stop.verdict)
                if not killed.succeeded:
                    return killed
        return await self._kill(place.run, stop.verdict)

    async def _look(self, run_id: str) -> Seen | Result:
        found = await self._api.call(self._now(), "GET", f"{_RUNS}/get?{urlencode({'run_id': run_id})}")
        if isinstance(found, Result):
            return found
        status, document = found
        if status == 404:
            missing = document.get("error_code") == "RESOURCE_DOES_NOT_EXIST"
            return Seen(Phase.MISSING) if missing else Result("HTTP 404: is this the address of a tracking server?")
        run = document.get("run")
        info = run.get("info") if isinstance(run, dict) else None
        if not isinstance(run, dict) or not isinstance(info, dict) or info.get("run_id") != run_id:
            return Result(f"asked for run {run_id}, and the answer is about another one, or none")
        status_word = str(info.get("status"))
        if status_word not in _PHASES:
            return Result(f"the status {cleaned(status_word.encode())} of run {run_id} is not known")
        return Seen(_PHASES[status_word], status_word, _mark(run))

    async def _kill(self, run_id: str, verdict: str) -> Result:
        """Tags a run, and ends it: a run that is ended without the tag would count as one that somebody killed."""
        tag = {"run_id": run_id, "key": TAG, "value": verdict}
        end = {"run_id": run_id, "status": "KILLED", "end_time": round(self._now() * 1000)}
        for path, body in (("set-tag", tag), ("update", end)):
            done = accepted(run_id, await self._api.call(self._now(), "POST", f"{_RUNS}/{path}", body))
            if not done.succeeded:
                return done
        return Result()


def _mark(run: dict[str, Any]) -> str:
    data = run.get("data")
    tags = data.get("tags") if isinstance(data, dict) else None
    found = [each for each in tags or () if isinstance(each, dict) and each.get("key") == TAG]
    return str(found[0].get("value", "")) if found else ""
