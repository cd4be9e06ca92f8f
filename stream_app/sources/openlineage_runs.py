"""Where a run of OpenLineage belongs: its pipeline, its pipeline run, and the execution that it reports on.

An event names the run's parent and perhaps its root, the outermost run above it; nothing else is known here. Of these
the pipeline is named by the first that holds:

1. a rule for the job;
2. the job itself, when it is a DAG;
3. the outermost run above whose job's name, with a dot, begins the job's own (`team.fraud` of `team.fraud.train`), when
   the event is one of a task or names no root;
4. the root, also in another namespace: an Airflow task starts a Spark application;
5. the parent, when the event names no root and neither name has a dot, as those of a workflow and its steps: such a
   job's name tells no pipeline, and a parent with a dot is rather a task; an application of Spark may have any parent;
6. the part of the job's name before the first dot.

A job that a task of the pipeline starts, such as a Spark application, runs within the task: it reports on the task's
execution. The queries of an application are executions of their own without compute, since the task's duration
contains them. They name the application and not the task, so that both read and write an artifact that stands for the
application: what its queries read and write then belongs to the task's graphlet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stream_app.core.operators import CUSTOM, DEFAULT_GROUPS, RUN
from stream_app.errors import MalformedEvent
from stream_app.sources.native import MAX_ID, check_id, wrong
from stream_app.sources.openlineage_facets import FacetReader, JsonObject
from stream_app.sources.openlineage_names import OPERATORS, QUERY_TYPES, RUN_TYPES, SPARK_TYPES, Mapped
from stream_app.sources.openlineage_rules import Rules

_TEXT = "a non-empty string"
_UUID_LENGTH, _HYPHENS = 36, 4
_HEX = frozenset("0123456789abcdefABCDEF-")


class RunAbove(NamedTuple):
    """A run above another. Its id, or namespace and name of its job, are "" when they are not known."""

    run: str
    namespace: str
    name: str
    is_root: bool


class Job(NamedTuple):
    """The job of a run, and what its event says of it."""

    namespace: str
    name: str
    #: Of the `jobType` facet; "" without it.
    job_type: str
    #: Whether Airflow sent the event.
    is_airflow: bool
    #: The operator that the facet of this project tells: "" when it does not, None without the facet.
    reported: str | None


@dataclass(slots=True)
class Place:
    """Where a run belongs.

    Parameters
    ----------
    pipeline
        The pipeline.
    run
        The pipeline run; None without one.
    execution_id
        The execution: the run itself, or the task within which it runs.
    operator
        The execution type.
    job
        Namespace and name of the execution's job.
    is_within
        Whether the execution is the task's, whose state this run does not tell.
    is_free
        Whether a task's duration contains that of the run.
    application
        The application within which the execution runs, or which runs within it; None without one.
    task
        The name of Airflow's task in its DAG; "" when it is none.
    """

    pipeline: str
    run: str | None
    execution_id: str
    operator: str
    job: str
    is_within: bool = False
    is_free: bool = False
    application: str | None = None
    task: str = ""


def run_id_of(run: JsonObject, prefix: str) -> str:
    """The id of a run; a UUID in lower case, since senders differ in how they write it.

    Parameters
    ----------
    run
        What has the field `runId`.
    prefix
        The path of `run`, for the reason.

    Returns
    -------
    str
        The id.

    Raises
    ------
    MalformedEvent
        It is missing, not a text, too long, or a placeholder that a template left.
    """
    text = text_of(run, "runId", prefix)
    if has_placeholder(text):
        raise wrong(run, "runId", "a run id, not the placeholder of a template", prefix)
    if len(text) == _UUID_LENGTH and not text.islower() and text.count("-") == _HYPHENS and _HEX.issuperset(text):
        return text.lower()
    return text


def text_of(holder: JsonObject, key: str, prefix: str) -> str:
    """A text that identifies something.

    Parameters
    ----------
    holder
        What has the field.
    key
        The field.
    prefix
        The path of `holder`, for the reason.

    Returns
    -------
    str
        The text, of 1 to 1,024 characters.

    Raises
    ------
    MalformedEvent
        It is not such a text.
    """
    value = holder.get(key)
    if type(value) is not str or not value:
        raise wrong(holder, key, _TEXT, prefix)
    if len(value) > MAX_ID or not value.isprintable():
        check_id(prefix + key, value)
    return value


def has_placeholder(text: str) -> bool:
    """Whether a template left a placeholder in a text: runs that share nothing else would become one.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    bool
        Whether it has `${` or `{{`.
    """
    return "${" in text or "{{" in text


def runs_above(facets: JsonObject, own: str, reading: FacetReader) -> list[RunAbove]:
    """The runs above a run, the outermost first. What is not a run is passed over.

    Parameters
    ----------
    facets
        Of the run.
    own
        The run's own id.
    reading
        Counts what is passed over.

    Returns
    -------
    list of RunAbove
        The root and the parent, as far as they are given and are not the run itself.
    """
    parent = reading.facet(facets, "parent") or reading.facet(facets, "parentRun")  # as older Airflow calls it
    if not parent:
        return []
    found = [_above(reading.facet(parent, "root"), True, reading), _above(parent, False, reading)]
    return [each for each in found if each is not None and each.run != own]


def _above(holder: JsonObject, is_root: bool, reading: FacetReader) -> RunAbove | None:
    run, job = reading.facet(holder, "run"), reading.facet(holder, "job")
    names = [_tolerated(job, key, reading) for key in ("namespace", "name")]
    run_id = _tolerated(run, "runId", reading)
    reading.dropped += bool(holder) and not run_id
    namespace, name = names if all(names) else ("", "")
    return RunAbove(run_id, namespace, name, is_root) if run_id or name else None


def _tolerated(holder: JsonObject, key: str, reading: FacetReader) -> str:
    """A text that identifies a run above or its job; "" when it is not one."""
    if holder.get(key) is None:
        return ""
    try:
        text = run_id_of(holder, "") if key == "runId" else text_of(holder, key, "")
    except MalformedEvent:
        text = ""
    if text and not has_placeholder(text):
        return text
    reading.dropped += key != "runId"  # a run without its id is counted as a whole
    return ""


def place(rules: Rules, job: Job, run: str, above: list[RunAbove], facets: JsonObject) -> Place:
    """Where a run belongs.

    Parameters
    ----------
    rules
        The rules by which names are read.
    job
        Its job.
    run
        Its id.
    above
        The runs above it, the outermost first.
    facets
        Of the run.

    Returns
    -------
    Place
        The place.
    """
    holders = [each for each in above if each.namespace == job.namespace and _begins(each.name, job.name)]
    is_dag = job.job_type in RUN_TYPES or _is_airflow_dag(holders, facets)
    top = None if is_dag else _top(job, above, holders)
    if top is None or rules.ruled_pipeline(job.namespace, job.name) is not None:
        pipeline = rules.pipeline(job.namespace, job.name, is_whole=is_dag)
    else:
        pipeline = rules.pipeline(top.namespace, top.name, is_whole=True)
    own_run = next((each.run for each in above if each.run and _is_of(rules, each, pipeline)), None)
    job_type = job.job_type or ("DAG" if is_dag else "")
    mapped = (
        Mapped(job.reported, "rule")
        if job.reported
        else rules.mapped(job.namespace, job.name, job_type, own_run is not None)
    )
    outermost = run if mapped.operator == OPERATORS[RUN] else next((each.run for each in above if each.run), None)
    found = Place(pipeline, own_run or outermost, run, mapped.operator, f"{job.namespace}/{job.name}")
    if job.is_airflow and top in holders and top is not None:
        found.task = job.name[len(top.name) + 1 :]
    parent = above[-1] if above and above[-1].run and above[-1].name and not above[-1].is_root else None
    if parent is not None and own_run is not None and not (is_dag or job.reported is not None or mapped.by == "rule"):
        _place_within(rules, job, parent, top, mapped, found)
    return found


def _begins(outer: str, name: str) -> bool:
    return bool(outer) and name.startswith(f"{outer}.") and len(name) > len(outer) + 1


def _is_airflow_dag(holders: list[RunAbove], facets: JsonObject) -> bool:
    """Whether facets tell an event of Airflow's DAG run, which has no parent, or a task of another DAG as parent."""
    return not holders and "airflow" not in facets and ("airflowDagRun" in facets or "airflowState" in facets)


