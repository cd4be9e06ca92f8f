"""Makes events of a run of MLflow: pure functions of the run and the rules.

A run has its last state, not its history: metrics are the last ones logged, parameters and tags have no time. So before
a run's end only its data and the properties that the rules name as known at its start are reported.

A run that others name as their parent is a pipeline run if it has no parent itself; with a parent it is a nested run,
which groups others and trains nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.core.events import CANCELED, COMPLETE, FAILED, NEW, RUNNING, ArtifactRef, Event, Properties
from stream_app.core.operators import TRAIN
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.scalars import name, scalar
from stream_app.times import EARLIEST_MS, LATEST_MS

if TYPE_CHECKING:
    from mlflow.entities import Run

STATES = {"SCHEDULED": NEW, "RUNNING": RUNNING, "FINISHED": COMPLETE, "FAILED": FAILED, "KILLED": CANCELED}
PARENT = "mlflow.parentRunId"
PIPELINE_RUN, NESTED_RUN = "PipelineRun", "NestedRun"

_NODE_SECONDS = "node_seconds"
#: Metrics of the machine, not of the model.
_SYSTEM = "system/"
_OWN_TAGS = "mlflow."


def parent_of(run: Run) -> str | None:
    """The id of the run that a run names as its parent."""
    return run.data.tags.get(PARENT) or None


def model_of(run_id: str) -> str:
    """The id of the artifact that stands for the model of a training run."""
    return f"{run_id}/model"


def is_over(run: Run) -> bool:
    """Whether a run has ended."""
    return STATES.get(run.info.status, RUNNING) not in (NEW, RUNNING)


def events_of(run: Run, pipeline: str, root: str | None, *, is_parent: bool, rules: Rules) -> list[Event]:
    """Makes the events of a run.

    Parameters
    ----------
    run
        The run.
    pipeline
        The pipeline of its experiment.
    root
        The id of its topmost ancestor, which is the pipeline run; None for a run without a parent.
    is_parent
        Whether other runs name it as their parent.
    rules
        The rules.

    Returns
    -------
    list of Event
        By time; empty when the run has no valid start.
    """
    start_ms = run.info.start_time
    if start_ms is None or not EARLIEST_MS < start_ms < LATEST_MS:
        return []
    run_id, state = run.info.run_id, STATES.get(run.info.status, RUNNING)
    type_ = name(run.data.tags.get(rules.type_tag) or rules.default_type)
    if is_parent:
        type_ = NESTED_RUN if root else PIPELINE_RUN
    if is_parent and not root:
        # It may have been reported as a training before its first child was seen: the earliest event sets the type.
        root, start_ms = run_id, start_ms - 1

    def event(time_ms: int, event_state: str) -> Event:
        return Event(time_ms, name(pipeline), run_id, type_, event_state, root)

    properties = _properties(run, rules)
    seconds = properties.pop(_NODE_SECONDS, None)
    first = event(start_ms, NEW if state == NEW else RUNNING)
    first.inputs = _inputs(run)
    first.properties = {key: value for key, value in properties.items() if key in rules.known_at_start}
    if not is_over(run):
        return [first]
    last = event(min(max(run.info.end_time or start_ms, start_ms), LATEST_MS - 1), state)
    last.properties = properties
    if isinstance(seconds, int | float) and seconds >= 0:
        last.node_ms = round(seconds * 1000)
    if state == COMPLETE:
        trains = rules.operators.group(type_) == TRAIN
        last.outputs = _outputs(run, trains)
    return [first, last]


def _properties(run: Run, rules: Rules) -> Properties:
    """Parameters, tags and metrics, later ones replacing earlier ones; MLflow's own tags where a rule names them."""
    found: Properties = {}
    tags = {key: _number(value) for key, value in run.data.tags.items() if key in rules.properties or _is_user_tag(key)}
    metrics = {key: value for key, value in run.data.metrics.items() if not key.startswith(_SYSTEM)}
    for key, value in (*run.data.params.items(), *tags.items(), *metrics.items()):
        held = scalar(value)
        if held is not None and key:
            found[name(rules.properties.get(key, key))] = held
    return found


def _is_user_tag(key: str) -> bool:
    return not key.startswith(_OWN_TAGS)


def _number(value: str) -> object:
    """The value of a tag as a number where the text is one, since tags hold only texts."""
    try:
        return float(value)
    except ValueError:
        return value


def _inputs(run: Run) -> tuple[ArtifactRef, ...]:
    """Datasets, a version by its digest, and models."""
    if run.inputs is None:
        return ()
    found: dict[str, ArtifactRef] = {}
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
