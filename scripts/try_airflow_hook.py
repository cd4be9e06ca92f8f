"""Tries the action hook of Airflow on a real Airflow: it stops a run that runs, and leaves one alone that has ended.

    .venv/bin/python scripts/try_airflow_hook.py

The ids of the run come from the OpenLineage events that this Airflow sends. Installs Airflow into an environment of its
own, that of `scripts/record_airflow.py`, and takes some three minutes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import replace
from urllib.request import Request, urlopen

from airflow_runner import Airflow
from record_airflow import PACKAGES, ended
from recording import WORK, Receiver, report

from stream_app.alerts.examples import example_record
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.registered import register
from stream_app.alerts.sinks.hooks.making import Stopping
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.subscriptions import make_subscription
from stream_app.alerts.texts import Texts
from stream_app.core.events import Event
from stream_app.core.properties import AIRFLOW_DAG, AIRFLOW_RUN
from stream_app.sources.openlineage import decode

DAG = "fraud_training"
LOGIN = {"username": "stream-app", "password": secrets.token_urlsafe(16)}


class Allowing:
    """A gate that lets every run be stopped."""

    async def refusal(self, _: FlagRecord) -> str:
        """Nothing."""
        return ""


def main() -> None:
    """Starts Airflow, stops one run, and tries to stop another that has ended."""
    passwords = WORK / "passwords.json"
    passwords.parent.mkdir(parents=True, exist_ok=True)
    passwords.write_text(json.dumps({LOGIN["username"]: LOGIN["password"]}))
    variables = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN['username']}:op",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    receiver = Receiver()
    with Airflow("airflow", PACKAGES, receiver.url, variables) as airflow:
        url = f"http://127.0.0.1:{airflow.port}"
        airflow.trigger(DAG, "whole", {})
        flagged = flag_of(receiver.take(lambda came: ended(came, DAG)), "whole")
        result, written = stop(url, flagged)
        assert result.dropped, result
        assert "had ended already (success)" in result.reason, result
        assert written == []

        airflow.trigger(DAG, "stopped", {})
        flagged = flag_of(receiver.take(lambda came: started(came, "stopped")), "stopped")
        result, written = stop(url, flagged)
        assert result.succeeded, result
        assert {each.state for each in written} == {"CANCELED"}
        again, repeated = stop(url, flagged)
        assert again.succeeded, again
        assert [replace(each, time_ms=0) for each in repeated] == [replace(each, time_ms=0) for each in written]

        run = look(url, "stopped")
        assert run["state"] == "failed", run
        assert f"[stream_app.pruned_by={flagged.graphlets[0].verdict}]" in run["note"], run
        later = receiver.take(lambda came: ended(came, DAG))
        assert [each["eventType"] for each in later if each["job"]["name"] == DAG][-1] == "FAIL"
    report(f"Airflow has stopped the run: {result.note}")


def started(events: list[dict], run: str) -> bool:
    """Whether the run has begun."""
    return any(f'"run_id": "{run}"' in json.dumps(each) and each["job"]["name"] == DAG for each in events)


def flag_of(events: list[dict], run: str) -> FlagRecord:
    """The record of a flag of a run, with the labels that its events give it."""
    decoded = [each for event in events if (each := decode(json.dumps(event).encode())) is not None]
    (found,) = [each for each in decoded if each.properties.get(AIRFLOW_RUN) == run][:1]
    labels = {name: str(found.properties[name]) for name in (AIRFLOW_DAG, AIRFLOW_RUN)}
    made = example_record(round(time.time() * 1000))
    return replace(made, change=Change.DUE, pipeline=found.pipeline, run=found.run, labels=labels, mode="enforce")


def stop(url: str, record: FlagRecord) -> tuple[Result, list[Event]]:
    """Has a hook make one attempt; returns what became of it, and the events that it wrote."""
    written: list[Event] = []

    async def write(events: list[Event]) -> None:
        written.extend(events)

    async def attempt() -> Result:
        sink = {"kind": "airflow", "url": url, "pipelines": ["*"], "dry_run": False, **LOGIN}
        made = make_subscription({"id": "hook", "name": "n", "owner": "ann", "sink": sink})
        async with HttpClient(AddressGuard(["127.0.0.0/8"])) as http:
            make = SinkMaker(http, stopping=Stopping(Allowing(), write))  # type: ignore[arg-type]
            message = Outgoing(f"{record.id}@hook", (record,), Texts().of([record]), {})
            return await make(register(made, record.time_ms)).send(message)

    return asyncio.run(attempt()), written


def look(url: str, run: str) -> dict:
    """The run as Airflow has it."""
    login = Request(f"{url}/auth/token", json.dumps(LOGIN).encode(), {"Content-Type": "application/json"})
    with urlopen(login, timeout=20) as response:
        token = json.load(response)["access_token"]
    asked = Request(f"{url}/api/v2/dags/{DAG}/dagRuns/{run}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(asked, timeout=20) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
