"""A training pipeline as a platform reports it with openlineage-python alone: every facet, and times that are given."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_input_dataset,
    dataset_version_dataset,
    datasource_dataset,
    documentation_job,
    environment_variables_run,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    lifecycle_state_change_dataset,
    nominal_time_run,
    output_statistics_output_dataset,
    ownership_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
    storage_dataset,
    tags_run,
)

NAMESPACE, PIPELINE, PRODUCER = "platform", "recommender", "https://example.com/platform/7"
START = datetime(2026, 3, 1, 6, tzinfo=UTC)
Send = Callable[[RunEvent], object]


@attr.define
class PlanFacet(RunFacet):
    """A facet of the sender's own, with a number that JSON has no word for."""

    plan: dict[str, object] = attr.field(factory=dict)


class PipelineRun:
    """Reports one run of the pipeline; times are in minutes after its day began.

    Parameters
    ----------
    send
        Takes each event, such as `OpenLineageClient.emit`.
    day
        Which day it runs; versions of its data are named after it.
    """

    def __init__(self, send: Send, day: int) -> None:
        self.day = day
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {day}"))
        self._send = send

    def begin(self, minute: float = 0) -> None:
        """The run starts."""
        self._report(self.id, PIPELINE, "START", minute)

    def end(self, event_type: str, minute: float) -> None:
        """The run ends."""
        self._report(self.id, PIPELINE, event_type, minute)

    def step_id(self, name: str) -> str:
        """The run id of a step."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {self.day}, {name}"))

    def step(
        self,
        name: str,
        start: float,
        end: float | None,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        event_type: str = "COMPLETE",
        running: Sequence[float] = (),
    ) -> None:
        """A step starts, reports that it runs, and ends unless `end` is None; its outputs are known at its end."""
        for kind, minute in [("START", start), *(("RUNNING", each) for each in running), (event_type, end)]:
            if minute is not None:
                known = writes if kind == "COMPLETE" else ()
                self._report(self.step_id(name), f"{PIPELINE}.{name}", kind, minute, reads, known)

    def _report(
        self, run: str, job: str, kind: str, minute: float, reads: Sequence[str] = (), writes: Sequence[str] = ()
    ) -> None:
        time = START + timedelta(days=self.day, minutes=minute)
        self._send(
            RunEvent(
                eventType=RunState[kind],
                eventTime=time.isoformat(),
                run=Run(run, self._run_facets(run, kind)),
                job=Job(NAMESPACE, job, _job_facets("DAG" if job == PIPELINE else "TASK")),
                producer=PRODUCER,
                inputs=[self._input(each) for each in reads],
                outputs=[self._output(each) for each in writes],
            )
        )

    def _run_facets(self, run: str, kind: str) -> dict[str, RunFacet]:
        nominal = (START + timedelta(days=self.day)).isoformat()
        facets: dict[str, RunFacet] = {
            "nominalTime": nominal_time_run.NominalTimeRunFacet(nominalStartTime=nominal, nominalEndTime=nominal),
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version="7.1", name="platform"),
            "environmentVariables": environment_variables_run.EnvironmentVariablesRunFacet(
                environmentVariables=[environment_variables_run.EnvironmentVariable(name="REGION", value="eu")]
            ),
            "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
                parameters=[execution_parameters_run.ExecutionParameter(key="epochs", value="20")]
            ),
            "tags": tags_run.TagsRunFacet(tags=[tags_run.TagsRunFacetFields(key="tier", value="gold")]),
            "plan": PlanFacet(plan={"loss": float("nan"), "steps": list(range(50))}),
        }
        if run != self.id:
            facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self.id),
                job=parent_run.Job(namespace=NAMESPACE, name=PIPELINE),
                root=parent_run.Root(
                    run=parent_run.RootRun(runId=self.id),
                    job=parent_run.RootJob(namespace=NAMESPACE, name=PIPELINE),
                ),
            )
        if kind == "FAIL":
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message="CUDA out of memory", programmingLanguage="PYTHON", stackTrace="Traceback ..."
            )
        return facets

    def _name(self, dataset: str) -> tuple[str, str]:
        return f"{PIPELINE}/{dataset}", f"day-{self.day}"

    def _input(self, dataset: str) -> InputDataset:
        name, version = self._name(dataset)
        metrics = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
            rowCount=1000,
            columnMetrics={
                "clicks": data_quality_metrics_input_dataset.ColumnMetrics(nullCount=3, quantiles={"0.5": 2.0})
            },
        )
        assertions = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            assertions=[data_quality_assertions_dataset.Assertion(assertion="not_null", success=True, column="clicks")]
        )
        facets = {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version),
            "dataSource": datasource_dataset.DatasourceDatasetFacet(name="lake", uri="s3://lake"),
            "schema": schema_dataset.SchemaDatasetFacet(
                fields=[schema_dataset.SchemaDatasetFacetFields(name="clicks", type="INT")]
            ),
        }
        return InputDataset(
            "s3://lake",
            name,
            facets=facets,
            inputFacets={"dataQualityMetrics": metrics, "dataQualityAssertions": assertions},
        )

    def _output(self, dataset: str) -> OutputDataset:
        name, version = self._name(dataset)
        source = column_lineage_dataset.InputField(namespace="s3://lake", name=name, field="clicks")
        facets = {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version),
            "storage": storage_dataset.StorageDatasetFacet(storageLayer="iceberg", fileFormat="parquet"),
            "lifecycleStateChange": lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
                lifecycleStateChange=lifecycle_state_change_dataset.LifecycleStateChange.OVERWRITE
            ),
            "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(
                fields={"clicks": column_lineage_dataset.Fields(inputFields=[source])}
            ),
        }
        statistics: dict[str, OutputDatasetFacet] = {
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=1000, size=65536
            )
        }
        return OutputDataset("s3://lake", name, facets=facets, outputFacets=statistics)


def report(send: Send) -> list[PipelineRun]:
    """Five runs: deployed, not deployed, failed in training, aborted in training, and still training."""
    runs = [PipelineRun(send, day) for day in range(5)]
    for run, (training, event_type, running, end) in zip(
        runs,
        [
            ((15, 75), "COMPLETE", (30, 45, 60), 90),
            ((15, 65), "COMPLETE", (40,), 80),
            ((15, 35), "FAIL", (25,), 36),
            ((15, 20), "ABORT", (), 21),
            ((15, None), "COMPLETE", (25, 40), None),
        ],
        strict=True,
    ):
        run.begin()
        run.step("build_features", 2, 12, ["raw"], ["features"])
        run.step("train_model", *training, ["features"], ["model"], event_type, running)
        if event_type == "COMPLETE" and end is not None:
            run.step("evaluate", end - 10, end - 6, ["model"], ["metrics"])
        if run.day == 0:
            run.step("deploy_model", 85, 88, ["model"], ["endpoint"])
        if end is not None:
            run.end("COMPLETE" if event_type == "COMPLETE" else event_type, end)
    return runs


def _job_facets(job_type: str) -> dict[str, JobFacet]:
    return {
        "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration="PLATFORM", jobType=job_type),
        "documentation": documentation_job.DocumentationJobFacet(description="Learns what to recommend."),
        "ownership": ownership_job.OwnershipJobFacet(owners=[ownership_job.Owner(name="team-ranking", type="TEAM")]),
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            type="git", url="https://git.example.com/ranking", version="4f2a9c1"
        ),
    }
