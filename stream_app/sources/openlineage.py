"""OpenLineage run events (spec 2-0-2 and older) as events of the core (docs/openlineage.md).

A run is an execution, its job the operator, a dataset an artifact. The pipeline run is the outermost run above it (root
or parent) that belongs to the same pipeline: a task's DAG run, but not the run of another pipeline that triggered the
DAG. Each event adds facts, in whatever order events arrive: the core merges them, as accumulative senders need.
`OTHER`, and an event without a type, report on a run without changing its state, even after its end.

Standard facets that do not have the form of the specification are ignored. The ids of a run are not: a placeholder of a
template (`${...}`, `{{...}}`) is refused, since runs that share nothing else would become one.
"""

from __future__ import annotations

import hashlib
import re
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
from stream_app.core.operators import CUSTOM, GROUPS, RUN
from stream_app.errors import MalformedEvent
from stream_app.sources.native import (
    MAX_ARTIFACTS,
    MAX_ID,
    MAX_NODE_SECONDS,
    MAX_NUMBER,
    MAX_PROPERTIES,
    check_id,
    check_properties,
    properties_of,
    time_of,
    wrong,
)
from stream_app.sources.openlineage_rules import OPERATORS, Rules
from stream_app.sources.strict_json import check_structure, parse, shown

#: The facets of this project (schemas/openlineage), and the prefix that all of them have.
EXECUTION_FACET, ARTIFACT_FACET = "streamApp_execution", "streamApp_artifact"

#: The property that names the job.
JOB = "job"

_STATES = {
    "START": RUNNING,
    "RUNNING": RUNNING,
    "COMPLETE": COMPLETE,
    "FAIL": FAILED,
    "ABORT": CANCELED,
    "OTHER": NEW,
}
_STATE = "one of " + ", ".join(_STATES)
_TEXT = "a non-empty string"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: Characters of an error message that are kept.
_ERROR_CHARACTERS = 500

_Object = dict[str, Any]


class OpenLineage:
    """Decodes messages by some rules.

    Parameters
    ----------
    rules
        The rules by which names are read; by default `Rules()`.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def decode(self, message: bytes, latest_ms: int | None = None) -> Event | None:
        """Reads the event in a message.

        Parameters
        ----------
        message
            One JSON object in UTF-8.
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
        document = parse(message)
        if type(document) is not dict:
            raise MalformedEvent(f"expected a JSON object, got {shown(document)}")
        check_structure(message, document)
        if "run" not in document and _is_static(document):
            return None
        event_type = document.get("eventType")
        state = NEW if event_type is None else _STATES.get(event_type) if type(event_type) is str else None
        if state is None:
            raise wrong(document, "eventType", _STATE)
        time_ms = _time(document, latest_ms)
        run_id, above, facets = _run(document)
        namespace, name, job_type, properties = _job(document)
        rules = self.rules
        pipeline = rules.pipeline(namespace, name)
        if len(pipeline) > MAX_ID or not pipeline:
            raise wrong(document["job"], "name", f"a name whose pipeline has 1 to {MAX_ID:,} characters", "job.")
        outer = next((each for each, *job in above if rules.pipeline(*job) == pipeline), None)
        operator = rules.operator(namespace, name, job_type, outer is not None)
        node_ms = None
        if facets:
            error = facets.get("errorMessage")
            if type(error) is dict and type(error.get("message")) is str:
                properties["error"] = error["message"][:_ERROR_CHARACTERS]
            own = facets.get(EXECUTION_FACET)
            if type(own) is dict:
                operator, state, node_ms = _execution(own, operator, state, name, properties)
        inputs = self._artifacts(document, "inputs", properties) if document.get("inputs") else ()
        outputs = self._artifacts(document, "outputs", properties) if document.get("outputs") else ()
        outermost = run_id if operator == OPERATORS[RUN] else above[0][0] if above else None
        if len(properties) > MAX_PROPERTIES:
            raise MalformedEvent(f"expected at most {MAX_PROPERTIES:,} properties, got {len(properties):,}")
        return Event(
            time_ms, pipeline, run_id, operator, state, outer or outermost, inputs, outputs, node_ms, properties
        )

    def _artifacts(self, document: _Object, field: str, properties: Properties) -> tuple[ArtifactRef, ...]:
        """The datasets of a list; statistics of inputs are added to the properties of the execution."""
        entries = document[field]
        if type(entries) is not list:
            raise wrong(document, field, "a list of datasets")
        if len(entries) > MAX_ARTIFACTS:
            raise MalformedEvent(f"{field}: expected at most {MAX_ARTIFACTS:,} datasets, got {len(entries):,}")
        artifacts: list[ArtifactRef] = []
        for entry in entries:
            if type(entry) is not dict:
                raise MalformedEvent(f"{field}[{len(artifacts)}]: expected an object, got {shown(entry)}")
            prefix = f"{field}[{len(artifacts)}]."
            namespace, name = _id(entry, "namespace", prefix), _id(entry, "name", prefix)
            artifact = ArtifactRef(f"{namespace}/{name}", self.rules.artifact_type(namespace, name), {}, False)
            facets = entry.get("facets")
            if type(facets) is dict and facets:
                _describe(artifact, facets, prefix)
            inner = entry.get("inputFacets") if field == "inputs" else entry.get("outputFacets")
            if type(inner) is dict and inner:
                _measure(artifact, inner, properties)
            if len(artifact.id) > MAX_ID:
                raise wrong(entry, "name", f"at most {MAX_ID:,} characters with namespace and version", prefix)
            artifacts.append(artifact)
        return tuple(artifacts)


