"""A short history of one pipeline, which tests tell through different sources. Standard library only: the script that
makes the golden stores imports it where nothing of the project is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PIPELINE = "digits"
#: Accuracies of four trainings, such as `trained.accuracies` finds; a model that beats the last pushed one is pushed.
ACCURACIES = (0.82, 0.79, 0.91, 0.90)

Value = str | int | float | bool


@dataclass
class Artifact:
    """One version of something; its name is unique."""

    name: str
    type: str
    properties: dict[str, Value] = field(default_factory=dict)


@dataclass
class Step:
    """One execution; times are minutes, the end is None while it runs."""

    name: str
    type: str
    run: str
    start: float
    end: float | None
    state: str = "COMPLETE"
    reads: list[Artifact] = field(default_factory=list)
    writes: list[Artifact] = field(default_factory=list)
    properties: dict[str, Value] = field(default_factory=dict)


def history(accuracies: Sequence[float] = ACCURACIES) -> list[Step]:
    """Runs of a pipeline, one per accuracy, then four that come to nothing: hung, cached, canceled, failed.

    Every Pusher ends COMPLETE; only its output says whether it pushed. All runs read one schema, and each evaluator
    the model pushed last as its baseline.
    """
    schema = Artifact("schema", "Schema")
    steps, baseline, best = [], None, 0.0
    for index, accuracy in enumerate(accuracies):
        better = accuracy > best
        steps += _run(f"r{index}", 60.0 * index, accuracy, better, schema, baseline)
        if better:
            best, baseline = accuracy, steps[-4].writes[0]
    start = 60.0 * len(accuracies)
    return [
        *steps,
        *_begun("hung", start, schema, "RUNNING"),
        *_cached("cached", start + 60, steps[:4]),
        Step("cached/end", "PipelineRun", "cached", start + 60, start + 64),
        Step("canceled/train", "Trainer", "canceled", start + 120, start + 121, "CANCELED"),
        Step("canceled/end", "PipelineRun", "canceled", start + 120, start + 122, "CANCELED"),
        *_begun("failed", start + 180, schema, "FAILED"),
        Step("failed/end", "PipelineRun", "failed", start + 180, start + 210, "FAILED"),
    ]


def _run(
    run: str, start: float, accuracy: float, better: bool, schema: Artifact, baseline: Artifact | None
) -> list[Step]:
    """A run that trains: ingestion, statistics, preparation, training, evaluation, push or not, its end."""
    model = Artifact(f"{run}/model", "Model")
    blessing = Artifact(f"{run}/blessing", "ModelBlessing", {"blessed": int(better), "accuracy": accuracy})
    pushed = Artifact(f"{run}/pushed", "PushedModel", {"pushed": int(better)})
    begun = _begun(run, start, schema, "COMPLETE")
    begun[-1].writes = [model]
    begun[-1].properties["accuracy"] = accuracy
    judged = [model, *([baseline] if baseline is not None else [])]
    evaluate = Step(f"{run}/evaluate", "Evaluator", run, start + 30, start + 33, reads=judged, writes=[blessing])
    push = Step(f"{run}/push", "Pusher", run, start + 34, start + 35, reads=[model, blessing], writes=[pushed])
    return [*begun, evaluate, push, Step(f"{run}/end", "PipelineRun", run, start, start + 36)]


def _begun(run: str, start: float, schema: Artifact, state: str) -> list[Step]:
    """A run up to its trainer, which is in this state."""
    examples = Artifact(f"{run}/examples", "Examples", {"span": run})
    statistics = Artifact(f"{run}/statistics", "ExampleStatistics")
    transformed = Artifact(f"{run}/transformed", "TransformGraph")
    trainer = Step(
        f"{run}/train",
        "Trainer",
        run,
        start + 10,
        None if state == "RUNNING" else start + 29,
        state,
        reads=[examples, transformed],
        properties={"owner": "vision", "model_type": "linear", "code_version": "c1"},
    )
    return [
        Step(f"{run}/ingest", "CsvExampleGen", run, start, start + 2, writes=[examples]),
        Step(f"{run}/look", "StatisticsGen", run, start + 3, start + 4, reads=[examples, schema], writes=[statistics]),
        Step(f"{run}/prepare", "Transform", run, start + 3, start + 9, reads=[examples, schema], writes=[transformed]),
        trainer,
    ]


def _cached(run: str, start: float, of: Sequence[Step]) -> list[Step]:
    """A run whose every step was skipped: its outputs are those of an earlier run."""
    return [
        Step(
            f"{run}/{step.name.split('/')[1]}",
            step.type,
            run,
            start + order,
            start + order,
            "CACHED",
            reads=step.reads,
            writes=step.writes,
        )
        for order, step in enumerate(of)
    ]
