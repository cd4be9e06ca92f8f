"""Reports a pipeline's runs with the client `openlineage-python`, in a few lines of a training script.

A `PipelineRun` is a run of the pipeline, an `Execution` a step in it. Both are context managers that send their start
and their end. The facets of this project add what OpenLineage lacks. Errors never stop a pipeline: what cannot be sent
is logged as a warning once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from stream_app.client.pruning import pruning_verdict
from stream_app.extras import missing_extra

try:
    import attr
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import (
        DatasetFacet,
        JobFacet,
        RunFacet,
        dataset_version_dataset,
        error_message_run,
        ownership_job,
        parent_run,
    )
    from openlineage.client.uuid import generate_new_uuid
except ModuleNotFoundError as error:
    raise missing_extra(error, "openlineage") from None

log = logging.getLogger(__name__)

PRODUCER = "urn:stream-app:client"
_SCHEMAS = "urn:stream-app:schema:openlineage:1-0-0"

Value = str | float | int | bool


@attr.define
class StreamAppExecutionRunFacet(RunFacet):
    """The facet that describes a run to the detector (schemas/openlineage).

    Parameters
    ----------
    operatorGroup
        The operator group.
    nodeSeconds
        Compute used so far in node-seconds.
    codeVersion
        The version of the code.
    cached
        Whether the result was taken from a cache.
    prunedBy
        The id of the verdict for which the run stopped.
    properties
        Further properties by name.
    """

    operatorGroup: str | None = None  # noqa: N815
    nodeSeconds: float | None = None  # noqa: N815
    codeVersion: str | None = None  # noqa: N815
    cached: bool | None = None
    prunedBy: str | None = None  # noqa: N815
    properties: dict[str, Value] | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:StreamAppExecutionRunFacet#/$defs/StreamAppExecutionRunFacet"


@attr.define
class StreamAppArtifactDatasetFacet(DatasetFacet):
    """The facet that describes a dataset to the detector (schemas/openlineage).

    Parameters
    ----------
    type
        The artifact type, such as `Model`.
    blessed, pushed
        Whether a validator blessed the dataset, and whether it was pushed.
    span
        The span of data that it holds.
    properties
        Further properties by name.
    """

    type: str | None = None
    blessed: bool | None = None
    pushed: bool | None = None
    span: str | int | None = None
    properties: dict[str, Value] | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{_SCHEMAS}:StreamAppArtifactDatasetFacet#/$defs/StreamAppArtifactDatasetFacet"


class Pruned(Exception):  # noqa: N818 - it is what happened, and no error
    """Raised to stop a run for a verdict. The run's `with` block reports the verdict and ends without an exception.

    Parameters
    ----------
    verdict
        The id of the verdict.
    """

    def __init__(self, verdict: str) -> None:
        super().__init__(f"stopped for verdict {verdict}")
        self.verdict = verdict


@dataclass(frozen=True)
class Data:
    """A dataset, a model, or anything else that is read and written.

    A reader of what another step wrote must name the same version.

    Parameters
    ----------
    name
        The name of the dataset.
    version
        Its version; None when versions cannot be told apart.
    namespace
        Its namespace; by default that of the pipeline.
    type
        Its artifact type, such as `Model`.
    blessed
        Whether a validator blessed it.
    pushed
        Whether it was pushed.
    span
        The span of data that it holds.
    properties
        Further properties by name; values that are not finite are omitted.
    """

    name: str
    version: str | None = None
    namespace: str | None = None
    type: str | None = None
    blessed: bool | None = None
    pushed: bool | None = None
    span: str | int | None = None
    properties: Mapping[str, Value] = field(default_factory=dict)

    def facets(self) -> dict[str, DatasetFacet]:
        """The facets of the dataset.

        Returns
        -------
        dict
            Facets by name, with everything but the name and the namespace.
        """
        facets: dict[str, DatasetFacet] = {}
        if self.version is not None:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(self.version)
        own = (self.type, self.blessed, self.pushed, self.span, _flat(self.properties))
        if any(each is not None for each in own):
            facets["streamApp_artifact"] = StreamAppArtifactDatasetFacet(*own, producer=PRODUCER)
        return facets


class _ReportedRun:
    """A run of OpenLineage that is reported at its start and at its end."""

    def __init__(self, client: OpenLineageClient, namespace: str, name: str, group: str | None) -> None:
        self._client = client
        self.namespace = namespace
        self.name = name
        self._group = group
        self.run_id = str(generate_new_uuid())
        #: Metrics and other properties, reported at the end.
        self.properties: dict[str, Value] = {}
        self._reads: list[Data] = []
        self._writes: list[Data] = []

    def _job_facets(self) -> dict[str, JobFacet]:
        return {}

    def _run_facets(self) -> dict[str, RunFacet]:
        return {}

    def _emit(self, state: RunState, facet: StreamAppExecutionRunFacet, **facets: RunFacet) -> None:
        def named(data: Data) -> dict[str, Any]:
            return {"namespace": data.namespace or self.namespace, "name": data.name, "facets": data.facets()}

        try:
            facet.operatorGroup = self._group
            run_facets = {**self._run_facets(), "streamApp_execution": facet, **facets}
            event = RunEvent(
                eventType=state,
                eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
                run=Run(self.run_id, run_facets),
                job=Job(self.namespace, self.name, self._job_facets()),
                inputs=[InputDataset(**named(data)) for data in self._reads],
                outputs=[OutputDataset(**named(data)) for data in self._writes],
                producer=PRODUCER,
            )
            self._client.emit(event)
        except Exception as error:  # whatever it is, it must not stop a pipeline
            _warn(error)

    def _begin(self) -> None:
        self._emit(RunState.START, StreamAppExecutionRunFacet(producer=PRODUCER))

    def _end(self, error: BaseException | None, node_seconds: float | None) -> None:
        facet = StreamAppExecutionRunFacet(
            nodeSeconds=node_seconds, properties=_flat(self.properties), producer=PRODUCER
        )
        if error is None:
            self._emit(RunState.COMPLETE, facet)
        elif isinstance(error, Pruned):
            facet.prunedBy = error.verdict
            self._emit(RunState.ABORT, facet)
        else:
            state = RunState.FAIL if isinstance(error, Exception) else RunState.ABORT
            message = f"{type(error).__name__}: {error}"
            self._emit(state, facet, errorMessage=error_message_run.ErrorMessageRunFacet(message, "PYTHON"))


class PipelineRun(_ReportedRun):
    """One run of a pipeline; a context manager.

    Parameters
    ----------
    client
        The client of openlineage-python; made without arguments, it reads `OPENLINEAGE_URL` and other variables.
    namespace, pipeline
        The namespace of all jobs, and the first part of their names.
    owner
        The owner of the pipeline, to whom its waste is reported.
    """

    def __init__(self, client: OpenLineageClient, namespace: str, pipeline: str, owner: str | None = None) -> None:
        super().__init__(client, namespace, pipeline, "run")
        self._owner = owner

    def execution(
        self, name: str, group: str | None = None, reads: Iterable[Data | str] = (), nodes: float = 1.0
    ) -> Execution:
        """Makes a step of the run. Its compute is its duration times `nodes`.

        Parameters
        ----------
        name
            The name of the step.
        group
            The operator group; a name such as `train` implies it.
        reads
            What the step reads.
        nodes
            Number of nodes that the step uses.

        Returns
        -------
        Execution
            A context manager.
        """
        return Execution(self, name, group, reads, nodes)

    def stop_if_pruned(
        self, execution: Execution | None = None, timeout: float = 1.0, pipeline: str | None = None
    ) -> None:
        """Asks whether the run should continue, as `stream_app.should_prune` does.

        Parameters
        ----------
        execution
            The step that asks; None: all trainers of the run must be flagged.
        timeout
            Seconds after which the run continues without an answer.
        pipeline
            The pipeline, where a rule of the detector's settings gives it another name than `namespace/pipeline`.

        Raises
        ------
        Pruned
            The run should stop.
        """
        asker = execution.run_id if execution is not None else None
        own = f"{self.namespace}/{self.name.partition('.')[0]}"
        verdict = pruning_verdict(self.run_id, pipeline=pipeline or own, execution=asker, timeout=timeout)
        if verdict is not None:
            raise Pruned(verdict)

    def _job_facets(self) -> dict[str, JobFacet]:
        if self._owner is None:
            return {}
        return {"ownership": ownership_job.OwnershipJobFacet([ownership_job.Owner(self._owner)])}

    def __enter__(self) -> PipelineRun:
        self._begin()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        self._end(error, None)
        return isinstance(error, Pruned)


class Execution(_ReportedRun):
    """A step of a pipeline run; a context manager, made by `PipelineRun.execution`.

    Parameters
    ----------
    run
        The run of the pipeline.
    name, group, reads, nodes
        As of `PipelineRun.execution`.
    """

    def __init__(
        self, run: PipelineRun, name: str, group: str | None, reads: Iterable[Data | str], nodes: float
    ) -> None:
        super().__init__(run._client, run.namespace, f"{run.name}.{name}", group)
        self._run = run
        self._nodes = nodes
        self._began = 0.0
        self.reads(*reads)

    def reads(self, *data: Data | str) -> None:
        """Adds what the step reads.

        Parameters
        ----------
        data
            Datasets, or names of datasets without a version.
        """
        self._reads += [Data(each) if isinstance(each, str) else each for each in data]

    def writes(self, *data: Data | str) -> None:
        """Adds what the step has written.

        Parameters
        ----------
        data
            Datasets, or names of datasets without a version.
        """
        self._writes += [Data(each) if isinstance(each, str) else each for each in data]

    def _job_facets(self) -> dict[str, JobFacet]:
        return self._run._job_facets()

    def _run_facets(self) -> dict[str, RunFacet]:
        above = parent_run.ParentRunFacet(
            parent_run.Run(self._run.run_id), parent_run.Job(self.namespace, self._run.name)
        )
        return {"parent": above}

    def __enter__(self) -> Execution:
        self._began = time.monotonic()
        self._begin()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._end(error, self._nodes * (time.monotonic() - self._began))


_warned = False


def _warn(error: Exception) -> None:
    global _warned
    log.log(logging.DEBUG if _warned else logging.WARNING, "an event was not sent: %s: %s", type(error).__name__, error)
    _warned = True


def _flat(properties: Mapping[str, Value]) -> dict[str, Value] | None:
    """The properties that can be sent, without values that are not finite; None when there are none."""
    kept = {name: value for name, value in properties.items() if not isinstance(value, float) or math.isfinite(value)}
    return kept or None
