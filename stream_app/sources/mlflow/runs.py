"""Makes events of a run of MLflow: pure functions of the run, its role and the rules.

A run has its last state, not its history: metrics are the last ones logged, parameters and tags have no time. So before
a run's end only its data and the properties that the rules name as known at its start are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING, ArtifactRef, Event, Properties
from stream_app.core.operators import TRAIN
from stream_app.core.properties import LABEL_UNKNOWN, PRUNED_BY
from stream_app.sources.mlflow.roles import Role, has_model, parent_of
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.scalars import name, scalar
from stream_app.times import EARLIEST_MS, LATEST_MS

if TYPE_CHECKING:
    from mlflow.entities import Run

STATES = {"SCHEDULED": NEW, "RUNNING": RUNNING, "FINISHED": COMPLETE, "FAILED": FAILED, "KILLED": CANCELED}
#: Start and end in ms since 1970 UTC.
Span = tuple[int, int]

#: The tag with which a hook ends a run that it stops.
PRUNED_TAG = "stream_app.pruned_by"
_NODE_SECONDS = "node_seconds"
#: Metrics of the machine, not of the model.
_SYSTEM = "system/"
_OWN_TAGS = "mlflow."


def model_of(run_id: str) -> str:
    """The id of the artifact that stands for the model of a training run."""
    return f"{run_id}/model"


def is_over(run: Run) -> bool:
    """Whether a run has ended."""
    return STATES.get(run.info.status, RUNNING) not in (NEW, RUNNING)


def ended_before(run: Run) -> int | None:
    """The end in ms since 1970 UTC that a running run had before it was resumed; None when it was not."""
    end_ms = run.info.end_time or 0
    return end_ms if not is_over(run) and (run.info.start_time or 0) < end_ms < LATEST_MS else None


def events_of(
    run: Run,
    pipeline: str,
    root: str | None,
    role: Role,
    rules: Rules,
    *,
    resumed: Sequence[tuple[int, int]] = (),
    is_unknown: bool = False,
) -> list[Event]:
    """Makes the events of a run.

    Parameters
    ----------
    run
        The run.
    pipeline
        The pipeline of its experiment.
    root
        The id of its topmost ancestor, which is the pipeline run; None for a run without a parent.
    role
        Its role.
    rules
        The rules.
    resumed
        The end before and the time of each resumption that is known, in ms since 1970 UTC.
    is_unknown
        Whether the registry cannot tell if it was pushed.

    Returns
    -------
    list of Event
        By time; empty when the run has no valid start.
    """
    start_ms = run.info.start_time
    if start_ms is None or not EARLIEST_MS < start_ms < LATEST_MS:
        return []
    state = STATES.get(run.info.status, RUNNING)
    if role.is_parent and root is None:
        root = run.info.run_id

    def event(time_ms: int, event_state: str) -> Event:
        return Event(time_ms, name(pipeline), run.info.run_id, role.type, event_state, root)

    trains = rules.operators.group(role.type) == TRAIN
    properties = _properties(run, rules)
    if is_unknown and trains:
        properties[LABEL_UNKNOWN] = True
    seconds = properties.pop(_NODE_SECONDS, None)
    events = [event(start_ms - role.earlier_ms, NEW)] if role.earlier_ms else []
    first = event(start_ms, NEW if state == NEW else RUNNING)
    first.inputs = _inputs(run, role)
    first.outputs = _trials_of_parent(run, role)
    at_start = (*rules.known_at_start, LABEL_UNKNOWN)
    first.properties = {key: value for key, value in properties.items() if key in at_start}
    events.append(first)
    for end_ms, resumed_ms in resumed:
        events += [event(end_ms, FAILED), event(resumed_ms, RUNNING)]
    if is_over(run):
        last = event(min(max(run.info.end_time or start_ms, start_ms), LATEST_MS - 1), state)
        last.properties = properties
        if isinstance(seconds, int | float) and seconds >= 0:
            last.node_ms = round(seconds * 1000)
        events.append(last)
    if state == COMPLETE or role.is_registered or (is_over(run) and has_model(run)):
        events[-1].outputs = (*events[-1].outputs, *_outputs(run, trains))
    if role.is_group and events[-1].node_ms is None:
        events[-1].node_ms = 0
    return events


def own_node_ms(events: Sequence[Event], parts: Sequence[Span], nodes: float) -> int:
    """The compute of a run without that of the runs in it, which are counted on their own.

    Parameters
    ----------
    events
        The events of the run, which has ended.
    parts
        Start and end of the runs in it.
    nodes
        The nodes that it runs on.

    Returns
    -------
    int
        Node-ms.
    """
    attempts, start_ms = [], 0
    for event in events:
        if event.state == RUNNING:
            start_ms = event.time_ms
        elif event.state != NEW:
            attempts.append((start_ms, event.time_ms))
    own_ms = 0
    for begin_ms, end_ms in attempts:
        own_ms += max(0, end_ms - begin_ms)
        at_ms = begin_ms
        for part_ms, part_end_ms in sorted(parts):
            from_ms, until_ms = max(part_ms, at_ms), min(part_end_ms, end_ms)
            own_ms -= max(0, until_ms - from_ms)
            at_ms = max(at_ms, until_ms)
    return round(own_ms * nodes)


def _properties(run: Run, rules: Rules) -> Properties:
    """Parameters, tags and metrics, later ones replacing earlier ones; MLflow's own tags where a rule names them."""
    found: Properties = {}
    tags = {key: _number(value) for key, value in run.data.tags.items() if key in rules.properties or _is_user_tag(key)}
    metrics = {key: value for key, value in run.data.metrics.items() if not key.startswith(_SYSTEM)}
    for key, value in (*run.data.params.items(), *tags.items(), *metrics.items()):
        held = scalar(value)
        if held is not None and key:
            found[PRUNED_BY if key == PRUNED_TAG else name(rules.properties.get(key, key))] = held
    return found


