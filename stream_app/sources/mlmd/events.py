"""Makes events of an execution in a store: pure functions of the record and the rules.

A store has the last state of things, not their history: when an execution was created, when it was last changed, and
the same for each artifact. An execution therefore becomes at most three kinds of events:

1. it began, at its creation, with its inputs and the properties that the rules name as known by then;
2. it ended at its last change, with its outputs and all of its properties; of one that has not ended, they are reported
   with the state NEW, which says nothing about whether it still runs;
3. an output changed later, at that output's last change, also with the state NEW: the execution does not run again.

RUNNING is therefore reported once, at the start, and never as a heartbeat, of which a store has none.

A DAG of Kubeflow Pipelines contains executions and computes nothing. The outermost one is the run, and ends it unless
its state is stale: a run that is retried keeps the FAILED of the first try. Inner ones have no events.

`pushed` and `blessed` of an output are reported with the end, whenever the artifact was last touched: garbage
collection touches artifacts for weeks, and must not make old labels seem new. Nothing else is reported before its time.

A deploy execution without `pushed` did not push: neither a PushedModel nor a COMPLETE Pusher proves a push (TFX's
Pusher is COMPLETE also after refusing to push).
"""

from __future__ import annotations

from stream_app.core.events import (
    CACHED,
    CANCELED,
    COMPLETE,
    ENDS,
    FAILED,
    NEW,
    RUNNING,
    ArtifactRef,
    Event,
    Properties,
)
from stream_app.core.operators import DEPLOY, RUN
from stream_app.sources.mlmd.records import ABANDONED, STATES, ArtifactRecord, Record
from stream_app.sources.mlmd.rules import Rules, last_part
from stream_app.sources.scalars import name
from stream_app.times import EARLIEST_MS, LATEST_MS

PUSHED, NODE_SECONDS, NODE = "pushed", "node_seconds", "node"
#: The properties of an output that are reported with the end of its writer.
LABELS = (PUSHED, "blessed")

_RUN_TYPE = "PipelineRun"
#: The property of an execution that has its baseline's artifact; several are separated by commas.
_BASELINE = "baseline_model"
#: What a cached execution of Kubeflow Pipelines was cached from, also before its state is CACHED.
_CACHED_FROM = "cached_execution_id"
#: Names a task where the property of `Rules.type_properties` is empty.
_DISPLAY_NAME = "display_name"


def pipeline_of(record: Record, rules: Rules) -> str | None:
    """The pipeline of an execution.

    Parameters
    ----------
    record
        The execution.
    rules
        The rules.

    Returns
    -------
    str or None
        None when it is in no pipeline context and the rules name no pipeline.
    """
    return _context(record, rules.pipeline_contexts) or rules.pipeline or None


def is_dated(record: Record) -> bool:
    """Whether the creation of an execution has a valid time.

    Parameters
    ----------
    record
        The execution.

    Returns
    -------
    bool
        False for what no event can have.
    """
    return EARLIEST_MS <= record.created_ms < LATEST_MS


def events_of(record: Record, rules: Rules) -> list[Event]:
    """Makes the events of an execution.

    Parameters
    ----------
    record
        The execution.
    rules
        The rules.

    Returns
    -------
    list of Event
        By time; empty when the execution is in no pipeline, its creation has no valid time, or it is an inner DAG.
    """
    pipeline = pipeline_of(record, rules)
    if not pipeline or not is_dated(record):
        return []
    if record.type in rules.dag_types:
        return _run_events(record, rules, pipeline)
    execution_id, execution_type, run = _identity(record, rules)
    properties = _properties(record, rules)
    seconds = properties.pop(NODE_SECONDS, None)
    node_ms = round(seconds * 1000) if isinstance(seconds, int | float) and seconds >= 0 else None
    state = _state(record)
    now_ms = _now_ms(record)

    def event(time_ms: int, event_state: str) -> Event:
        return Event(time_ms, name(pipeline), execution_id, execution_type, event_state, run)

    first = event(record.created_ms, NEW if state in (NEW, CACHED, CANCELED) else RUNNING)
    baselines = _baselines(record, rules)
    first.inputs = tuple(
        _reference(artifact, rules, record.created_ms) for artifact in record.inputs if artifact.id not in baselines
    )
    first.properties = {key: value for key, value in properties.items() if key in rules.known_at_start}
    if baselines:
        properties[_BASELINE] = first.properties[_BASELINE] = name(",".join(map(str, baselines)))
    outputs = tuple(_reference(artifact, rules, now_ms) for artifact in record.outputs)
    needs_pushed = not {record.type, execution_type} & set(rules.pushed_types)
    if state == COMPLETE and needs_pushed and rules.operators.group(execution_type) == DEPLOY:
        outputs = _with_pushed(execution_id, outputs, properties)
    events = [first]
    if state in ENDS or outputs or node_ms is not None or properties != first.properties:
        last = event(now_ms, state if state in ENDS else NEW)
        last.outputs, last.properties, last.node_ms = outputs, properties, node_ms
        events.append(last)
    for artifact in sorted(record.outputs, key=lambda artifact: (artifact.updated_ms, artifact.id)):
        if now_ms < artifact.updated_ms < LATEST_MS and artifact.properties:
            later = event(artifact.updated_ms, NEW)
            later.outputs = (_reference(artifact, rules, artifact.updated_ms),)
            events.append(later)
    return events


