"""Airflow: which run of which DAG is meant, how it is logged in to, and what the note says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.alerts.sinks.hooks.hooks import Around, due, sending
from tests.alerts.sinks.hooks.orchestrators import AirflowServer, status


def at_airflow(run: str = "run-1", dag: str = "ads") -> AirflowServer:
    """A server with one run."""
    server = AirflowServer()
    server.add(run, dag=dag)
    return server


def labels(dag: str = "ads", run: str = "run-1") -> dict[str, str]:
    """As the events of Airflow have them."""
    return {"airflow_dag_id": dag, "airflow_run_id": run}


@pytest.mark.parametrize("pipeline", ["ads", "airflow/ads", "a/b/ads"])
def test_the_dag_is_that_of_the_pipeline(pipeline: str) -> None:
    """With or without the namespace of OpenLineage before it."""
    record = due(pipeline=pipeline, labels=labels())
    server = at_airflow()

    assert sending(server, Around(), {"kind": "airflow", "pipelines": ["*"]}, record)[-1].succeeded
    assert server.runs["ads/run-1"]["state"] == "failed"


@pytest.mark.parametrize("dag", ["billing", "xads", "ad", "ADS", "b.ads"])
def test_a_label_does_not_lead_to_the_runs_of_another_dag(dag: str) -> None:
    """A label is the word of whoever sends events of the pipeline."""
    server = at_airflow(dag=dag)

    result = sending(
        server, Around(), {"kind": "airflow", "pipelines": ["*"]}, due(pipeline="x/ads", labels=labels(dag))
    )

    assert result[-1].dropped
    assert "is not that of pipeline x/ads" in result[-1].reason
    assert server.requests == []


@pytest.mark.parametrize(("dags", "stops"), [(["ads-*"], True), (["ads"], False)])
def test_an_administrator_may_name_the_dags(dags: list[str], stops: bool) -> None:
    """Where rules give the pipeline another name."""
    server = at_airflow(dag="ads-eu")
    sink = {"kind": "airflow", "pipelines": ["*"], "dags": dags}

    result = sending(server, Around(), sink, due(pipeline="Ads", labels=labels("ads-eu")))[-1]

    assert result.succeeded == stops


@pytest.mark.parametrize(
    "given",
    [
        {}, {"airflow_dag_id": "p"}, labels("p", ""), labels("p", ".."), labels("p", "a/b"), labels("p", "a b"),
        labels("p", "x" * 251), labels("..", "1"), labels("p/../q", "1"), labels("p?x", "1"), labels("p", "a\\b"),
        labels("p", "a\x00b"),
    ],
)  # fmt: skip
def test_a_run_whose_ids_are_not_known_is_not_looked_for(given: dict[str, str]) -> None:
    """They are parts of a path; the log says why."""
    server = at_airflow()

    result = sending(server, Around(), {"kind": "airflow"}, due(labels=given))[-1]

    assert result.dropped
    assert "label" in result.reason or "no ids" in result.reason
    assert server.requests == []


@pytest.mark.parametrize("run", ["manual__2026-11-25T00:00:00+00:00", "a%2Fb", "run#1?x=y&z", "100%", "ü"])
def test_ids_are_quoted_in_paths(run: str) -> None:
    """The server finds the run by its id, whatever characters it has."""
    server = at_airflow(run, dag="p")

    assert sending(server, Around(), {"kind": "airflow"}, due(labels=labels("p", run)))[-1].succeeded
    assert server.runs[f"p/{run}"]["state"] == "failed"


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_the_note_says_why_and_is_never_too_long(api: str) -> None:
    """Verdict, probability and the page of the flag; what tells a stop of this hook is at its end, whole."""
    server = at_airflow(dag="p")
    flagged = replace(due().graphlets[0], verdict="p/" + "t" * 900 + "#12")

    assert sending(server, Around(), {"kind": "airflow", "api": api}, due(labels=labels("p"), graphlets=(flagged,)))[-1]

    note = server.runs["p/run-1"]["note"]
    assert len(note) <= 1_000
    assert note.startswith("Stopped by stream-app: 2.0 % likely")
    assert note.endswith(f"[stream_app.pruned_by={flagged.verdict}]")


def test_a_login_of_version_2_is_a_token_and_of_version_1_basic() -> None:
    """Airflow 3 takes no other."""
    login = {"kind": "airflow", "username": "ann", "password": "a-secret"}
    second, first = at_airflow(dag="p"), at_airflow(dag="p")

    sending(second, Around(), login, due(labels=labels("p")))
    sending(first, Around(), {**login, "api": "v1"}, due(labels=labels("p")))

    assert {each for each in second.authorization if each} == {"Bearer token of ann"}
    assert set(first.authorization) == {"Basic YW5uOmEtc2VjcmV0"}


@pytest.mark.parametrize(
    "answer", [status(401), status(404), status(201, {"token": "x"}), status(201, {"access_token": 7})]
)
def test_a_login_that_is_refused_is_a_failure_that_says_so(answer: Any) -> None:
    """And nothing is stopped."""
    server = at_airflow(dag="p")
    server.faults["login"] = [answer]
    sink = {"kind": "airflow", "username": "ann", "password": "a-secret"}

    result = sending(server, Around(), sink, due(labels=labels("p")))[-1]

    assert "gives no token for the login" in result.reason
    assert "a-secret" not in result.reason
    assert server.stops() == []


def test_where_only_the_note_of_version_1_was_written_the_next_attempt_stops_the_run() -> None:
    """The run runs on, so the note alone is no stop."""
    server, around = at_airflow(dag="p"), Around()
    server.faults["stop"] = [status(500)]
    sink, record = {"kind": "airflow", "api": "v1"}, due(labels=labels("p"))

    assert "HTTP 500" in sending(server, around, sink, record)[-1].reason
    assert (server.runs["p/run-1"]["state"], around.events) == ("running", [])

    assert sending(server, around, sink, record)[-1].succeeded
    assert len(around.events) == 2
