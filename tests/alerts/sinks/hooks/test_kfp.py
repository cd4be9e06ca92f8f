"""Kubeflow Pipelines is spoken to as its own client does, and a run is known there by its id alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import kfp_server_api as kfp
import pytest
from aiohttp import web

from tests.alerts.sinks.hooks.hooks import RUN, Around, due, sending
from tests.alerts.sinks.hooks.orchestrators import KfpServer
from tests.alerts.sinks.servers import serving


def at_kfp(**run: Any) -> KfpServer:
    """A server with one run."""
    server = KfpServer()
    server.add(RUN, **run)
    return server


def test_the_requests_are_those_of_the_client_of_kubeflow_pipelines() -> None:
    """Method, path and body, as its package makes them; and it reads the answers of the server of these tests."""
    server = at_kfp()

    def drive(url: str) -> list[Any]:
        runs = kfp.RunServiceApi(kfp.ApiClient(kfp.Configuration(host=url)))
        before = runs.run_service_get_run(RUN)
        runs.run_service_terminate_run(RUN)
        return [before, runs.run_service_get_run(RUN)]

    async def body() -> list[Any]:
        async with serving(server.handle) as url:
            return await asyncio.to_thread(drive, url)

    read = asyncio.run(body())
    by_client = [(method, path) for method, path, _ in server.requests]
    assert [each.state for each in read] == ["RUNNING", "CANCELING"]
    assert {each.run_id for each in read} == {RUN}
    assert set(server.runs[RUN]) <= set(kfp.V2beta1Run.attribute_map.values())
    assert set(server.ACTIVE) < set(kfp.V2beta1RuntimeState.allowable_values)

    ours = at_kfp()
    sending(ours, Around(), {"kind": "kfp"})

    assert [(method, path) for method, path, _ in ours.requests[1:]] == by_client
    assert {content for _, _, content in ours.requests} == {None}


def test_every_state_of_kubeflow_pipelines_is_known() -> None:
    """In each of them the run is stopped, reported or left alone."""
    for state in kfp.V2beta1RuntimeState.allowable_values:
        result = sending(at_kfp(state=state), Around(), {"kind": "kfp"})[-1]
        assert result.succeeded == (state in KfpServer.ACTIVE), state
        assert result.dropped == (not result.succeeded)


@pytest.mark.parametrize(
    ("given", "sink", "reason"),
    [
        ({"run": "nightly-x7f2p"}, {}, "no id of a run of Kubeflow Pipelines 2"),
        ({"run": "../../pipelines/1"}, {}, "no id of a run"),
        ({"run": f"{RUN}:archive"}, {}, "no id of a run"),
        ({"run": None}, {}, "in no run"),
        ({}, {"run_label": "kfp_run"}, "no label 'kfp_run'"),
        ({"labels": {"kfp_run": "7"}}, {"run_label": "kfp_run"}, "label 'kfp_run' is '7'"),
    ],
)
def test_a_run_whose_id_is_not_known_is_not_looked_for(
    given: dict[str, Any], sink: dict[str, Any], reason: str
) -> None:
    """The log says why, and what to do."""
    server = at_kfp()

    result = sending(server, Around(), {"kind": "kfp", **sink}, due(**given))[-1]

    assert result.dropped
    assert reason in result.reason
    assert server.requests == []


def test_a_label_may_have_the_id_of_the_run() -> None:
    """As with version 1, whose store has the name of the workflow as the run."""
    record = due(run="nightly-x7f2p", labels={"kfp_run": RUN.upper()})

    assert sending(at_kfp(), Around(), {"kind": "kfp", "run_label": "kfp_run"}, record)[-1].succeeded


def test_a_run_of_another_pipeline_is_left_alone() -> None:
    """Whatever an event says of it: the orchestrator knows better."""
    server, around = at_kfp(pipeline="billing"), Around()

    result = sending(server, around, {"kind": "kfp"})[-1]

    assert result.dropped
    assert "is of pipeline billing, not p" in result.reason
    assert server.stops() == []


def test_headers_of_the_sink_are_sent_to_its_path() -> None:
    """Where a gateway before the API wants them."""
    server = at_kfp()
    seen: list[str] = []

    async def below(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=500)

    server.faults["look"] = [below]
    sink = {"kind": "kfp", "headers": {"Authorization": "Bearer a-secret-token"}}
    sending(server, Around(), sink, replace(due()))

    assert server.authorization == ["Bearer a-secret-token"]
    assert seen == [f"/apis/v2beta1/runs/{RUN}"]
