"""Kubeflow Pipelines: terminates a run.

References
----------
https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.hook_sinks import KfpSink
from stream_app.alerts.sinks.hooks.target import Orchestrator, Phase, Place, Seen, Stop, accepted
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.sink import Result, cleaned

_RUNS = "/apis/v2beta1/runs"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_PHASES = {
    "RUNTIME_STATE_UNSPECIFIED": Phase.ACTIVE,
    "PENDING": Phase.ACTIVE,
    "RUNNING": Phase.ACTIVE,
    "PAUSED": Phase.ACTIVE,
    "CANCELING": Phase.STOPPED,
    "CANCELED": Phase.STOPPED,
    "SUCCEEDED": Phase.ENDED,
    "SKIPPED": Phase.ENDED,
    "FAILED": Phase.ENDED,
}


class Kfp(Orchestrator):
    """The API of Kubeflow Pipelines; see `Target`.

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

    name = "Kubeflow Pipelines"
    #: A run has nothing that a stop could write to.
    keeps_mark = False

    def __init__(self, http: HttpClient, sink: KfpSink, headers: Mapping[str, str], now: Callable[[], float]) -> None:
        super().__init__(http, sink.url, headers, now)
        self._label = sink.run_label

    def find(self, record: FlagRecord) -> Place | str:
        """The run of the flag, or the label of the settings, is the id; see `Target.find`."""
        if self._label is not None:
            found = record.labels.get(self._label)
            if found is None:
                return f"the run has no label {self._label!r}: write the id of the run into this property of the run"
        elif record.run is None:
            return "the training is in no run: Kubeflow Pipelines stops runs alone"
        else:
            found = record.run
        if not _UUID.match(found.lower()):
            what = f"label {self._label!r}" if self._label is not None else "run"
            return (
                f"the {what} is {found[:100]!r}, which is no id of a run of Kubeflow Pipelines 2: name the label that "
                "has it with run_label"
            )
        return Place(found.lower())

    async def look(self, place: Place) -> Seen | Result:
        """See `Target.look`."""
        found = await self._api.call(self._now(), "GET", f"{_RUNS}/{place.run}")
        if isinstance(found, Result):
            return found
        status, run = found
        if status == 404:
            return Seen(Phase.MISSING)
        if str(run.get("run_id", "")).lower() != place.run:
            about = cleaned(str(run.get("run_id")).encode())
            return Result(f"asked for run {place.run}, and the answer is about {about}")
        state = str(run.get("state") or "RUNTIME_STATE_UNSPECIFIED")
        if state not in _PHASES:
            return Result(f"the state {cleaned(state.encode())} of run {place.run} is not known")
        return Seen(_PHASES[state], state, pipeline=_pipeline(run))

    async def stop(self, place: Place, stop: Stop) -> Result:  # noqa: ARG002
        """Terminates the run; see `Target.stop`."""
        return accepted(place.run, await self._api.call(self._now(), "POST", f"{_RUNS}/{place.run}:terminate"))


def _pipeline(run: Mapping[str, Any]) -> str:
    """The name of the pipeline in the specification of a run; "" where the answer has none."""
    spec = run.get("pipeline_spec")
    inner = spec.get("pipeline_spec", spec) if isinstance(spec, dict) else None
    info = inner.get("pipelineInfo") if isinstance(inner, dict) else None
    return str(info.get("name", "")) if isinstance(info, dict) else ""
