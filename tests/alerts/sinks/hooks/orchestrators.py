"""Orchestrators that hooks are tried against: what the APIs of Kubeflow Pipelines and Airflow have to stop runs.

Each keeps its runs as the real one does, and has faults: what it answers next in the place of its own answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

#: In the place of an answer; it may change the orchestrator first.
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def status(code: int, body: object = None, headers: dict[str, str] | None = None) -> Fault:
    """Answers with a status."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text=json.dumps(body or {"error": "x"}), headers=headers)

    return answer


async def hang(_: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.sleep(3_600)
    return web.Response()


@dataclass
class Orchestrator:
    """What both have: requests, faults by the kind of a request, and runs by their id."""

    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    #: Kind of a request -> what is answered to the next requests of the kind, one after another.
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    authorization: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request."""
        body = await request.read()
        self.requests.append((request.method, request.raw_path, json.loads(body) if body else None))
        self.authorization.append(request.headers.get("Authorization", ""))
        kind = self.kind(request)
        fault = self.faults.get(kind, [])
        if fault and (answer := await fault.pop(0)(request)) is not None:
            return answer
        answer = await self.answer(request, kind)
        if answer.status != 204 and "gzip" in request.headers.get("Accept-Encoding", ""):
            answer.enable_compression(web.ContentCoding.gzip)  # as Airflow does where it is asked to
        return answer

    def kind(self, request: web.Request) -> str:
        """`look`, `stop` and so on."""
        raise NotImplementedError

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:
        """Answers as the real one does."""
        raise NotImplementedError

    def begin(self, run: str, pipeline: str) -> None:
        """A run of a pipeline begins."""
        raise NotImplementedError

    def end(self, run: str, pipeline: str, state: str) -> None:
        """A run ends by itself, COMPLETE or FAILED, unless it was stopped."""
        raise NotImplementedError

    def is_stopped(self, run: str, pipeline: str) -> bool:
        """Whether a run was stopped."""
        raise NotImplementedError

    async def stopped_by(self, request: web.Request) -> str | None:
        """The run that a request is to stop; None: it stops none."""
        raise NotImplementedError

    def stops(self) -> list[tuple[str, str, Any]]:
        """The requests that change anything."""
        return [each for each in self.requests if each[0] != "GET" and "/auth/" not in each[1]]


class KfpServer(Orchestrator):
    """Kubeflow Pipelines: as `RunService` of its API server; its states are those of the run, told at once."""

    ACTIVE = ("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED")

    def add(self, run: str, state: str = "RUNNING", pipeline: str = "p") -> None:
        """Adds a run."""
        spec = {"pipelineInfo": {"name": pipeline}, "schemaVersion": "2.1.0", "filler": "x" * 20_000}
        self.runs[run] = {
            "experiment_id": "e", "run_id": run, "display_name": "nightly", "storage_state": "AVAILABLE",
            "pipeline_spec": spec, "created_at": "2026-11-26T04:14:07Z", "state": state,
        }  # fmt: skip

    def begin(self, run: str, pipeline: str) -> None:
        self.add(run, pipeline=pipeline)

    def end(self, run: str, pipeline: str, state: str) -> None:  # noqa: ARG002
        if not self.is_stopped(run, ""):
            self.runs[run]["state"] = {"COMPLETE": "SUCCEEDED"}.get(state, state)

    def is_stopped(self, run: str, pipeline: str) -> bool:  # noqa: ARG002
        return run in self.runs and self.runs[run]["state"] in ("CANCELING", "CANCELED")

    async def stopped_by(self, request: web.Request) -> str | None:
        name = request.path.rpartition("/")[2]
        return name.removesuffix(":terminate") if name.endswith(":terminate") else None

    def kind(self, request: web.Request) -> str:
        return "stop" if request.path.endswith(":terminate") else "look"

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:
        name = request.path.removeprefix("/apis/v2beta1/runs/").removesuffix(":terminate")
        run = self.runs.get(name)
        if run is None:
            return web.json_response({"error": "run not found", "code": 5}, status=404)
        if kind == "look":
            return web.json_response(run)
        if run["state"] not in self.ACTIVE:
            return web.json_response({"error": f"Failed to terminate a run {name}. Row not found"}, status=400)
        run["state"] = "CANCELING"
        return web.json_response({})


class AirflowServer(Orchestrator):
    """Airflow: version 2 of the API of Airflow 3, version 1 of Airflow 2, with the checks of their bodies."""

    def add(self, run: str, state: str = "running", dag: str = "p") -> None:
        """Adds a run of a DAG."""
        self.runs[f"{dag}/{run}"] = {"dag_id": dag, "dag_run_id": run, "state": state, "note": None}

    def begin(self, run: str, pipeline: str) -> None:
        self.add(run, dag=pipeline)

    def end(self, run: str, pipeline: str, state: str) -> None:
        if not self.is_stopped(run, pipeline):
            self.runs[f"{pipeline}/{run}"]["state"] = {"COMPLETE": "success"}.get(state, "failed")

    def is_stopped(self, run: str, pipeline: str) -> bool:
        found = self.runs.get(f"{pipeline}/{run}")
        return found is not None and found["state"] == "failed" and found["note"] is not None

    async def stopped_by(self, request: web.Request) -> str | None:
        stops = request.method == "PATCH" and (await request.json()).get("state") == "failed"
        return request.path.split("/")[6] if stops else None

    def kind(self, request: web.Request) -> str:
        if request.path == "/auth/token":
            return "login"
        return "look" if request.method == "GET" else "note" if request.path.endswith("/setNote") else "stop"

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:
        body = await request.json() if request.method != "GET" else {}
        if kind == "login":
            return web.json_response({"access_token": f"token of {body['username']}"}, status=201)
        parts = request.path.split("/")
        version, name = parts[2], "/".join((parts[4], parts[6]))
        run = self.runs.get(name)
        if run is None:
            return web.json_response({"detail": "DAGRun not found"}, status=404)
        known = {"look": set(), "note": {"note"}, "stop": {"state", "note"} if version == "v2" else {"state"}}[kind]
        if set(body) - known or len(body.get("note") or "") > 1_000 or body.get("state", "failed") != "failed":
            return web.json_response({"detail": "extra inputs"}, status=422)
        run.update(body)
        return web.json_response(run)


class MlflowServer(Orchestrator):
    """MLflow: what its tracking server answers to the requests of a hook; a real one is tried elsewhere."""

    def begin(self, run: str, pipeline: str) -> None:  # noqa: ARG002
        info = {"run_id": run, "status": "RUNNING"}
        self.runs[run] = {"info": info, "data": {"tags": []}}

    def end(self, run: str, pipeline: str, state: str) -> None:
        if not self.is_stopped(run, pipeline):
            self.runs[run]["info"]["status"] = {"COMPLETE": "FINISHED"}.get(state, state)

    def is_stopped(self, run: str, pipeline: str) -> bool:  # noqa: ARG002
        return run in self.runs and self.runs[run]["info"]["status"] == "KILLED"

    async def stopped_by(self, request: web.Request) -> str | None:
        return (await request.json())["run_id"] if request.path.endswith("/update") else None

    def kind(self, request: web.Request) -> str:
        return request.path.rpartition("/")[2]

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:
        body = await request.json() if request.method == "POST" else {}
        run = self.runs.get(str(body.get("run_id") or request.query.get("run_id")))
        if run is None:
            return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404)
        if kind == "set-tag":
            run["data"]["tags"].append({"key": body["key"], "value": body["value"]})
        elif kind == "update":
            run["info"]["status"] = body["status"]
        return web.json_response({"run": run} if kind == "get" else {})


class StopReceiver(Orchestrator):
    """The receiver of a webhook that stops runs."""

    def begin(self, run: str, pipeline: str) -> None:
        self.runs[run] = {"pipeline": pipeline, "stopped": False}

    def end(self, run: str, pipeline: str, state: str) -> None:
        """It knows of no ends."""

    def is_stopped(self, run: str, pipeline: str) -> bool:  # noqa: ARG002
        return run in self.runs and self.runs[run]["stopped"]

    async def stopped_by(self, request: web.Request) -> str | None:
        return str((await request.json())["data"]["run"])

    def kind(self, request: web.Request) -> str:  # noqa: ARG002
        return "stop"

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:  # noqa: ARG002
        data = (await request.json())["data"]
        run = self.runs[data["run"]]
        run["stopped"] = run["stopped"] or run["pipeline"] == data["pipeline"]
        return web.Response(status=204)