decode = OpenLineage().decode


def _is_static(document: _Object) -> bool:
    """Whether a document is a JobEvent or a DatasetEvent, and not a RunEvent that lacks its run."""
    if "eventType" in document or str(document.get("schemaURL")).endswith("RunEvent"):
        return False
    return type(document.get("job")) is dict or type(document.get("dataset")) is dict


def _time(document: _Object, latest_ms: int | None) -> int:
    text = document.get("eventTime")
    if type(text) is str and text[-6:] == "+00:00" and text[19:20] == "." and text[20:-6].isdecimal():
        # Python's isoformat, with microseconds: converted to the form that is read fast.
        document = {"eventTime": f"{text[:20]}{text[20:-6][:3]:0<3}Z"}
    return time_of(document, "eventTime", latest_ms)


#: A run above another: its id, and namespace and name of its job, which are "" when not given.
_Above = tuple[str, str, str]


def _run(document: _Object) -> tuple[str, list[_Above], _Object | None]:
    """The id of the run, the runs above it (the outermost first), and its facets."""
    run = document.get("run")
    if type(run) is not dict:
        raise wrong(document, "run", "an object")
    run_id = _run_id(run, "run.")
    facets = run.get("facets")
    if type(facets) is not dict or not facets:
        return run_id, [], None
    prefix, parent = "run.facets.parent.", facets.get("parent")
    if parent is None:  # as the first Airflow integrations called it
        prefix, parent = "run.facets.parentRun.", facets.get("parentRun")
    if type(parent) is not dict:
        return run_id, [], facets
    above = [_above(parent, prefix)]
    root = parent.get("root")
    if type(root) is dict and type(root.get("run")) is dict:
        above.insert(0, _above(root, f"{prefix}root."))
    return run_id, [each for each in above if each[0] != run_id], facets


def _above(holder: _Object, prefix: str) -> _Above:
    run, job = holder.get("run"), holder.get("job")
    if type(run) is not dict:
        raise wrong(holder, "run", "an object", prefix)
    namespace, name = (job.get("namespace"), job.get("name")) if type(job) is dict else ("", "")
    if type(namespace) is not str or type(name) is not str:
        namespace = name = ""
    return _run_id(run, f"{prefix}run."), namespace, name


def _run_id(run: _Object, prefix: str) -> str:
    text = _id(run, "runId", prefix)
    if "${" in text or "{{" in text:
        raise wrong(run, "runId", "a run id, not the placeholder of a template", prefix)
    if len(text) == 36 and not text.islower() and _UUID.fullmatch(text):
        return text.lower()
    return text


def _job(document: _Object) -> tuple[str, str, str, Properties]:
    """Namespace, name and type of the job, and the properties in its facets."""
    job = document.get("job")
    if type(job) is not dict:
        raise wrong(document, "job", "an object")
    namespace, name = _id(job, "namespace", "job."), _id(job, "name", "job.")
    if "${" in name or "{{" in name or "${" in namespace or "{{" in namespace:
        field = "name" if "${" in name or "{{" in name else "namespace"
        raise wrong(job, field, "a name, not the placeholder of a template", "job.")
    properties: Properties = {JOB: f"{namespace}/{name}"}
    facets = job.get("facets")
    if type(facets) is not dict or not facets:
        return namespace, name, "", properties
    facet = facets.get("jobType")
    job_type = facet.get("jobType") if type(facet) is dict else None
    facet = facets.get("ownership")
    if type(facet) is dict:
        owner = _owner(facet)
        if owner:
            properties["owner"] = owner
    facet = facets.get("sourceCodeLocation")
    code = facet.get("version") if type(facet) is dict else None
    if type(code) is str and code:
        properties["code_version"] = code[:MAX_ID]
    else:
        facet = facets.get("sourceCode")
        code = facet.get("sourceCode") if type(facet) is dict else None
        if type(code) is str and code:
            properties["code_version"] = hashlib.sha256(code.encode()).hexdigest()[:12]
    return namespace, name, job_type if type(job_type) is str else "", properties


