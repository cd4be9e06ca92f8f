"""Makes events of an execution in a store: pure functions of the record and the rules.

A store has the last state of things, not their history: when an execution was created, when it was last changed, and
the same for each artifact. An execution therefore becomes at most three kinds of events:

1. it began, at its creation, with its inputs and the properties that the rules name as known by then;
2. it ended, or is in its present state, at its last change, with its outputs and all of its properties;
3. an output changed later, at that output's last change.

`pushed` and `blessed` of an output are reported with the end, whenever the artifact was last touched: garbage
collection touches artifacts for weeks, and must not make old labels seem new. Nothing else is reported before its time.

A deploy execution without `pushed` did not push: neither a PushedModel nor a COMPLETE Pusher proves a push (TFX's
Pusher is COMPLETE also after refusing to push).
"""

from __future__ import annotations

from stream_app.core.events import CACHED, CANCELED, COMPLETE, ENDS, NEW, RUNNING, ArtifactRef, Event, Properties
from stream_app.core.operators import DEPLOY, RUN
from stream_app.sources.mlmd.records import ABANDONED, ArtifactRecord, Record
from stream_app.sources.mlmd.rules import Rules
from stream_app.sources.scalars import name
from stream_app.times import EARLIEST_MS, LATEST_MS

PUSHED, NODE_SECONDS, NODE = "pushed", "node_seconds", "node"
#: The properties of an output that are reported with the end of its writer.
LABELS = (PUSHED, "blessed")

_RUN_TYPE = "PipelineRun"


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
        By time; empty when the execution is in no pipeline or its creation has no valid time.
    """
    pipeline = _context(record, rules.pipeline_contexts) or rules.pipeline
    if not pipeline or not EARLIEST_MS <= record.created_ms < LATEST_MS:
        return []
    execution_id, execution_type, run = _identity(record, rules)
    properties = _renamed(record.properties, rules)
    node = _context(record, rules.node_contexts)
    if node and NODE not in properties:
        properties[NODE] = name(node)
    seconds = properties.pop(NODE_SECONDS, None)
    node_ms = round(seconds * 1000) if isinstance(seconds, int | float) and seconds >= 0 else None
    state = record.state or (COMPLETE if record.outputs else RUNNING)
    began = NEW if state in (NEW, CACHED, CANCELED) else RUNNING
    now_ms = _now_ms(record)

    def event(time_ms: int, event_state: str) -> Event:
        return Event(time_ms, name(pipeline), execution_id, execution_type, event_state, run)

    first = event(record.created_ms, began)
    first.inputs = tuple(_reference(artifact, rules, record.created_ms) for artifact in record.inputs)
    first.properties = {key: value for key, value in properties.items() if key in rules.known_at_start}
    outputs = tuple(_reference(artifact, rules, now_ms) for artifact in record.outputs)
    deploys = rules.operators.group(execution_type) == DEPLOY and execution_type not in rules.pushed_types
    if deploys and state == COMPLETE:
        outputs = _with_pushed(execution_id, outputs, properties)
    events = [first]
    if state in ENDS or outputs or node_ms is not None or properties != first.properties:
        last = event(now_ms, state)
        last.outputs, last.properties, last.node_ms = outputs, properties, node_ms
        events.append(last)
    for artifact in sorted(record.outputs, key=lambda artifact: (artifact.updated_ms, artifact.id)):
        if now_ms < artifact.updated_ms < LATEST_MS and artifact.properties:
            later = event(artifact.updated_ms, began)
            later.outputs = (_reference(artifact, rules, artifact.updated_ms),)
            events.append(later)
    return events


def _identity(record: Record, rules: Rules) -> tuple[str, str, str | None]:
    """Execution id, execution type and run; the execution of the run itself has the run's id."""
    run = _context(record, rules.run_contexts)
    if record.type in rules.run_properties:
        reported = record.properties.get(rules.run_properties[record.type])
        run = str(reported) if reported else run
        execution_type = _RUN_TYPE
    else:
        reported = record.properties.get(rules.type_properties.get(record.type, ""))
        execution_type = name(str(reported)) if reported else name(record.type)
    run = name(run) if run else None
    is_run = rules.operators.group(execution_type) == RUN
    return (run if is_run and run else str(record.id)), execution_type, run


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
    return ArtifactRef(str(artifact.id), name(artifact.type), properties)


def _with_pushed(
    execution_id: str, outputs: tuple[ArtifactRef, ...], properties: Properties
) -> tuple[ArtifactRef, ...]:
    """The outputs of a deploy execution, at least one of which has `pushed`."""
    if any(PUSHED in output.properties for output in outputs):
        return outputs
    value = properties.get(PUSHED, False)
    return (*outputs, ArtifactRef(f"{execution_id}/{PUSHED}", "PushedModel", {PUSHED: value}))
