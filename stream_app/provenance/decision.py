"""Why a run was stopped: all that a verdict was made of, so that anybody can make its probability again.

The probability is a function of the features, the past push rate and the model. The model is a function of the examples
log up to a place, which its version names. So the record names these, and what was decided and done with the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.core.acts import BY, KEEP, PREFIX, PROLONG, REASON, UNTIL, VALUE, WRONG
from stream_app.core.properties import PRUNED_BY, is_true
from stream_app.core.state.acts_on import acts_on
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.state.predictions import StagePrediction
from stream_app.times import time_to_text

VERSION = 1


def decision_record(pipeline: Pipeline, verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a verdict, while what it was made of is kept.

    Parameters
    ----------
    pipeline
        Its pipeline.
    verdict
        The JSON form of the verdict.

    Returns
    -------
    dict or None
        `verdict`; `features` by name, and the `baseline` (the pipeline's past push rate), as they were frozen;
        `examples`, the number of records of the examples log that the model had learned; `guard` and
        `flagged_budgets`, by which the policy decided; and what followed, as of `followed`. None where the stage is not
        kept any more.
    """
    stage = predicted_stage(pipeline, *(verdict[name] for name in ("run", "trainer", "stage", "validator")))
    if stage is None:
        return None
    return {
        "version": VERSION,
        "verdict": {name: value for name, value in verdict.items() if name != "nearest"},
        "features": features_of(stage),
        "baseline": stage.baseline,
        "examples": examples_of(str(verdict["model"])),
        "guard": stage.guard,
        "flagged_budgets": list(stage.flagged),
        **followed(pipeline, verdict),
    }


def followed(pipeline: Pipeline, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What people and hooks have done about a verdict.

    Parameters
    ----------
    pipeline
        Its pipeline.
    verdict
        The JSON form of the verdict.

    Returns
    -------
    dict
        `acts`, as of `acts_of`, and `stopped`, as of `stops`.
    """
    return {
        "acts": acts_of(pipeline, verdict["run"], verdict["trainer"]),
        "stopped": stops(pipeline, str(verdict["id"])),
    }


def acts_of(pipeline: Pipeline, run: str | None, trainer: str | None) -> list[dict[str, Any]]:
    """What people have decided about a run, or about a trainer that is in no run.

    Parameters
    ----------
    pipeline
        Its pipeline.
    run, trainer
        As of a verdict.

    Returns
    -------
    list of dict
        The last act of each kind: `act`; `by`, `reason` and `time`; `value` of keep and wrong, which is false where
        they were taken back; `until` of prolong.
    """
    subject = pipeline.graphlets.get(trainer) if trainer is not None else pipeline.runs.get(run or "")
    found = []
    for act in acts_on(pipeline, subject, KEEP, WRONG, PROLONG) if subject is not None else ():
        until, value = act.value_of(UNTIL), act.value_of(VALUE)
        made = {
            "act": act.type.removeprefix(PREFIX).lower(),
            "by": act.value_of(BY),
            "reason": act.value_of(REASON),
            "time": time_to_text(max(time_ms for time_ms, _ in (act.properties or {}).values())),
        }
        if value is not None:
            made["value"] = is_true(value)
        if isinstance(until, int | float):
            made["until"] = time_to_text(int(until))
        found.append(made)
    return found


def examples_of(model: str) -> int:
    """The number of records of the examples log that a version of the learner has learned.

    Parameters
    ----------
    model
        The version, as a verdict names it.

    Raises
    ------
    ValueError
        It is no version of this program.
    """
    count, _, names = model.partition("-")
    if not names or not count.isdecimal():
        raise ValueError(f"{model[:80]!r} is no version of a model")
    return int(count)


def stops(pipeline: Pipeline, verdict: str) -> list[dict[str, Any]]:
    """The executions that report that they were stopped by a verdict.

    Parameters
    ----------
    pipeline
        Their pipeline.
    verdict
        The id of the verdict.

    Returns
    -------
    list of dict
        `execution`, `type`, `run`, who stopped it (`by`; None: the run itself, or it is not known), and the `time` of
        the report, in the order of their ids.
    """
    found = []
    for execution in pipeline.executions.values():
        by = (execution.properties or {}).get(PRUNED_BY)
        if by is not None and by[1] == verdict:
            found.append(
                {
                    "execution": execution.id, "type": execution.type, "run": execution.run,
                    "by": execution.value_of(BY), "time": time_to_text(by[0]),
                }
            )  # fmt: skip
    return sorted(found, key=lambda each: str(each["execution"]))


def predicted_stage(
    pipeline: Pipeline, run: str | None, trainer: str | None, stage: str, validator: str | None
) -> StagePrediction | None:
    """A stage as it was predicted and frozen, while the label may still change.

    Parameters
    ----------
    pipeline
        The pipeline, which keeps it that long.
    run, trainer, stage, validator
        As of a verdict.

    Returns
    -------
    StagePrediction or None
        None where the pipeline does not have the stage any more.
    """
    subject = pipeline.graphlets.get(trainer) if trainer is not None else pipeline.runs.get(run or "")
    if subject is None or subject.predictions is None:
        return None
    found = (
        each for each in reversed(subject.predictions.stages) if (each.stage, each.validator) == (stage, validator)
    )
    return next(found, None)


def features_of(stage: StagePrediction) -> dict[str, float]:
    """The features of a stage: name to value."""
    return dict(zip(stage.names, stage.values, strict=True))
