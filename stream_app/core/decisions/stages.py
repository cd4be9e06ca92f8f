"""Which stages an event reaches: the moments at which a prediction is made.

`input`: the first event of group preprocess or train in a run, said of the run's provisional graphlet (of the
trainer's own when it has no run). `preprocess`: the trainer runs, the last moment that saves the training; a run
whose trainer runs at once has no `input` beside it. `train`: trained. `validate`: after each validator.
A stage whose moment had passed when its event came in is not made up for.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.core.events import COMPLETE, NEW, RUNNING
from stream_app.core.operators import PREPROCESS as PREPROCESS_GROUP
from stream_app.core.operators import TRAIN as TRAIN_GROUP
from stream_app.core.operators import VALIDATE as VALIDATE_GROUP
from stream_app.core.outputs import INPUT, OPEN, PREPROCESS, STAGES, SUPERSEDED, TRAIN, VALIDATE
from stream_app.core.state.entities import DOWN, Execution, Graphlet, Pipeline, Run, Talk

ORDER = {stage: position for position, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage to be predicted: of the run when `graphlet` is None."""

    stage: str
    run: Run | None
    graphlet: Graphlet | None
    validator: str | None = None


def reached(pipeline: Pipeline, execution: Execution) -> list[Reached]:
    """The stages that an event of this execution reaches, given that its facts are joined."""
    group = execution.group
    run = pipeline.runs.get(execution.run) if execution.run is not None else None
    found: list[Reached] = []
    if group == VALIDATE_GROUP:
        if execution.state == COMPLETE:
            found.extend(validated(run, execution))
    elif group in (PREPROCESS_GROUP, TRAIN_GROUP):
        graphlet = execution.graphlet
        if group == TRAIN_GROUP and graphlet is None:
            return []
        if execution.state == NEW or group == PREPROCESS_GROUP:
            stands_alone = run is None and graphlet is not None
            if stands_alone or before_training(run):
                found.extend(unless_said(Reached(INPUT, run, graphlet if run is None else None)))
        elif execution.state == RUNNING:
            found.extend(unless_said(Reached(PREPROCESS, run, graphlet)))
        elif execution.state == COMPLETE:
            found.extend(unless_said(Reached(TRAIN, run, graphlet)))
    return found


def before_training(run: Run | None) -> bool:
    """Whether there is a run that has not ended and in which no trainer has begun."""
    return run is not None and run.end_ms() is None and all(trainer.state == NEW for trainer in run.trainers)


def validated(run: Run | None, validator: Execution) -> list[Reached]:
    """Stage `validate` of every open graphlet that the validator judges, in a fixed order."""
    graphlets = [g for g, bits in (validator.members_of or {}).items() if bits & DOWN]
    graphlets.sort(key=lambda graphlet: graphlet.trainer.sort_key())
    return [
        stage
        for graphlet in graphlets
        if validator.run == graphlet.trainer.run
        for stage in unless_said(Reached(VALIDATE, run, graphlet, validator.id))
    ]


def unless_said(stage: Reached) -> list[Reached]:
    """The stage, unless it or a later one was said, the outcome is known, or the graphlet is oversized."""
    graphlet = stage.graphlet
    talk: Talk | None
    if graphlet is not None:
        # Overtaken by a later one's push, it may still be under way.
        if (graphlet.kind != OPEN and graphlet.cause != SUPERSEDED) or graphlet.said_kind or graphlet.oversized:
            return []
        talk = graphlet.talk
    else:
        assert stage.run is not None
        if stage.run.said_kind:
            return []
        talk = stage.run.talk
    if talk is not None:
        for said in talk.stages:
            if said.stage == stage.stage and said.validator == stage.validator:
                return []
            if ORDER[said.stage] > ORDER[stage.stage]:
                return []
    return [stage]
