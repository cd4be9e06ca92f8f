"""By which ids Airflow knows a run: a hook that stops it there needs them."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.core.properties import AIRFLOW_DAG, AIRFLOW_RUN
from stream_app.sources.openlineage import decode
from tests.sources.openlineage_events import message, run_event
from tests.support.recordings import recording

#: Recording -> ids of its DAGs and their runs, as `scripts/record_airflow.py` has named them.
RUNS = {
    "training": {("fraud_training", "deployed"), ("fraud_training", "not_deployed")},
    "dotted": {("team.fraud.v2", "fraud"), ("team.churn", "churn")},
    "mapped": {("ranking_search", "search")},
    "cleared": {("ltv_training", "cleared")},
    "grouped": {("grouped_training", "grouped")},
}


@pytest.mark.parametrize("name", RUNS)
def test_the_execution_of_a_run_has_its_ids(name: str) -> None:
    """In what a real Airflow sends: of each run its own, and of its tasks none."""
    events = [each for each in map(decode, recording(f"airflow/{name}").lines) if each is not None]
    found = {
        (each.properties[AIRFLOW_DAG], each.properties[AIRFLOW_RUN])
        for each in events
        if AIRFLOW_RUN in each.properties
    }
    runs = {each.run for each in events}

    assert found == RUNS[name]
    assert {each.execution_id for each in events if AIRFLOW_RUN in each.properties} == runs
    assert all(each.execution_id == each.run for each in events if AIRFLOW_RUN in each.properties)


@pytest.mark.parametrize(
    "facet",
    [
        {}, {"dag": 7, "dagRun": []}, {"dag": {"dag_id": 7}, "dagRun": {"run_id": None}},
        {"dag": {"dag_id": ""}, "dagRun": {"run_id": ""}}, {"dagRun": {"run_id": {"x": 1}}},
    ],
)  # fmt: skip
def test_what_is_no_id_costs_nothing(facet: dict[str, Any]) -> None:
    """The event stays."""
    event = decode(message(run_event("START", "team.fraud", "r1", run_facets={"airflowDagRun": facet})))

    assert event is not None
    assert not {AIRFLOW_DAG, AIRFLOW_RUN} & event.properties.keys()


def test_ids_are_bounded() -> None:
    """As all that is foreign."""
    facet = {"dag": {"dag_id": "a"}, "dagRun": {"run_id": "x" * 10_000}}
    event = decode(message(run_event("START", "team.fraud", "r1", run_facets={"airflowDagRun": facet})))

    assert event is not None
    assert len(str(event.properties[AIRFLOW_RUN])) == 1_024
