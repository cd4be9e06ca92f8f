"""MLflow: runs of a real tracking server are ended as KILLED, with the tag that names the verdict."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from mlflow import MlflowClient

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.registered import register
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.subscriptions import make_subscription
from tests.alerts.records import NOW
from tests.alerts.sinks.hooks.hooks import Around, due, sending
from tests.alerts.sinks.servers import client, outgoing

TAG = "stream_app.pruned_by"


class Tracking:
    """The tracking server, and runs of one experiment there."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.client = MlflowClient(url, url)
        self.experiment = str(self.client.create_experiment(name))
        self.around = Around()

    def run(self, parent: str | None = None) -> str:
        """Starts a run."""
        tags = {"mlflow.parentRunId": parent} if parent is not None else {}
        return str(self.client.create_run(self.experiment, tags=tags).info.run_id)

    def status(self, run: str) -> tuple[str, str | None]:
        """The status of a run, and its tag."""
        found = self.client.get_run(run)
        return found.info.status, found.data.tags.get(TAG)

    def send(self, record: FlagRecord, **sink: Any) -> Result:
        """Makes one attempt."""

        async def body() -> Result:
            given = {"kind": "mlflow", "url": self.url, "pipelines": ["p"], "dry_run": False, **sink}
            made = make_subscription({"id": "hook", "name": "n", "owner": "ann", "sink": given})
            async with client() as http:
                make = SinkMaker(http, now=lambda: self.around.now_ms / 1000, stopping=self.around.stopping())
                return await make(register(made, NOW)).send(outgoing(record))

        return asyncio.run(body())


@pytest.fixture
def tracking(mlflow_url: str, request: pytest.FixtureRequest) -> Tracking:
    """A real tracking server, with an experiment for this test alone."""
    return Tracking(mlflow_url, f"hooks {request.node.name}")


def flagged(run: str | None, *trainers: str) -> FlagRecord:
    """The record of a flag of a run and its trainings."""
    first = due().graphlets[0]
    graphlets = [replace(first, trainer=each, verdict=f"p/{each}#1") for each in trainers]
    return due(run=run, graphlets=tuple(graphlets or [replace(first, trainer=None, verdict=f"p/run:{run}#1")]))


def test_a_training_is_killed_and_tagged(tracking: Tracking) -> None:
    """One that is in no run of others."""
    run = tracking.run()

    assert tracking.send(flagged(None, run)).succeeded

    assert tracking.status(run) == ("KILLED", f"p/{run}#1")
    assert tracking.client.get_run(run).info.end_time == tracking.around.now_ms
    assert [(each.execution_id, each.run) for each in tracking.around.events] == [(run, None)]


def test_a_run_is_ended_with_its_flagged_trainings_and_no_other(tracking: Tracking) -> None:
    """A training that had ended keeps its end, and so does one that is not flagged."""
    parent = tracking.run()
    running, ended, other = (tracking.run(parent) for _ in range(3))
    tracking.client.set_terminated(ended, "FINISHED")

    assert tracking.send(flagged(parent, running, ended)).succeeded

    assert [tracking.status(each)[0] for each in (parent, running, ended, other)] == [
        "KILLED", "KILLED", "FINISHED", "RUNNING",
    ]  # fmt: skip


def test_while_no_training_is_known_the_run_alone_is_ended(tracking: Tracking) -> None:
    """Its event is that of the run."""
    parent = tracking.run()

    assert tracking.send(flagged(parent)).succeeded

    assert tracking.status(parent) == ("KILLED", f"p/run:{parent}#1")
    assert [(each.execution_id, each.execution_type) for each in tracking.around.events] == [(parent, "PipelineRun")]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_that_had_ended_keeps_its_end(tracking: Tracking, status: str) -> None:
    """Also one that somebody has killed, without the tag."""
    run = tracking.run()
    tracking.client.set_terminated(run, status)

    assert tracking.send(flagged(None, run)).dropped

    assert tracking.status(run) == (status, None)
    assert tracking.around.events == []


def test_a_run_that_was_killed_and_not_reported_is_reported_by_the_next_attempt(tracking: Tracking) -> None:
    """The tag tells whose stop it was."""
    run = tracking.run()
    tracking.around.broken = "the disk is full"
    assert "the disk is full" in tracking.send(flagged(None, run)).reason
    assert tracking.status(run)[0] == "KILLED"

    tracking.around.broken = ""
    assert tracking.send(flagged(None, run)).succeeded
    assert len(tracking.around.events) == 1


def test_a_dry_run_and_a_refusal_change_nothing(tracking: Tracking) -> None:
    """Neither status nor tag."""
    run = tracking.run()
    assert "dry run" in tracking.send(flagged(None, run), dry_run=True).reason
    tracking.around.refusals = ["no"]
    assert tracking.send(flagged(None, run)).reason == "no"

    assert tracking.status(run) == ("RUNNING", None)


@pytest.mark.parametrize("run", ["0" * 32, "nobody"])
def test_a_run_that_the_server_does_not_know_is_dropped(tracking: Tracking, run: str) -> None:
    """With what to check."""
    result = tracking.send(flagged(None, run))

    assert result.dropped
    assert "check the URL" in result.reason


@pytest.mark.parametrize("trainer", ["a/b", "..", "x" * 65, "r1 train", "a?b=c", ""])
def test_what_is_no_id_of_a_run_of_mlflow_is_not_asked_for(tracking: Tracking, trainer: str) -> None:
    """Events of another source are of the same pipeline, perhaps."""
    assert "no id of a run of MLflow" in tracking.send(flagged(None, trainer)).reason


def test_another_server_in_the_place_of_mlflow_is_a_failure() -> None:
    """A 404 of a page tells nothing of a run; nor does a server that answers another run."""

    class Other:
        """Answers each request with the same."""

        def __init__(self, status: int, text: str) -> None:
            self.status, self.text = status, text

        async def handle(self, _: web.Request) -> web.StreamResponse:
            return web.Response(status=self.status, text=self.text)

    for other, reason in (
        (Other(404, "not found"), "is this the address of a tracking server?"),
        (Other(200, '{"run": {"info": {"run_id": "x", "status": "KILLED"}}}'), "about another one"),
        (Other(200, '{"run": {"info": {"run_id": "t", "status": "LOST"}}}'), "is not known"),
        (Other(200, '{"run": 7}'), "about another one"),
    ):
        around = Around()
        result = sending(other, around, {"kind": "mlflow"}, due(run=None))[-1]
        assert reason in result.reason
        assert not result.dropped
        assert around.events == []