def _owner(facet: _Object) -> str:
    """The first owner; "" without one, or when a sender has masked it."""
    owners = facet.get("owners")
    first = owners[0] if type(owners) is list and owners else None
    name = first.get("name") if type(first) is dict else None
    return name[:MAX_ID] if type(name) is str and name.strip("* ") else ""


def _execution(
    facet: _Object, operator: str, state: str, name: str, properties: Properties
) -> tuple[str, str, int | None]:
    """Operator, state and compute by this project's facet; its properties are added to `properties`."""
    prefix, node_ms = f"run.facets.{EXECUTION_FACET}.", None
    if facet.get("operatorGroup") is not None:
        group = facet["operatorGroup"]
        if type(group) is not str or group not in GROUPS:
            raise wrong(facet, "operatorGroup", f"one of {', '.join(GROUPS)}", prefix)
        operator = OPERATORS[group] if group != CUSTOM else name.rpartition(".")[2] or name
    if facet.get("nodeSeconds") is not None:
        seconds = facet["nodeSeconds"]
        if type(seconds) not in (int, float) or not 0 <= seconds <= MAX_NODE_SECONDS:
            raise wrong(facet, "nodeSeconds", "a number from 0 to 1e12", prefix)
        node_ms = round(seconds * 1000)
    if facet.get("cached") is True and state == COMPLETE:
        state = CACHED
    if facet.get("properties") is not None:
        properties.update(_own_properties(facet, prefix))
    for key, name_here in (("codeVersion", "code_version"), ("prunedBy", "pruned_by")):
        if facet.get(key) is not None:
            properties[name_here] = _id(facet, key, prefix)
    return operator, state, node_ms


def _describe(artifact: ArtifactRef, facets: _Object, prefix: str) -> None:
    """Adds the facets of a dataset to its artifact: version, type, properties and quality."""
    own = facets.get(ARTIFACT_FACET)
    if type(own) is dict:
        path = f"{prefix}facets.{ARTIFACT_FACET}."
        if own.get("type") is not None:
            artifact.type = _id(own, "type", path)
        if own.get("properties") is not None:
            artifact.properties = _own_properties(own, path)
        for key in ("blessed", "pushed"):
            if own.get(key) is not None:
                if type(own[key]) is not bool:
                    raise wrong(own, key, "true or false", path)
                artifact.properties[key] = own[key]
        if own.get("span") is not None:
            span = own["span"]
            artifact.properties["span"] = span if type(span) is int else _id(own, "span", path)
    facet = facets.get("version")
    version = facet.get("datasetVersion") if type(facet) is dict else None
    if type(version) is str and version:
        check_id(f"{prefix}facets.version.datasetVersion", version)
        artifact.id, artifact.versioned = f"{artifact.id}@{version}", True
    for key in ("dataQualityMetrics", "dataQualityAssertions"):
        if key in facets:
            _measure(artifact, {key: facets[key]}, artifact.properties)


def _measure(artifact: ArtifactRef, facets: _Object, properties: Properties) -> None:
    """Adds statistics: of outputs and of quality to the artifact, of inputs to `properties`."""
    facet = facets.get("outputStatistics")
    if type(facet) is dict:
        _add(artifact.properties, facet, rowCount="rows", size="bytes", fileCount="files")
    facet = facets.get("inputStatistics")
    if type(facet) is dict:
        read: Properties = {}
        _add(read, facet, rowCount="rows_read", size="bytes_read", fileCount="files_read")
        for key, value in read.items():
            properties[key] = min(MAX_NUMBER, float(properties.get(key, 0)) + float(value))
    facet = facets.get("dataQualityMetrics")
    if type(facet) is dict:
        _add(artifact.properties, facet, rowCount="rows", bytes="bytes", fileCount="files")
    facet = facets.get("dataQualityAssertions")
    assertions = facet.get("assertions") if type(facet) is dict else None
    if type(assertions) is list:
        failed = sum(1 for each in assertions if type(each) is dict and each.get("success") is False)
        artifact.properties["assertions_failed"] = failed


def _add(properties: Properties, facet: _Object, **names: str) -> None:
    for key, name in names.items():
        value = facet.get(key)
        if (type(value) is int or type(value) is float) and 0 <= value <= MAX_NUMBER:
            properties[name] = value


def _own_properties(facet: _Object, prefix: str) -> Properties:
    properties = dict(properties_of(facet, prefix))
    check_properties(f"{prefix}properties", properties)
    return properties


def _id(holder: _Object, key: str, prefix: str) -> str:
    value = holder.get(key)
    if type(value) is not str or not value:
        raise wrong(holder, key, _TEXT, prefix)
    if len(value) > MAX_ID or not value.isprintable():
        check_id(prefix + key, value)
    return value
