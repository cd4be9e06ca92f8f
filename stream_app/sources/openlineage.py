"""OpenLineage run events (spec 2-0-2 and older) as events of the core (docs/openlineage.md).

A run is an execution, its job the operator, a dataset an artifact; `openlineage_runs` and `openlineage_datasets` say
which. Each event adds facts, in whatever order events arrive: the core merges them, as accumulative senders need.
`OTHER`, and an event without a type, report on a run without changing its state, even after its end.

What identifies a run must be right: its id, its job, its time, its datasets. Standard facets that do not have the form
of the specification are passed over and counted; a null is as good as nothing.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, tzinfo
from typing import Any

from stream_app.core.events import (
    CACHED,
    CANCELED,
    COMPLETE,
    FAILED,
    NEW,
    RUNNING,
    ArtifactRef,
    Event,
    Properties,
)
from stream_app.core.operators import CUSTOM, GROUPS
from stream_app.core.properties import AIRFLOW_DAG, AIRFLOW_RUN, JOB, MAP_INDEX, PRUNED_BY, SKIPPED_TASKS, TASK
from stream_app.errors import MalformedEvent
from stream_app.sources.documents import check, read
from stream_app.sources.native import MAX_ID, MAX_NODE_SECONDS, MAX_PROPERTIES, MAX_TEXT, check_time, wrong
from stream_app.sources.openlineage_datasets import ARTIFACT_FACET, DatasetReader, own_properties
from stream_app.sources.openlineage_facets import FacetReader, JsonObject
from stream_app.sources.openlineage_rules import OPERATORS, Rules
from stream_app.sources.openlineage_runs import (
    Job,
    Place,
    RunAbove,
    has_placeholder,
    place,
    run_id_of,
    runs_above,
    text_of,
)
from stream_app.sources.tolerant_json import MAP, VALUE, clean
from stream_app.times import foreign_to_time, text_to_time

__all__ = ["ARTIFACT_FACET", "EXECUTION_FACET", "OpenLineage", "decode"]

#: The facet of this project (schemas/openlineage).
EXECUTION_FACET = "streamApp_execution"
_EXECUTION_PATH = f"run.facets.{EXECUTION_FACET}."

_STATES = {
    "START": RUNNING,
    "RUNNING": RUNNING,
    "COMPLETE": COMPLETE,
    "FAIL": FAILED,
    "ABORT": CANCELED,
    "OTHER": NEW,
}
_STATE = "one of " + ", ".join(_STATES)
_TIME = "a time, such as 2026-03-01T12:34:56Z"
#: Characters of an error message that are kept.
_ERROR_CHARACTERS = 500
#: Facets that only Airflow sends.
_OF_AIRFLOW = frozenset(("airflow", "airflowDagRun", "airflowState", "airflow_runArgs", "airflow_version"))

_RUN_ABOVE = {"run": {"runId": VALUE}, "job": {"namespace": VALUE, "name": VALUE}}
_PARENT = {**_RUN_ABOVE, "root": _RUN_ABOVE}
_QUALITY = {
    "dataQualityMetrics": {"rowCount": VALUE, "bytes": VALUE, "fileCount": VALUE},
    "dataQualityAssertions": {"assertions": [{"success": VALUE}]},
}
_STATISTICS = {"rowCount": VALUE, "size": VALUE, "fileCount": VALUE}
_DATASET = {
    "namespace": VALUE,
    "name": VALUE,
    "facets": {
        "version": {"datasetVersion": VALUE},
        "symlinks": {"identifiers": [{"namespace": VALUE, "name": VALUE}]},
        ARTIFACT_FACET: {"type": VALUE, "blessed": VALUE, "pushed": VALUE, "span": VALUE, "properties": MAP},
        **_QUALITY,
    },
    "inputFacets": {"inputStatistics": _STATISTICS, **_QUALITY},
    "outputFacets": {"outputStatistics": _STATISTICS, **_QUALITY},
}
#: What is read.
_FIELDS: dict[str, Any] = {
    "eventType": VALUE,
    "eventTime": VALUE,
    "producer": VALUE,
    "schemaURL": VALUE,
    "dataset": {},
    "run": {
        "runId": VALUE,
        "facets": {
            "parent": _PARENT,
            "parentRun": _PARENT,
            "errorMessage": {"message": VALUE},
            **{facet: {} for facet in _OF_AIRFLOW},
            "airflow": {"taskInstance": {"map_index": VALUE}},
            "airflowDagRun": {"dag": {"dag_id": VALUE}, "dagRun": {"run_id": VALUE}},
            "airflowState": {"tasksState": MAP},
            EXECUTION_FACET: {
                "operatorGroup": VALUE,
                "nodeSeconds": VALUE,
                "codeVersion": VALUE,
                "cached": VALUE,
                "prunedBy": VALUE,
                "properties": MAP,
            },
        },
    },
    "job": {
        "namespace": VALUE,
        "name": VALUE,
        "facets": {
            "jobType": {"jobType": VALUE, "integration": VALUE},
            "ownership": {"owners": [{"name": VALUE}]},
            "sourceCodeLocation": {"version": VALUE},
            "sourceCode": {"sourceCode": VALUE},
        },
    },
    "inputs": [_DATASET],
    "outputs": [_DATASET],
}


class OpenLineage:
    """Decodes messages by some rules.

    Parameters
    ----------
    rules
        The rules by which names are read; by default `Rules()`.
    zone
        The time zone of times that have no offset.
    """

    def __init__(self, rules: Rules | None = None, zone: tzinfo = UTC) -> None:
        self.rules = rules or Rules()
        self.zone = zone

    def decode(self, message: bytes, latest_ms: int | None = None) -> Event | None:
        """Reads the event in a message.

        Parameters
        ----------
        message
            One JSON object in UTF-8, or a CloudEvent of structured mode whose data is one.
        latest_ms
            The latest time that it may bear, in ms since 1970 UTC; None for no bound but the year 9999.

        Returns
        -------
        Event or None
            None for a valid event about a job or a dataset alone, without a run.

        Raises
        ------
        MalformedEvent
            With a reason that names the field and says what is expected there.
        """
        found = read(message, _FIELDS)
        document = found.fields
        dropped = check(found, _FIELDS)
        if document.get("run") is None and _is_static(document):
            return None
        event_type = document.get("eventType")
        state = NEW if event_type is None else _STATES.get(event_type) if type(event_type) is str else None
        if state is None:
            raise wrong(document, "eventType", _STATE)
        reading = FacetReader()
        time_ms = self._time(document, latest_ms)
        run, facets, above = _run(document, reading)
        job, properties = _job(document, facets, reading)
        here = place(self.rules, job, run, above, facets)
        if len(here.pipeline) > MAX_ID or not here.pipeline:
            raise wrong(document["job"], "name", f"a name whose pipeline has 1 to {MAX_ID:,} characters", "job.")
        properties[JOB] = here.job
        _add_airflow(facets, here, properties, reading)
        error = reading.text(reading.facet(facets, "errorMessage"), "message")
        if error:
            properties["error"] = clean(error[:_ERROR_CHARACTERS])
        node_ms = 0 if here.is_free else None
        datasets = DatasetReader(self.rules, reading, state == COMPLETE)
        if job.reported is not None:
            reported_ms, state = _execution(facets[EXECUTION_FACET], state, properties)
            node_ms = node_ms if reported_ms is None else reported_ms
        inputs = datasets.artifacts(document, "inputs", properties)
        outputs = datasets.artifacts(document, "outputs", properties)
        if here.application is not None:
            application = ArtifactRef(f"run:{here.application}", "Application")
            inputs, outputs = (*inputs, application), (*outputs, application)
        if len(properties) > MAX_PROPERTIES:
            raise MalformedEvent(f"expected at most {MAX_PROPERTIES:,} properties, got {len(properties):,}")
        return Event(
            time_ms,
            here.pipeline,
            here.execution_id,
            here.operator,
            NEW if here.is_within else state,
            here.run,
            inputs,
            outputs,
            node_ms,
            properties,
            dropped=dropped + reading.dropped,
        )

    def _time(self, document: JsonObject, latest_ms: int | None) -> int:
        value = document.get("eventTime")
        try:
            if type(value) is str:
                if value[-1:] == "Z":
                    try:
                        return check_time(document, "eventTime", text_to_time(value), latest_ms)
                    except ValueError:
                        pass
                elif value[-6:] == "+00:00" and value[19:20] == "." and value[20:-6].isdecimal():
                    # Python's isoformat, with microseconds: converted to the form that is read fast.
                    text = f"{value[:20]}{value[20:-6][:3]:0<3}Z"
                    return check_time(document, "eventTime", text_to_time(text), latest_ms)
            elif type(value) is not int and type(value) is not float:
                raise wrong(document, "eventTime", _TIME)
            return check_time(document, "eventTime", foreign_to_time(value, self.zone), latest_ms)
        except ValueError:
            raise wrong(document, "eventTime", _TIME) from None


decode = OpenLineage().decode


def _is_static(document: JsonObject) -> bool:
    """Whether a document is a JobEvent or a DatasetEvent, and not a RunEvent that lacks its run."""
    if document.get("eventType") is not None or str(document.get("schemaURL")).endswith("RunEvent"):
        return False
    return type(document.get("job")) is dict or type(document.get("dataset")) is dict


def _run(document: JsonObject, reading: FacetReader) -> tuple[str, JsonObject, list[RunAbove]]:
    """The id of the run, its facets, and the runs above it."""
    run = document.get("run")
    if type(run) is not dict:
        raise wrong(document, "run", "an object")
    run_id = run_id_of(run, "run.")
    facets = reading.facet(run, "facets")
    return run_id, facets, runs_above(facets, run_id, reading)


def _job(document: JsonObject, run_facets: JsonObject, reading: FacetReader) -> tuple[Job, Properties]:
    """The job of the run, and the properties in its facets."""
    job = document.get("job")
    if type(job) is not dict:
        raise wrong(document, "job", "an object")
    namespace, name = text_of(job, "namespace", "job."), text_of(job, "name", "job.")
    for key, text in (("name", name), ("namespace", namespace)):
        if has_placeholder(text):
            raise wrong(job, key, "a name, not the placeholder of a template", "job.")
    properties: Properties = {}
    facets = reading.facet(job, "facets")
    kind = reading.facet(facets, "jobType")
    owner = _owner(reading.facet(facets, "ownership"), reading)
    if owner:
        properties["owner"] = owner
    code = reading.text(reading.facet(facets, "sourceCodeLocation"), "version")
    if code:
        properties["code_version"] = clean(code[:MAX_ID])
    else:
        code = reading.text(reading.facet(facets, "sourceCode"), "sourceCode")
        if code:
            properties["code_version"] = hashlib.sha256(clean(code).encode()).hexdigest()[:12]
    producer = document.get("producer")
    is_airflow = (
        (type(producer) is str and "airflow" in producer.lower())
        or kind.get("integration") == "AIRFLOW"
        or not _OF_AIRFLOW.isdisjoint(run_facets)
    )
    reported = _reported_operator(run_facets.get(EXECUTION_FACET), name)
    return Job(namespace, name, reading.text(kind, "jobType"), is_airflow, reported), properties


def _add_airflow(facets: JsonObject, here: Place, properties: Properties, reading: FacetReader) -> None:
    """Adds the names by which Airflow knows a run, or a task in it, and the tasks that a run skipped."""
    if here.task and not here.is_within:
        properties[TASK] = here.task
    if "airflow" in facets:
        index = reading.facet(reading.facet(facets, "airflow"), "taskInstance").get("map_index")
        if type(index) is int and index >= 0:
            properties[MAP_INDEX] = str(index)  # as a number it would count as a metric
    if "airflowDagRun" in facets:
        names = reading.facet(facets, "airflowDagRun")
        for name, holder, key in ((AIRFLOW_DAG, "dag", "dag_id"), (AIRFLOW_RUN, "dagRun", "run_id")):
            text = reading.text(reading.facet(names, holder), key)
            if text:
                properties[name] = clean(text[:MAX_ID])
    if "airflowState" in facets:
        states = reading.facet(reading.facet(facets, "airflowState"), "tasksState")
        skipped = sorted(clean(task) for task, state in states.items() if state == "skipped" and task)
        text = ",".join(skipped)
        if len(text) > MAX_TEXT:  # names alone that fit as a whole
            text = text[: MAX_TEXT + 1].rpartition(",")[0]
            reading.dropped += 1
        if text:
            properties[SKIPPED_TASKS] = text


def _owner(facet: JsonObject, reading: FacetReader) -> str:
    """The first owner; "" without one, or when a sender has masked it."""
    owners = reading.entries(facet, "owners", 1)
    name = reading.text(owners[0], "name") if owners else ""
    return clean(name[:MAX_ID]) if name.strip("* ") else ""


def _reported_operator(facet: object, name: str) -> str | None:
    """The operator that this project's facet tells: "" when it does not, None without the facet."""
    if type(facet) is not dict:
        return None
    group = facet.get("operatorGroup")
    if group is None:
        return ""
    if type(group) is not str or group not in GROUPS:
        raise wrong(facet, "operatorGroup", f"one of {', '.join(GROUPS)}", _EXECUTION_PATH)
    return OPERATORS[group] if group != CUSTOM else name.rpartition(".")[2] or name


def _execution(facet: JsonObject, state: str, properties: Properties) -> tuple[int | None, str]:
    """Compute and state by this project's facet; its properties are added to `properties`."""
    prefix, node_ms = _EXECUTION_PATH, None
    if facet.get("nodeSeconds") is not None:
        seconds = facet["nodeSeconds"]
        if type(seconds) not in (int, float) or not 0 <= seconds <= MAX_NODE_SECONDS:
            raise wrong(facet, "nodeSeconds", "a number from 0 to 1e12", prefix)
        node_ms = round(seconds * 1000)
    if facet.get("cached") is True and state == COMPLETE:
        state = CACHED
    if facet.get("properties") is not None:
        properties.update(own_properties(facet, prefix))
    for key, name_here in (("codeVersion", "code_version"), ("prunedBy", PRUNED_BY)):
        if facet.get(key) is not None:
            properties[name_here] = text_of(facet, key, prefix)
    return node_ms, state
