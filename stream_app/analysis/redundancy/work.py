"""What an execution did, as one value: two executions that did the same have the same operator, parameters and inputs.

Everything is read from facts that the core keeps, so that the value is a function of the set of events.

* **Code version**: the property `code_version` of the execution. Executions without one count as having the same code;
  what rests on that is summed apart (`Row.assumed_ms`).
* **Parameters**: texts and booleans, whenever they were reported: stores have only the last state of an execution, and
  its parameters with it. Numbers that were reported no later than its start: numbers that come later are measurements.
  A parameter that is a number and is reported with the end only is therefore not seen, apart from the index of an
  iteration. Not parameters are properties with a meaning of their own (`blessed`, `owner`, ...), where and how the
  execution ran (pods, attempts, errors, rows read), and a text that contains the id of the execution or of its run.
* **Inputs**: the versions that it read, as the core resolves them: an artifact id, and for an unversioned artifact also
  the writer. A version that existed before any known writer is not known: nothing says that two readers read the same.
  An artifact that the execution also writes is passed on and is no input (a resolver, a link between executions).
* **Spans**: the inputs that are data: all but those whose type says otherwise (a schema, a model, a transform graph,
  ...) and those written by an execution of group analysis, tune, train, validate or deploy, whose outputs are results.
  How many executions read an artifact is no criterion: every span of a young pipeline is read by most of its
  executions, and each new run would classify old artifacts anew. The type and the writers decide once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

from stream_app.core.events import CACHED, COMPLETE, Scalar
from stream_app.core.features.extraction import warm_start
from stream_app.core.operators import ACT, ANALYSIS, DEPLOY, PREPROCESS, RUN, TRAIN, TUNE, VALIDATE
from stream_app.core.properties import LABEL_UNKNOWN, PRUNED_BY, SKIPPED_TASKS
from stream_app.core.state.entities import Artifact, Execution, Version
from stream_app.core.state.pipeline import Pipeline

#: The groups whose executions may overlap.
OVERLAP_GROUPS = frozenset((ANALYSIS, PREPROCESS, TRAIN))

_CODE_VERSION = "code_version"
#: Properties with a meaning of their own, apart from the code version.
_MEANINGS = {"blessed", "keep", "owner", "pushed", LABEL_UNKNOWN, PRUNED_BY, SKIPPED_TASKS}
#: Where and how an execution ran, as the sources, Kubeflow Pipelines and TFX report it.
_CIRCUMSTANCES = {
    "attempt", "bytes_read", "cached_execution_id", "driver_logs_uri", "error", "files_read", "kfp_pod_name",
    "namespace", "parent_dag_id", "plugins.mlflow.run_id", "pod_name", "pod_uid", "rows_read", "run_id", "state",
    "store_session_info", "try_number",
}  # fmt: skip
_NOT_PARAMETERS = frozenset((_CODE_VERSION, *_MEANINGS, *_CIRCUMSTANCES))
#: The number of a task among those of one loop of Kubeflow Pipelines.
_ITERATION = "iteration_index"
#: Shorter ids occur in texts by chance.
_ID_CHARACTERS = 6

#: Types of artifacts that are no data, of TFX, Kubeflow Pipelines, MLflow and OpenLineage.
_NOT_DATA = frozenset((
    "Application", "ClassificationMetrics", "ExampleAnomalies", "ExampleStatistics", "HTML", "HyperParameters",
    "InfraBlessing", "Markdown", "Metrics", "Model", "ModelBlessing", "ModelEvaluation", "ModelRun", "PushedModel",
    "Schema", "SlicedClassificationMetrics", "TransformCache", "TransformGraph", "TunerResults",
))  # fmt: skip
#: Of Transform: what its analyzers found in spans that it read before.
_CACHE = "TransformCache"
#: The type that is data whoever wrote it. Cached steps write it again in each run, so its writers may be thousands.
_EXAMPLES = "Examples"
_RESULT_GROUPS = frozenset((ANALYSIS, TUNE, TRAIN, VALIDATE, DEPLOY))


class Work(NamedTuple):
    """What an execution did and what it cost.

    Parameters
    ----------
    execution_id
        Its id, unique within the pipeline.
    start_ms
        Its start in ms since 1970 UTC.
    type
        Its operator.
    group
        Its operator group; never `run`.
    code
        Its code version; None when it is not known.
    parameters
        Names and values, sorted by name.
    inputs
        The versions read, each once, sorted.
    spans
        Those of the inputs that are data, sorted.
    unknown
        The number of inputs whose version is not known.
    node_ms
        Compute in node-ms.
    micros
        What it cost, in millionths of the currency; None when there is no price.
    completed
        Whether it ended COMPLETE.
    warm
        Whether it started from an earlier result: a training that reads the output of another one, or an execution that
        reads a cache of the analyzers of a Transform.
    """

    execution_id: str
    start_ms: int
    type: str
    group: str
    code: str | None
    parameters: tuple[tuple[str, Scalar], ...]
    inputs: tuple[str, ...]
    spans: tuple[str, ...]
    unknown: int
    node_ms: int
    micros: int | None
    completed: bool
    warm: bool = False


def work_to_row(work: Work) -> dict[str, Any]:
    """The plain value from which `work_of_row` makes the work again."""
    return work._asdict()


def work_of_row(row: Mapping[str, Any]) -> Work:
    """The work of a plain value, which has lists where it has tuples.

    Parameters
    ----------
    row
        As of `work_to_row`, possibly after JSON.

    Raises
    ------
    LookupError, TypeError, ValueError
        Nothing of this program wrote it.
    """
    given = {name: row[name] for name in Work._fields}
    parameters = tuple((str(name), value) for name, value in row["parameters"])
    return Work(**given | {"parameters": parameters, "inputs": tuple(row["inputs"]), "spans": tuple(row["spans"])})


def work_of(pipeline: Pipeline, execution: Execution, node_ms: int, micros: int | None) -> Work | None:
    """Reads what an execution did from the state of its pipeline.

    Parameters
    ----------
    pipeline
        The pipeline of the execution.
    execution
        The execution.
    node_ms
        Its compute in node-ms.
    micros
        What it cost, in millionths of the currency; None when there is no price.

    Returns
    -------
    Work or None
        None for an execution that did no work of its own: it ended CACHED, or it is a run.
    """
    if execution.group in (RUN, ACT) or execution.end_state == CACHED:
        return None
    inputs, spans, unknown, reads_cache = _inputs(pipeline, execution)
    code = execution.value_of(_CODE_VERSION)
    return Work(
        execution_id=execution.id,
        start_ms=execution.start_ms,
        type=execution.type,
        group=execution.group,
        code=None if code is None else str(code),
        parameters=_parameters(execution),
        inputs=inputs,
        spans=spans,
        unknown=unknown,
        node_ms=node_ms,
        micros=micros,
        completed=execution.end_state == COMPLETE,
        warm=reads_cache or (execution.group == TRAIN and warm_start(execution)),
    )


def affected_by(pipeline: Pipeline, execution: Execution) -> list[Execution]:
    """Finds the other executions whose work may have changed with the facts of an execution.

    They are the execution that it names as its run, and readers of what it writes: the writers of a version say whether
    it is data and whether a training started warm, and the end of a writer says which version of an unversioned
    artifact its later readers read. Readers that no fact of this writer can change are left out, so that an artifact
    which every run reads costs nothing. That an execution changes its type, or an artifact its type, is not followed to
    the readers; their next event is.

    Parameters
    ----------
    pipeline
        The pipeline of the execution, after an event about the execution was applied.
    execution
        The execution.

    Returns
    -------
    list of Execution
        Those that may have changed; a reader of several outputs comes several times.
    """
    group, found = execution.group, []
    run = None if execution.run is None else pipeline.executions.get(execution.run)
    if run is not None:
        found.append(run)
    for artifact_id, version in execution.writes.items():
        artifact = pipeline.artifacts[artifact_id]
        if artifact.unversioned is not None:
            from_ms = execution.start_ms if execution.end_ms is None else min(execution.start_ms, execution.end_ms)
            starts = artifact.unversioned.starts
            found += [pipeline.executions[reader] for _, reader in starts[bisect_left(starts, (from_ms, "")) :]]
        elif group == TRAIN or (group in _RESULT_GROUPS and artifact.type not in _NOT_DATA):
            found += [reader for reader in version.all_readers() if reader.group in OVERLAP_GROUPS]
    return found


def _inputs(pipeline: Pipeline, execution: Execution) -> tuple[tuple[str, ...], tuple[str, ...], int, bool]:
    """The versions read, those that are data, the number of those that are not known, and whether a cache is read."""
    inputs, spans, unknown = [], [], []
    may_overlap, reads_cache = execution.group in OVERLAP_GROUPS, False
    for name, version in execution.reads.items():
        artifact = pipeline.artifacts[name]
        if artifact.type == _CACHE:
            reads_cache = True
        if artifact.unversioned is None:
            if name in execution.writes:
                continue
            known = name
        else:
            writer = artifact.unversioned.chosen.get(execution.id)
            if writer is None:
                unknown.append(name)
                continue
            known = f"{name}\n{writer}"  # no id has a control character
        inputs.append(known)
        if may_overlap and _is_data(artifact, version):
            spans.append(known)
    count = len(unknown)
    if unknown:
        # OpenLineage: a reader of `name@version` also reads `name@`, which writers that name no version write.
        named = {f"{name.rpartition('@')[0]}@" for name in inputs}
        count = sum(name not in named for name in unknown)
    inputs.sort()
    read = tuple(inputs)
    return read, read if len(spans) == len(read) else tuple(sorted(spans)), count, reads_cache


def _is_data(artifact: Artifact, version: Version) -> bool:
    if artifact.type == _EXAMPLES:
        return True
    return artifact.type not in _NOT_DATA and all(writer.group not in _RESULT_GROUPS for writer in version.writers)


def _parameters(execution: Execution) -> tuple[tuple[str, Scalar], ...]:
    """The properties that are parameters, sorted by name."""
    if not execution.properties:
        return ()
    ids = [name for name in (execution.id, execution.run) if name and len(name) >= _ID_CHARACTERS]
    start_ms, found = execution.start_ms, []
    for name, (time_ms, value) in execution.properties.items():
        if name in _NOT_PARAMETERS:
            continue
        if isinstance(value, str):
            if any(each in value for each in ids):
                continue
        elif not isinstance(value, bool) and time_ms > start_ms and name != _ITERATION:
            continue
        found.append((name, value))
    return tuple(sorted(found))