def _top(job: Job, above: list[RunAbove], holders: list[RunAbove]) -> RunAbove | None:
    """The run above whose job names the pipeline: the root, but for tasks of a DAG that another one triggered."""
    root = above[0] if above and above[0].is_root and above[0].name else None
    if not holders:
        return root or _workflow(job, above)
    # A task's name has one word more than its DAG's, that of a query of Spark two.
    is_task = not job.job_type and "." not in job.name[len(holders[0].name) + 1 :]
    return holders[0] if root is None or is_task or job.is_airflow or job.job_type == "TASK" else root


def _workflow(job: Job, above: list[RunAbove]) -> RunAbove | None:
    """The parent of a step whose name tells no pipeline; not of Spark's applications, whose queries do not have it."""
    if "." in job.name or job.job_type in SPARK_TYPES:
        return None
    return next((each for each in above if each.name and "." not in each.name and not each.is_root), None)


def _is_of(rules: Rules, each: RunAbove, pipeline: str) -> bool:
    if not each.name:
        return False
    return pipeline in (
        rules.pipeline(each.namespace, each.name, is_whole=True),
        rules.pipeline(each.namespace, each.name),
    )


def _place_within(rules: Rules, job: Job, parent: RunAbove, top: RunAbove | None, mapped: Mapped, found: Place) -> None:
    """Changes the place of a job that runs within a task or an application."""
    is_part = parent.namespace == job.namespace and _begins(parent.name, job.name)
    is_query = is_part and job.job_type in QUERY_TYPES
    parents = rules.mapped(parent.namespace, parent.name, "", True)
    within_task = top is not None and parent.namespace == top.namespace and _begins(top.name, parent.name)
    if parent.run == found.run:
        # An application that is no part of another run, and whose name tells a step, such as `train_model`.
        if not (is_query and _is_step(parents)):
            return
        found.run = None
    elif is_part and not within_task:
        found.application, found.is_free = parent.run, True
        found.operator = rules.operator(job.namespace, job.name, job.job_type or "SQL_JOB", True)
        return
    elif not within_task:
        return
    elif not is_part:
        found.application = found.execution_id
        if _is_step(mapped) and not _is_step(parents):
            return
    found.is_within, found.execution_id, found.operator = True, parent.run, parents.operator
    found.job = f"{parent.namespace}/{parent.name}"


def _is_step(mapped: Mapped) -> bool:
    return DEFAULT_GROUPS.get(mapped.operator, CUSTOM) not in (CUSTOM, RUN)
