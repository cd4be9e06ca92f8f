"""Records what Airflow and Spark send while the tasks of a DAG submit Spark applications.

    .venv/bin/python scripts/record_spark.py

Needs Java 17. Installs Airflow and Spark into an environment of their own (some 1 GB) and writes
`tests/recordings/spark/`. Airflow hands the run of its task to Spark as it does for users
(`spark_inject_parent_job_info`). It takes some fifteen minutes.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from airflow_runner import Airflow
from record_airflow import PACKAGES, ended
from recording import ROOT, WORK, Receiver, record, report

#: Both of Spark's packages install the module pyspark: they have to be of one version.
SPARK = ("apache-airflow-providers-apache-spark==6.3.4", "pyspark==4.0.4", "pyspark-client==4.0.4", "numpy==2.4.6")
#: OpenLineage's listener, which Spark fetches itself.
LISTENER = "io.openlineage:openlineage-spark_2.13:1.53.0"
#: Recording -> what the run is given.
RECORDINGS = {
    "deployed": {},
    "failed": {"iterations": "-5"},
    "named_alike": {"trainer": "train_fraud_model", "publisher": "deploy_fraud_model"},
}


def main() -> None:
    """Runs the DAG and writes the recordings."""
    receiver, lake = Receiver(), make_lake()
    variables = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "scripts" / "recorded" / "spark_dags"),
        "AIRFLOW__OPENLINEAGE__SPARK_INJECT_PARENT_JOB_INFO": "True",
        "AIRFLOW__OPENLINEAGE__SPARK_INJECT_TRANSPORT_INFO": "True",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[1]"}),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "LISTENER": LISTENER,
        "IVY": str(WORK / "ivy"),
        "LAKE": str(lake),
    }
    with Airflow("spark", (*PACKAGES, *SPARK), receiver.url, variables) as airflow:
        for name, parameters in RECORDINGS.items():
            report(f"spark_training, run {name}")
            airflow.trigger("spark_training", name, parameters)
            events = receiver.take(lambda came: ended(came, "spark_training"))
            record(f"spark/{name}", events, airflow.places)


def make_lake() -> Path:
    """Makes the raw data: rows of made-up transactions."""
    lake = WORK / "lake"
    (lake / "raw").mkdir(parents=True, exist_ok=True)
    drawn = random.Random(7)
    rows = [(drawn.randrange(100, 90_000), drawn.randrange(24)) for _ in range(500)]
    lines = ["amount,hour,fraud", *(f"{amount},{hour},{int(amount * (25 - hour) > 900_000)}" for amount, hour in rows)]
    (lake / "raw" / "transactions.csv").write_text("\n".join(lines) + "\n")
    return lake


if __name__ == "__main__":
    main()