def _run_events(record: Record, rules: Rules, pipeline: str) -> list[Event]:
    """The events of the outermost DAG of a run, which is the run; of an inner one none."""
    run = _context(record, rules.run_contexts)
    siblings = record.run
    if not run or siblings is None or siblings.root != record.id:
        return []
    properties = _properties(record, rules)
    state = _state(record)
    now_ms = _now_ms(record)

    def event(time_ms: int, event_state: str, reported: Properties) -> Event:
        of_run = name(run)
        return Event(time_ms, name(pipeline), of_run, _RUN_TYPE, event_state, of_run, properties=reported)

    known = {key: value for key, value in properties.items() if key in rules.known_at_start}
    events = [event(record.created_ms, NEW if state in (NEW, CACHED, CANCELED) else RUNNING, known)]
    if state not in ENDS:
        return events
    began_after_ms = next((ms for ms in siblings.started_ms if ms > now_ms), LATEST_MS)
    if began_after_ms < LATEST_MS:
        # A pass before the retry may have reported the end, so that the run has to begin again.
        return [*events, event(began_after_ms, RUNNING, {})]
    if state == FAILED and siblings.in_flight:
        return events
    return [*events, event(now_ms, state, properties)]


def _identity(record: Record, rules: Rules) -> tuple[str, str, str | None]:
    """Execution id, execution type and run; the execution of the run itself has the run's id."""
    run = _context(record, rules.run_contexts)
    if record.type in rules.run_properties:
        reported = record.properties.get(rules.run_properties[record.type])
        run = str(reported) if reported else run
        execution_type = _RUN_TYPE
    else:
        task = None
        if record.type in rules.type_properties:
            named = (rules.type_properties[record.type], _DISPLAY_NAME)
            task = next((str(record.properties[key]) for key in named if record.properties.get(key)), None)
        execution_type = rules.execution_type(record.type, task)
    run = name(run) if run else None
    is_run = rules.operators.group(execution_type) == RUN
    return (run if is_run and run else str(record.id)), execution_type, run


def _state(record: Record) -> str:
    """The state of an execution; early releases of TFX have it in a property."""
    if record.state in (RUNNING, COMPLETE) and record.properties.get(_CACHED_FROM):
        return CACHED if record.state == COMPLETE else NEW
    reported = str(record.properties.get("state", "")).upper()
    return record.state or (reported if reported in STATES.values() else COMPLETE if record.outputs else RUNNING)


def _properties(record: Record, rules: Rules) -> Properties:
    properties = _renamed(record.properties, rules)
    node = _context(record, rules.node_contexts)
    if node and NODE not in properties:
        properties[NODE] = name(node)
    return properties


def _baselines(record: Record, rules: Rules) -> list[int]:
    """The inputs that are read as a baseline and as nothing else."""
    keys = {_key(each) for each in rules.baseline_keys}
    found = {key for key, used in record.input_keys.items() if used and {_key(each) for each in used} <= keys}
    return sorted(found)


def _key(text: str) -> str:
    return text.lower().replace("-", "_")


def _now_ms(record: Record) -> int:
    """When the record got its present state. An execution that has not ended, or has no state, writes as it runs."""
    wrote_ms = 0 if record.state in ENDS else record.wrote_ms
    return min(max(record.updated_ms, record.created_ms, wrote_ms), LATEST_MS - 1)


def _context(record: Record, types: tuple[str, ...]) -> str | None:
    return next((context for type_, context in record.contexts if type_ in types and context), None)


def _renamed(properties: Properties, rules: Rules) -> Properties:
    if not rules.properties:
        return dict(properties)
    return {rules.properties.get(key, key): value for key, value in properties.items()}


def _reference(artifact: ArtifactRecord, rules: Rules, now_ms: int) -> ArtifactRef:
    """An artifact in an event of this time: with its properties if it has not changed since."""
    properties = _renamed(artifact.properties, rules)
    if artifact.updated_ms > now_ms:
        properties = {key: value for key, value in properties.items() if key in LABELS}
    if artifact.state == ABANDONED and PUSHED in properties:
        properties[PUSHED] = False
    return ArtifactRef(str(artifact.id), name(last_part(artifact.type)), properties)


def _with_pushed(
    execution_id: str, outputs: tuple[ArtifactRef, ...], properties: Properties
) -> tuple[ArtifactRef, ...]:
    """The outputs of a deploy execution, at least one of which has `pushed`."""
    if any(PUSHED in output.properties for output in outputs):
        return outputs
    value = properties.get(PUSHED, False)
    return (*outputs, ArtifactRef(f"{execution_id}/{PUSHED}", "PushedModel", {PUSHED: value}))
