"""Airflow: marks a run of a DAG as failed, with a note that says why.

References
----------
https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from stream_app.alerts.filters import matcher
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.hook_sinks import AirflowSink
from stream_app.alerts.sinks.hooks.target import Orchestrator, Phase, Place, Seen, Stop, accepted
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Result, cleaned

_PHASES = {
    "queued": Phase.ACTIVE,
    "running": Phase.ACTIVE,
    "restarting": Phase.ACTIVE,
    "failed": Phase.STOPPED,
    "success": Phase.ENDED,
}
#: Ids of DAGs and of their runs, which are parts of a path.
_DAG, _RUN = re.compile(r"(?!\.+\Z)[\w.-]{1,250}\Z"), re.compile(r"(?!\.+\Z)[^/\\\s]{1,250}\Z")
#: Characters of a note.
_NOTE_MAX = 1_000
#: The mark of a stop at the end of the note.
_MARK = re.compile(r"\[stream_app\.pruned_by=(.+)\]\Z")


class Airflow(Orchestrator):
    """The API of Airflow; see `Target`.

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

    name = "Airflow"
    keeps_mark = True

    def __init__(
        self, http: HttpClient, sink: AirflowSink, headers: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        super().__init__(http, sink.url, headers, now)
        self._sink = sink
        self._may_act_on = matcher(sink.dags) if sink.dags is not None else None

    def find(self, record: FlagRecord) -> Place | str:
        """Two labels have the ids of the DAG and of its run; see `Target.find`."""
        for label in (self._sink.dag_label, self._sink.run_label):
            if not record.labels.get(label):
                return (
                    f"the run has no label {label!r}: OpenLineage events of Airflow have it; of other sources name the "
                    "labels with dag_label and run_label"
                )
        dag, run = record.labels[self._sink.dag_label], record.labels[self._sink.run_label]
        if not _DAG.match(dag) or not _RUN.match(run) or not run.isprintable():
            return f"{dag[:100]!r} and {run[:100]!r} are no ids of a DAG and its run"
        # A label is the word of a pipeline, which must not lead to the runs of another one.
        named = self._may_act_on(dag) if self._may_act_on is not None else dag in _dags(record.pipeline)
        if not named:
            return f"the DAG {dag[:100]!r} is not that of pipeline {record.pipeline}: name the hook's DAGs with dags"
        return Place(run, dag)

    async def look(self, place: Place) -> Seen | Result:
        """See `Target.look`."""
        found = await self._call("GET", place)
        if isinstance(found, Result):
            return found
        status, run = found
        if status == 404:
            return Seen(Phase.MISSING)
        if (run.get("dag_id"), run.get("dag_run_id")) != (place.group, place.run):
            about = cleaned(f"{run.get('dag_id')}/{run.get('dag_run_id')}".encode())
            return Result(f"asked for run {place}, and the answer is about {about}")
        state = str(run.get("state"))
        if state not in _PHASES:
            return Result(f"the state {cleaned(state.encode())} of run {place} is not known")
        mark = _MARK.search(str(run.get("note") or "").rstrip())
        return Seen(_PHASES[state], state, mark[1] if mark is not None else "")

    async def stop(self, place: Place, stop: Stop) -> Result:
        """Writes the note, and marks the run as failed; see `Target.stop`. Version 1 does it in two requests."""
        mark = f"[stream_app.pruned_by={stop.verdict}]"
        note = f"{stop.note[: _NOTE_MAX - len(mark) - 1]}\n{mark}"
        if self._sink.api == "v2":
            return accepted(place, await self._call("PATCH", place, {"state": "failed", "note": note}))
        # The note comes first: a run that is failed without it would count as one that failed by itself.
        noted = accepted(place, await self._call("PATCH", place, {"note": note}, "/setNote"))
        return accepted(place, await self._call("PATCH", place, {"state": "failed"})) if noted.succeeded else noted

    async def _call(
        self, method: str, place: Place, body: object = None, end: str = ""
    ) -> tuple[int, dict[str, Any]] | Result:
        login = await self._login()
        if isinstance(login, Result):
            return login
        dag, run = quote(place.group, safe=""), quote(place.run, safe="")
        path = f"/api/{self._sink.api}/dags/{dag}/dagRuns/{run}{end}"
        return await self._api.call(self._now(), method, path, body, login)

    async def _login(self) -> dict[str, str] | Result:
        """The header Authorization for the login of the sink: Basic for version 1, a token for version 2."""
        if self._sink.username is None or self._sink.password is None:
            return {}
        username, password = self._sink.username, self._sink.password.get_secret_value()
        if self._sink.api == "v1":
            return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}
        login = {"username": username, "password": password}
        found = await self._api.call(self._now(), "POST", "/auth/token", login)
        if isinstance(found, Result):
            return Result(f"Airflow gives no token for the login: {found.reason}", found.retry_after)
        token = found[1].get("access_token")
        if not isinstance(token, str) or not token:
            return Result("Airflow gives no token for the login: set the header Authorization instead")
        return {"Authorization": f"Bearer {token}"}


def _dags(pipeline: str) -> tuple[str, str]:
    """The DAG that a pipeline may be named after: OpenLineage puts a namespace before it, and a DAG has no slash."""
    return pipeline, pipeline.rpartition("/")[2]
