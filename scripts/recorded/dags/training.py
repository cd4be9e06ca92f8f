"""The DAGs that `scripts/record_airflow.py` runs on a real Airflow.

Two styles, as users have them: tasks that name their data as inlets and outlets, and operators with OpenLineage methods
of their own (`get_openlineage_facets_on_...`), which know at run time what they read and wrote.
"""

from __future__ import annotations

import time

from airflow.exceptions import AirflowSkipException
from airflow.providers.common.compat.lineage.entities import File
from airflow.providers.common.compat.openlineage.facet import Dataset
from airflow.providers.openlineage.extractors import OperatorLineage
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, BaseOperator, TaskGroup, task
from openlineage.client.facet_v2 import dataset_version_dataset

#: Seconds of work in a task.
WORK = 1.0


def file(name: str) -> File:
    """A file of the data lake."""
    return File(url=f"s3://lake/{name}")


def training(dag_id: str, *, failing_try: int | None = None, retries: int = 0) -> DAG:
    """Makes a DAG: prepare, train_model, evaluate, deploy_model.

    Parameters
    ----------
    dag_id
        Its id; its data have the same prefix.
    failing_try
        The try of the training that fails; None for none.
    retries
        Number of retries of each task.

    Returns
    -------
    DAG
        Its runs take a parameter `deploy`: `yes`, `no` (a branch leaves the deployment out) or `skip` (the
        deployment skips itself).
    """
    defaults = {"retries": retries, "retry_delay": 1.0, "owner": "team-ml"}
    with DAG(dag_id, schedule=None, default_args=defaults, params={"deploy": "yes"}, tags=["training"]) as dag:
        features, model, report = (file(f"{dag_id}/{name}") for name in ("features", "model", "report"))

        @task(inlets=[file(f"{dag_id}/raw")], outlets=[features])
        def prepare() -> None:
            time.sleep(WORK)

        @task(inlets=[features], outlets=[model])
        def train_model(ti=None) -> None:  # type: ignore[no-untyped-def]
            time.sleep(2 * WORK)
            if ti.try_number == failing_try:
                raise ValueError("loss is NaN at step 200")

        @task(inlets=[model], outlets=[report])
        def evaluate() -> None:
            time.sleep(WORK)

        @task.branch
        def accept(params=None) -> str:  # type: ignore[no-untyped-def]
            return "stop" if params["deploy"] == "no" else "deploy_model"

        @task(inlets=[model], outlets=[file(f"{dag_id}/serving")])
        def deploy_model(params=None) -> None:  # type: ignore[no-untyped-def]
            if params["deploy"] == "skip":
                raise AirflowSkipException("the model is no better than the one that serves")
            time.sleep(WORK)

        @task
        def stop() -> None:
            """The other branch: nothing is deployed."""

        prepare() >> train_model() >> evaluate() >> accept() >> [deploy_model(), stop()]
    return dag


class Step(BaseOperator):
    """An operator that reports what it read and wrote when it has ended, with versions."""

    template_fields = ("reads", "writes")

    def __init__(self, *, reads: list[str], writes: list[str], fails: bool = False, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(**kwargs)
        self.reads, self.writes, self.fails = reads, writes, fails

    def execute(self, context) -> None:  # type: ignore[no-untyped-def] # noqa: ARG002
        """Works, and fails if it should."""
        time.sleep(WORK)
        if self.fails:
            raise MemoryError("the trainer ran out of memory")

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """What it reads."""
        return OperatorLineage(inputs=[dataset(each) for each in self.reads])

    def get_openlineage_facets_on_complete(self, task_instance) -> OperatorLineage:  # type: ignore[no-untyped-def] # noqa: ARG002
        """What it read and wrote."""
        return OperatorLineage(
            inputs=[dataset(each) for each in self.reads], outputs=[dataset(each) for each in self.writes]
        )

    def get_openlineage_facets_on_failure(self, task_instance) -> OperatorLineage:  # type: ignore[no-untyped-def] # noqa: ARG002
        """What it read."""
        return OperatorLineage(inputs=[dataset(each) for each in self.reads])


def dataset(name: str) -> Dataset:
    """The dataset `name@version`."""
    name, _, version = name.partition("@")
    facets = {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)} if version else {}
    return Dataset(namespace="s3://lake", name=name, facets=facets)


def search(dag_id: str, candidates: int, failing: int, best: int) -> DAG:
    """Makes a DAG whose training is mapped over candidates: one fails, one is deployed."""
    with DAG(dag_id, schedule=None, default_args={"owner": "team-ml"}) as dag:
        models = [f"{dag_id}/model@{{{{ run_id }}}}-{number}" for number in range(candidates)]
        prepare = Step(task_id="prepare", reads=[f"{dag_id}/raw"], writes=[f"{dag_id}/features"])
        train = Step.partial(task_id="train").expand_kwargs(
            [
                {"reads": [f"{dag_id}/features"], "writes": [model], "fails": number == failing}
                for number, model in enumerate(models)
            ]
        )
        trained = [model for number, model in enumerate(models) if number != failing]
        evaluate = Step(
            task_id="evaluate", reads=trained, writes=[f"{dag_id}/report@{{{{ run_id }}}}"], trigger_rule="all_done"
        )
        deploy = Step(task_id="deploy", reads=[models[best]], writes=[f"{dag_id}/serving"])
        prepare >> train >> evaluate >> deploy
    return dag


def grouped(dag_id: str) -> DAG:
    """Makes a DAG whose tasks are in groups, also one in another, so that their ids have dots."""
    with DAG(dag_id, schedule=None, default_args={"owner": "team-ml"}) as dag:
        raw, features, model, serving = (f"{dag_id}/{name}" for name in ("raw", "features", "model", "serving"))
        with TaskGroup("data") as data:
            Step(task_id="prepare", reads=[raw], writes=[features])
        with TaskGroup("modeling") as modeling, TaskGroup("gpu"):
            Step(task_id="train_model", reads=[features], writes=[model])
        with TaskGroup("release") as release:
            Step(task_id="deploy_model", reads=[model], writes=[serving])
        data >> modeling >> release
    return dag


def triggering(dag_id: str, triggered: str) -> DAG:
    """Makes a DAG that triggers a run of another DAG and waits for it."""
    with DAG(dag_id, schedule=None, default_args={"owner": "team-ml"}) as dag:
        TriggerDagRunOperator(
            task_id="start_training",
            trigger_dag_id=triggered,
            trigger_run_id="triggered",
            wait_for_completion=True,
            poke_interval=1,
        )
    return dag


trained = training("fraud_training")
retried = training("churn_training", failing_try=1, retries=1)
dotted = training("team.fraud.v2")
also_dotted = training("team.churn")
cleared = training("ltv_training", failing_try=1)
searched = search("ranking_search", candidates=4, failing=1, best=2)
in_groups = grouped("grouped_training")
triggered = training("pricing_training")
nightly = triggering("nightly", "pricing_training")
