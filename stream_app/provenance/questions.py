"""Questions about pipelines, answered from their state in JSON: whoever has the state answers, in whatever process.

A question is a name of `QUESTIONS` and its parameters. State that is shared out among processes answers in parts:
each has whole pipelines, and all answers together tell what one process with all of them would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stream_app.core.acts import BY, REASON, act_id, ladder_of
from stream_app.core.acts import POLICY as ACT_POLICY
from stream_app.core.graphlets.description import describe
from stream_app.core.ids import graphlet_id, parse_graphlet_id
from stream_app.core.operators import Operators
from stream_app.core.state.entities import Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.errors import OptionsError
from stream_app.provenance import peers
from stream_app.provenance.decision import decision_record
from stream_app.provenance.difference import last_pushed_before, portrait
from stream_app.provenance.names import find_execution, find_graphlet
from stream_app.provenance.nearest import predicted_features
from stream_app.provenance.why import why
from stream_app.provenance.why_over import GRAPHLET as A_GRAPHLET
from stream_app.provenance.why_over import WANTED, look_up
from stream_app.times import time_to_text

#: The parameters of a question.
Parameters = Mapping[str, Any]
Pipelines = Mapping[str, Pipeline]

#: The names of the questions.
PIPELINES_OF, PIPELINES_WITH = "pipelines-of", "pipelines-with"
GRAPHLET, PORTRAITS, FEATURES = "graphlet", "portraits", "features"
NAMES, FULL_NAME = "names", "full-name"
LINEAGE, WHY = "lineage", "why"
POLICY, DECISION = "policy", "decision"
#: Fields of a verdict by which its record is found.
_OF_VERDICT = ("id", "pipeline", "stage", "model")

#: Edges that are looked at to say why: a fraction of a second.
WHY_EDGES_MAX = 100_000


def answer(pipelines: Pipelines, operators: Operators, question: str, parameters: Parameters) -> Any:
    """Answers a question.

    Parameters
    ----------
    pipelines
        Pipelines by name.
    operators
        Price the executions.
    question
        A key of `QUESTIONS`, whose functions say what there is to ask.
    parameters
        Its parameters.

    Returns
    -------
    object
        What JSON can express.

    Raises
    ------
    OptionsError
        A parameter is wrong.
    UnknownNameError, AmbiguousNameError
        A name names nothing among these pipelines, or several things.
    """
    return QUESTIONS[question](pipelines, operators, parameters)


def pipelines_of(pipelines: Pipelines, run: str) -> list[str]:
    """The pipelines that have a run of this name."""
    return sorted(each.name for each in pipelines.values() if run in each.runs)


def pipelines_with(pipelines: Pipelines, trainer: str) -> list[str]:
    """The pipelines that have a trainer with this execution id."""
    return sorted(each.name for each in pipelines.values() if trainer in each.graphlets)


def policy_of(pipelines: Pipelines, pipeline: str) -> dict[str, Any] | None:
    """The last act of a person on the ladder of a pipeline: `ladder` (None: it was cleared), `by`, `reason`, `time`."""
    found = pipelines.get(pipeline)
    act = found.executions.get(act_id(ACT_POLICY)) if found is not None else None
    if act is None or not act.properties:
        return None
    values = {name: value for name, (_, value) in act.properties.items()}
    ladder = ladder_of(values)
    return {
        "ladder": ladder.to_dict() if ladder is not None else None,
        "by": str(values.get(BY, "")),
        "reason": str(values.get(REASON, "")),
        "time": time_to_text(max(time_ms for time_ms, _ in act.properties.values())),
    }


def stage_of(verdict: Mapping[str, Any]) -> list[str | None]:
    """An element of `stages` of the question for features, from the JSON form of a verdict."""
    return [verdict[name] for name in ("pipeline", "run", "trainer", "stage", "validator")]


def _graphlet(pipelines: Pipelines, operators: Operators, parameters: Parameters) -> dict[str, Any] | None:
    """The description of graphlet `id`, or None."""
    found = _found(pipelines, _text(parameters, "id"))
    return describe(*found, operators) if found is not None else None


def _portraits(
    pipelines: Pipelines, operators: Operators, parameters: Parameters
) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """Graphlet `id` and the last push before it, or None; see `difference`."""
    found = _found(pipelines, _text(parameters, "id"))
    if found is None:
        return None
    before = last_pushed_before(*found)
    earlier = portrait(*before, operators).to_dict() if before is not None else None
    return portrait(*found, operators).to_dict(), earlier


def _features(pipelines: Pipelines, _: Operators, parameters: Parameters) -> list[dict[str, float] | None]:
    """The features of each of `stages`; see `stage_of`."""
    stages = parameters.get("stages")
    if not isinstance(stages, list):
        raise OptionsError("stages: expected a list")
    found = []
    for each in stages:
        if not isinstance(each, list) or len(each) != 5 or not all(isinstance(part, str | None) for part in each):
            raise OptionsError("stages: expected lists of pipeline, run, trainer, stage and validator")
        found.append(predicted_features(pipelines.get(each[0]), *each[1:]))
    return found


def _names(pipelines: Pipelines, _: Operators, parameters: Parameters) -> list[Any]:
    """What there is of the name `name`, of the kind `wanted`; see `look_up`."""
    return look_up(pipelines, _text(parameters, "name"), _wanted(parameters)).to_json()


def _full_name(pipelines: Pipelines, _: Operators, parameters: Parameters) -> str:
    """The full name of the graphlet `name`, or of the execution."""
    name = _text(parameters, "name")
    if _wanted(parameters) == A_GRAPHLET:
        pipeline, found = find_graphlet(pipelines, name)
        return found.graphlet_id(pipeline.name)
    pipeline, execution = find_execution(pipelines, name)
    return graphlet_id(pipeline.name, execution.id)


def _lineage(pipelines: Pipelines, operators: Operators, parameters: Parameters) -> dict[str, Any]:
    """What lineage over several processes asks; see `stream_app.provenance.peers`."""
    return peers.answer(pipelines, operators, parameters)


def _why(pipelines: Pipelines, operators: Operators, parameters: Parameters) -> dict[str, Any]:
    """Why `execution` is in `graphlet`; see `why`."""
    return why(pipelines, _text(parameters, "execution"), _text(parameters, "graphlet"), operators, WHY_EDGES_MAX)


def _decision(pipelines: Pipelines, _: Operators, parameters: Parameters) -> dict[str, Any] | None:
    """The record of `verdict`, which is given as a whole; see `decision_record`."""
    verdict = parameters.get("verdict")
    if not isinstance(verdict, dict) or not all(isinstance(verdict.get(name), str) for name in _OF_VERDICT):
        raise OptionsError("verdict: expected one in its JSON form")
    pipeline = pipelines.get(verdict["pipeline"])
    try:
        return decision_record(pipeline, verdict) if pipeline is not None else None
    except (KeyError, TypeError, ValueError) as error:
        raise OptionsError(f"verdict: {error}") from None


QUESTIONS: Mapping[str, Callable[[Pipelines, Operators, Parameters], Any]] = {
    PIPELINES_OF: lambda pipelines, _, parameters: pipelines_of(pipelines, _text(parameters, "run")),
    PIPELINES_WITH: lambda pipelines, _, parameters: pipelines_with(pipelines, _text(parameters, "trainer")),
    GRAPHLET: _graphlet,
    PORTRAITS: _portraits,
    FEATURES: _features,
    NAMES: _names,
    FULL_NAME: _full_name,
    LINEAGE: _lineage,
    WHY: _why,
    DECISION: _decision,
    POLICY: lambda pipelines, _, parameters: policy_of(pipelines, _text(parameters, "of")),
}


def _found(pipelines: Pipelines, graphlet: str) -> tuple[Pipeline, Graphlet] | None:
    name = parse_graphlet_id(graphlet)
    if name is None or name.trainer is None:
        return None
    pipeline = pipelines.get(name.pipeline)
    found = pipeline.graphlets.get(name.trainer) if pipeline is not None else None
    return (pipeline, found) if pipeline is not None and found is not None else None


def _wanted(parameters: Parameters) -> str:
    wanted = _text(parameters, "wanted")
    if wanted not in WANTED:
        raise OptionsError(f"wanted: expected one of {', '.join(WANTED)}")
    return wanted


def _text(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str):
        raise OptionsError(f"{name}: expected a text")
    return value
