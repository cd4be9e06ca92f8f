"""A hook stops a run only where it may, and reports only what it has stopped; at each kind of orchestrator alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from stream_app.alerts.flags import Change, FlagRecord
from tests.alerts.records import NOW, finding
from tests.alerts.sinks.hooks.hooks import RUN, Around, due, sending
from tests.alerts.sinks.hooks.orchestrators import AirflowServer, KfpServer, Orchestrator, hang, status

AT_AIRFLOW = "scheduled__2026-11-25T00:00:00+00:00"
LABELS = {"airflow_dag_id": "p", "airflow_run_id": AT_AIRFLOW}
#: Kinds of orchestrators: the sink, the states of a run that runs, is stopped, and has ended.
KINDS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "kfp": ({"kind": "kfp"}, "RUNNING", "CANCELING", "SUCCEEDED"),
    "airflow v2": ({"kind": "airflow"}, "running", "failed", "success"),
    "airflow v1": ({"kind": "airflow", "api": "v1"}, "running", "failed", "success"),
}


class At:
    """An orchestrator with one run, and a hook that stops it."""

    def __init__(self, kind: str) -> None:
        self.sink, self.running, self.stopped, self.ended = KINDS[kind]
        self.server: Orchestrator = KfpServer() if kind == "kfp" else AirflowServer()
        self.server.add(RUN if kind == "kfp" else AT_AIRFLOW)  # type: ignore[attr-defined]
        (self.run,) = self.server.runs.values()
        self.around = Around()
        self.due = due(labels=LABELS)

    def send(self, record: FlagRecord | None = None, **sink: Any) -> list[Any]:
        """Has the hook try its message until it is settled or has failed."""
        return sending(self.server, self.around, {**self.sink, **sink}, record or self.due)


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest) -> At:
    """An orchestrator of each kind."""
    return At(request.param)


def test_a_run_is_stopped_and_reported_as_pruned(at: At) -> None:
    """Once the orchestrator confirms it: the flagged training and the run, with the verdict and the hook."""
    result = at.send()[-1]

    assert result.succeeded
    assert "stopped run" in result.note
    assert at.run["state"] == at.stopped
    training, run = at.around.events
    assert (training.execution_id, training.execution_type) == ("t", "Trainer")
    assert (run.execution_id, run.execution_type) == (at.due.run, "PipelineRun")
    for each in (training, run):
        assert (each.pipeline, each.run, each.state) == ("p", at.due.run, "CANCELED")
        assert each.properties == {"pruned_by": "p/t#1", "by": "hook"}


def test_while_no_training_is_known_the_run_itself_is_pruned(at: At) -> None:
    """Its flag is provisional: the execution is that of the run."""
    flagged = replace(at.due.graphlets[0], trainer=None, graphlet=at.due.flag, verdict=f"{at.due.flag}#1")

    assert at.send(replace(at.due, graphlets=(flagged,)))[-1].succeeded

    (event,) = at.around.events
    assert (event.execution_id, event.execution_type, event.state) == (at.due.run, "PipelineRun", "CANCELED")
    assert event.properties["pruned_by"] == flagged.verdict


def test_each_flagged_training_is_pruned_for_its_own_verdict(at: At) -> None:
    """The run is stopped once."""
    first = at.due.graphlets[0]
    second = replace(first, trainer="t2", graphlet="p/t2", verdict="p/t2#4")

    assert at.send(replace(at.due, graphlets=(first, second)))[-1].succeeded

    assert {each.execution_id: each.properties["pruned_by"] for each in at.around.events} == {
        "t": "p/t#1",
        "t2": "p/t2#4",
        at.due.run: "p/t#1",
    }
    assert len([each for each in at.server.stops() if "setNote" not in each[1]]) == 1


def test_a_dry_run_says_what_it_would_stop_and_stops_nothing(at: At) -> None:
    """Which is the default: the run is looked at, and nothing is written."""
    result = at.send(dry_run=True)[-1]

    assert result.dropped
    assert result.reason.startswith("dry run: would stop run")
    assert "p/t#1" in result.reason
    assert (at.server.stops(), at.around.events) == ([], [])


@pytest.mark.parametrize("times", [0, 1])
def test_a_run_that_must_not_be_stopped_goes_on(at: At, times: int) -> None:
    """The gate is asked in the last moment too, and its reason ends the message."""
    at.around.refusals = [""] * times + ["somebody keeps it"] * 9

    result = at.send()[-1]

    assert (result.dropped, result.reason) == (True, "somebody keeps it")
    assert (at.run["state"], at.server.stops(), at.around.events) == (at.running, [], [])


def test_within_exempt_hours_the_message_waits_for_their_end(at: At) -> None:
    """It is no failure, and nothing is sent before."""
    at.around.now_ms = NOW - NOW % 86_400_000 + 3_600_000  # 01:00 UTC
    at.around.refusals = ["within exempt hours"]
    flagged = replace(at.due.graphlets[0], exempt_hours="22:00-06:00 UTC")

    (result,) = at.send(replace(at.due, graphlets=(flagged,)))

    assert (result.again_after, result.dropped, result.succeeded) == (5 * 3_600.0, False, False)
    assert at.server.stops() == []


@pytest.mark.parametrize("change", [each for each in Change if each is not Change.DUE])
def test_a_hook_acts_on_what_is_due_alone(at: At, change: Change) -> None:
    """Whatever else reaches it is dropped, and the orchestrator is not even asked."""
    result = at.send(replace(at.due, change=change))[-1]

    assert result.dropped
    assert (at.server.requests, at.around.events) == ([], [])


def test_findings_and_digests_stop_nothing(at: At) -> None:
    """A message of several flags names none alone."""
    for records in ((finding(),), (at.due, replace(at.due, flag="p/run:other"))):
        assert sending(at.server, at.around, at.sink, *records)[-1].dropped  # type: ignore[arg-type]
    assert at.server.requests == []


@pytest.mark.parametrize("pipelines", [["q"], ["q*", "pp"], ["P"], ["p/*"]])
def test_a_hook_acts_on_its_pipelines_alone(at: At, pipelines: list[str]) -> None:
    """Whichever flags its filter lets through."""
    result = at.send(pipelines=pipelines)[-1]

    assert result.dropped
    assert "may not act on pipeline p" in result.reason
    assert at.server.requests == []


def test_a_flag_that_names_nothing_is_left_alone(at: At) -> None:
    """There is no verdict to stop a run for."""
    assert at.send(replace(at.due, graphlets=()))[-1].dropped
    assert at.server.requests == []


def test_a_run_that_had_ended_is_not_reported(at: At) -> None:
    """It was not this hook that ended it."""
    at.run["state"] = at.ended

    result = at.send()[-1]

    assert result.dropped
    assert f"had ended already ({at.ended})" in result.reason
    assert (at.server.stops(), at.around.events) == ([], [])


def test_a_run_that_somebody_else_stopped_is_not_reported(at: At) -> None:
    """A person may stop a flagged run, too."""
    at.run["state"] = at.stopped

    result = at.send()[-1]

    assert result.dropped
    assert "somebody else has stopped" in result.reason
    assert (at.server.stops(), at.around.events) == ([], [])


def test_a_run_that_the_orchestrator_does_not_know_says_what_to_check(at: At) -> None:
    """The URL may be that of another one."""
    at.server.runs.clear()

    result = at.send()[-1]

    assert result.dropped
    assert "check the URL" in result.reason


def test_where_the_stop_is_known_and_not_stored_the_next_attempt_stores_it(at: At) -> None:
    """As where the process ends in between: the run is found stopped, and is not stopped again; nobody is asked."""
    at.around.broken = "the disk is full"
    results = at.send()
    assert "is stopped, and that cannot be stored: the disk is full" in results[-1].reason
    assert not results[-1].dropped
    stops = len(at.server.stops())

    at.around.broken = ""
    at.around.refusals = ["the flag is withdrawn"] * 9
    again = again_after(at, results)

    assert again.succeeded
    assert len(at.server.stops()) == stops
    assert [each.execution_id for each in at.around.events] == ["t", at.due.run]


def again_after(at: At, results: list[Any]) -> Any:
    """One more attempt of the message, with what the sink has kept so far."""
    kept = {name: value for each in results for name, value in (each.thread or {}).items()}
    return sending(at.server, at.around, at.sink, at.due, thread=kept)[-1]


def test_a_message_that_is_sent_again_by_hand_stops_nothing_twice(at: At) -> None:
    """The run is found stopped, and the same is reported once more."""
    first = at.send()
    before = [replace(each, time_ms=0) for each in at.around.events]
    stops = at.server.stops()
    at.around.events.clear()

    assert again_after(at, first).succeeded
    assert at.server.stops() == stops
    assert [replace(each, time_ms=0) for each in at.around.events] == before


def test_a_message_that_is_sent_again_by_hand_asks_the_gate(at: At) -> None:
    """The run runs still, and its flag is not open any more."""
    at.around.refusals = ["there is no open flag"]

    assert at.send()[-1].dropped
    assert at.server.stops() == []


ANSWERS = {
    "a time-out": (hang, "no answer within"),
    "401": (status(401), "HTTP 401"),
    "403": (status(403), "HTTP 403"),
    "409": (status(409), "HTTP 409"),
    "429": (status(429, headers={"Retry-After": "60"}), "HTTP 429"),
    "500": (status(500), "HTTP 500"),
    "503": (status(503), "HTTP 503"),
    "a redirect": (status(302, headers={"Location": "/login"}), "redirects are not followed"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("step", ["look", "stop"])
def test_a_fault_is_a_failure_and_the_next_attempt_succeeds(at: At, step: str, name: str) -> None:
    """Nothing is reported after the first, and the run is stopped by the second."""
    fault, reason = ANSWERS[name]
    at.server.faults[step] = [fault]

    results = sending(at.server, at.around, at.sink, at.due, timeout_seconds=0.5)
    assert reason in results[-1].reason
    assert not results[-1].dropped
    assert results[-1].retry_after == (60.0 if name == "429" else None)
    assert at.around.events == []

    assert again_after(at, results).succeeded
    assert len(at.around.events) == 2


OTHER = '{"run_id": "other", "dag_id": "p", "dag_run_id": "other", "state": "FAILED"}'
LIES = {"no JSON": "<html>Sign in</html>", "a list": "[]", "no run": "{}", "another run": OTHER, "no state known": ""}


@pytest.mark.parametrize("name", LIES)
def test_an_answer_that_is_none_stops_and_reports_nothing(at: At, name: str) -> None:
    """What the answer means is not guessed."""

    async def lie(_: web.Request) -> web.StreamResponse:
        return web.Response(text=LIES[name] or json.dumps({**at.run, "state": "VANISHED"}))

    at.server.faults["look"] = [lie]
    result = at.send()[0]

    assert not result.succeeded
    assert not result.dropped
    assert (at.server.stops(), at.around.events) == ([], [])


def test_a_stop_that_is_accepted_and_never_confirmed_is_no_prune(at: At) -> None:
    """It says 200 and changes nothing: each attempt fails, and nothing is reported."""
    at.server.faults["stop"] = [status(200, at.run)] * 3

    results = at.send()
    for _ in range(2):
        assert "not confirmed" in results[-1].reason
        results.append(again_after(at, results))

    assert "not confirmed" in results[-1].reason
    assert at.around.events == []
    assert at.run["state"] == at.running


def test_a_stop_that_worked_although_it_was_answered_with_an_error_is_reported_by_the_next_attempt(at: At) -> None:
    """The answer was lost on the way; the run bears what tells that it was this hook."""

    async def lost(request: web.Request) -> web.StreamResponse:
        await at.server.answer(request, "stop")
        return web.Response(status=502)

    at.server.faults["stop"] = [lost]
    results = at.send()
    assert "HTTP 502" in results[-1].reason
    stops = len(at.server.stops())

    assert again_after(at, results).succeeded
    assert len(at.server.stops()) == stops
    assert len(at.around.events) == 2


def test_a_run_that_ends_while_it_is_being_stopped_is_not_reported(at: At) -> None:
    """It succeeded just before: its model may be pushed."""

    async def ends(_: web.Request) -> web.StreamResponse:
        at.run["state"] = at.ended
        return web.Response(status=409)

    at.server.faults["stop"] = [ends]
    results = at.send()
    assert not results[-1].succeeded

    assert "had ended already" in again_after(at, results).reason
    assert at.around.events == []