def _is_user_tag(key: str) -> bool:
    return not key.startswith(_OWN_TAGS)


def _number(value: str) -> object:
    """The value of a tag as a number where the text is one, since tags hold only texts."""
    try:
        return float(value)
    except ValueError:
        return value


def _trials(run_id: str) -> ArtifactRef:
    """What the trials of a search write and the search reads."""
    return ArtifactRef(name(f"{run_id}/trials"), "HyperParameters")


def _trials_of_parent(run: Run, role: Role) -> tuple[ArtifactRef, ...]:
    # Also of a trial that proved to be a training: what was reported of it stays.
    parent = parent_of(run)
    return (_trials(parent),) if role.in_search and role.earlier_ms and parent else ()


def _inputs(run: Run, role: Role) -> tuple[ArtifactRef, ...]:
    """Datasets, a version by its digest, models, and the trials of a search."""
    found: dict[str, ArtifactRef] = {}
    if role.searches:
        trials = _trials(run.info.run_id)
        found[trials.id] = trials
    if run.inputs is None:
        return tuple(found.values())
    for each in run.inputs.dataset_inputs:
        dataset = each.dataset
        key = name(f"{dataset.name}@{dataset.digest}")
        found[key] = ArtifactRef(key, "Dataset", {"source_type": name(dataset.source_type or "unknown")})
    for model in run.inputs.model_inputs:
        found[model.model_id] = ArtifactRef(model.model_id, "Model")
    return tuple(found.values())


def _outputs(run: Run, trains: bool) -> tuple[ArtifactRef, ...]:
    """The model of a training, and the models that the run logged."""
    logged = [] if run.outputs is None else [output.model_id for output in run.outputs.model_outputs]
    own = [model_of(run.info.run_id)] if trains else []
    return tuple(ArtifactRef(key, "Model") for key in dict.fromkeys((*own, *logged)))
