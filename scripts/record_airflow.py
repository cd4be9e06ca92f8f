"""Records what a real Airflow sends while it runs the DAGs of `scripts/recorded/dags/training.py`.

    .venv/bin/python scripts/record_airflow.py

Installs Airflow into an environment of its own (some 300 MB), runs its API server, DAG processor and scheduler with two
processes for tasks, and writes `tests/recordings/airflow/`. It takes some five minutes.
"""

from __future__ import annotations

from airflow_runner import Airflow
from recording import Receiver, record, report

PACKAGES = ("apache-airflow==3.3.2", "apache-airflow-providers-openlineage==2.20.3")

#: Recording -> its runs: (DAG, run, configuration, whether it is cleared after it has failed).
RECORDINGS = {
    "training": [
        ("fraud_training", "deployed", {}, False),
        ("fraud_training", "not_deployed", {"deploy": "no"}, False),
    ],
    "skipped": [("fraud_training", "skipped", {"deploy": "skip"}, False)],
    "retried": [("churn_training", "retried", {}, False)],
    "dotted": [("team.fraud.v2", "fraud", {}, False), ("team.churn", "churn", {"deploy": "no"}, False)],
    "mapped": [("ranking_search", "search", {}, False)],
    "cleared": [("ltv_training", "cleared", {}, True)],
    "grouped": [("grouped_training", "grouped", {}, False)],
    "triggered": [("nightly", "nightly", {}, False)],
}


def main() -> None:
    """Runs the DAGs and writes the recordings."""
    receiver = Receiver()
    with Airflow("airflow", PACKAGES, receiver.url) as airflow:
        for name, runs in RECORDINGS.items():
            events = []
            for dag, run, parameters, is_cleared in runs:
                report(f"{name}: {dag}, run {run}")
                airflow.trigger(dag, run, parameters)
                events += receiver.take(lambda came, dag=dag: ended(came, dag))
                if is_cleared:
                    airflow.clear(dag)
                    events += receiver.take(lambda came, dag=dag: ended(came, dag))
            record(f"airflow/{name}", events, airflow.places)


def ended(events: list[dict], dag: str) -> bool:
    """Whether the run of the DAG itself has ended."""
    return any(each["job"]["name"] == dag and each["eventType"] in ("COMPLETE", "FAIL") for each in events)


if __name__ == "__main__":
    main()
