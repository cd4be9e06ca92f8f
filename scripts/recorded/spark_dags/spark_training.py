"""The DAG that `scripts/record_spark.py` runs: each task submits a Spark application, which reports for itself."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

APPLICATIONS = Path(__file__).parent.parent / "spark"
LAKE = Path(os.environ["LAKE"])
CONF = {
    "spark.jars.packages": os.environ["LISTENER"],
    "spark.jars.ivy": os.environ["IVY"],
    "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
    "spark.openlineage.namespace": "spark",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}
#: A negative number of iterations fails the training; then the names of two applications.
PARAMS = {"iterations": "5", "trainer": "fraud_trainer", "publisher": "model_publisher"}


def submit(task_id: str, name: str, application: str, *arguments: str) -> SparkSubmitOperator:
    """A task that runs an application under a name of its own."""
    return SparkSubmitOperator(
        task_id=task_id,
        name=name,
        application=str(APPLICATIONS / f"{application}.py"),
        application_args=[str(LAKE / each) if "/" in each else each for each in arguments],
        conf=CONF,
        driver_memory="512m",
    )


with DAG("spark_training", schedule=None, default_args={"owner": "team-ml"}, params=PARAMS) as dag:
    (
        submit("build_features", "feature_builder", "features", "raw/transactions.csv", "features/transactions")
        >> submit(
            "train", "{{ params.trainer }}", "train", "features/transactions", "models/fraud", "{{ params.iterations }}"
        )
        >> submit("deploy", "{{ params.publisher }}", "deploy", "models/fraud", "serving/fraud")
    )
