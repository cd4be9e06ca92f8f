"""One run, planned whole when it starts: which steps it takes, how they end, and what that leaves behind.

The plan draws everything at once, so that a pruned run and its twin that ran on are the same up to the cut.
What is drawn early is not *known* early: the chances reported with each trainer use only what has happened by
their stage.
"""

from __future__ import annotations

from functools import partial

from stream_app.core.events import CANCELED, COMPLETE, FAILED, RUNNING
from stream_app.simulator.hidden import Span
from stream_app.simulator.pipeline import Pipeline
from stream_app.simulator.pipeline_state import odds, take_turn
from stream_app.simulator.simulated_run import Candidate
from stream_app.simulator.steps import HUNG, Json, Step, Work, artifact
from stream_app.simulator.timeline import Timeline

#: Shares of a usual run's compute, and of a Trainer's time, by operator.
COST = {"ExampleGen": 0.03, "StatisticsGen": 0.02, "Transform": 0.12, "Tuner": 0.4, "Trainer": 0.7}
COST |= {"Evaluator": 0.1, "InfraValidator": 0.02}
TIME = {"ExampleGen": 0.15, "StatisticsGen": 0.1, "Transform": 0.4, "Tuner": 0.7, "Trainer": 1.0}
TIME |= {"Evaluator": 0.25, "InfraValidator": 0.1}
#: Seconds of the operators that are always small, and the least of the others.
SMALL, LEAST = 45.0, 20.0
#: A run catches up with at most so many spans.
CATCH_UP = 8
#: Steps that become ready together start this far apart.
STAGGER_MS = 1000


class Plan:
    """A run in the making: its timeline, its candidates, and the last attempt at each of its steps."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.start_ms, self.number = pipeline.start_run()
        self.traits = traits = pipeline.traits
        self.key = f"{traits.name}-{self.number:05d}"
        self.timeline = Timeline(pipeline.seed, traits, self.key, self.key if traits.reports_runs else None)
        self.turn = take_turn(traits, pipeline.state, pipeline.rules, self.key, self.start_ms)
        #: Attempts at a step before it has failed.
        self.attempts = 2 if traits.retries else 1
        self.candidates: list[Candidate] = []
        self.steps: list[Step] = []
        #: The newest span the run reads, and the training window as artifacts.
        self.span: Span = pipeline.spans.recent[-1]
        self.window: list[Json] = []
        self.schema: list[Json] = []
        #: Steps of releases, which are no part of the run.
        self.releases: list[Timeline] = []

    @property
    def fingerprint(self) -> tuple[int, str]:
        """What cached steps depend on."""
        return self.span.index, self.pipeline.code.version

    def work(self, operator: str, label: str = "", cost_share: float = 1.0) -> Work:
        """Work of the usual size, under the operator's own name where no label is given."""
        traits = self.traits
        seconds = max(LEAST, TIME[operator] * traits.train_seconds) if operator in TIME else SMALL
        nodes = COST.get(operator, 0.0005) * cost_share * traits.run_cost / seconds if traits.reports_cost else 1.0
        chance = odds(operator, self.pipeline.code.broken)
        properties: Json = {}
        if operator in ("Transform", "Tuner", "Trainer"):
            properties["code_version"] = self.pipeline.code.version
        return Work(operator, label or operator, seconds, nodes, chance, properties=properties)

    def perform(self, ready_ms: int, work: Work) -> Step:
        """Do the work, with the pipeline's retries."""
        step = self.timeline.perform(ready_ms, work, self.attempts)
        self.steps.append(step)
        return step

    def begin(self) -> int:
        """Tell of the run's start. Returns when its first steps are ready."""
        traits = self.traits
        if traits.reports_run_ends:
            properties = {
                "owner": traits.owner,
                "model_type": traits.model_type,
                "code_version": self.pipeline.code.version,
                "simulated": True,  # no report on it should be taken for one on a real fleet
            }
            self.timeline.emit(self.start_ms, self.key, "PipelineRun", RUNNING, properties=properties)
        return self.start_ms + 5000

    def ingest(self, ready_ms: int) -> int | None:
        """Take in the spans that are new, or find the last one cached.

        Returns when the data is there, if ever.
        """
        pipeline_state, name = self.pipeline.state, self.traits.name
        new = [span for span in self.pipeline.spans.recent if span.index > pipeline_state.ingested][-CATCH_UP:]
        done_ms = ready_ms
        if pipeline_state.schema is not None:
            self.schema = [artifact(pipeline_state.schema, "Schema")]
        for place, span in enumerate(new):
            suffix = f".{place + 1}" if len(new) > 1 else ""
            ended_ms = self._ingest_span(ready_ms + place * STAGGER_MS, span, suffix)
            if ended_ms is None:
                return None
            done_ms = max(done_ms, ended_ms)
        if not new:
            examples, statistics = _examples(name, self.span), _statistics(name, self.span)
            self.timeline.cached(ready_ms, "ExampleGen", "ExampleGen", [], [examples])
            self.timeline.cached(ready_ms + 1, "StatisticsGen", "StatisticsGen", [examples], [statistics])
        pipeline_state.ingested = self.span.index
        first = max(1, self.span.index - self.traits.window + 1)
        self.window = [artifact(f"{name}/examples/{index}", "Examples") for index in range(first, self.span.index + 1)]
        return done_ms + STAGGER_MS

    def _ingest_span(self, ready_ms: int, span: Span, suffix: str) -> int | None:
        name = self.traits.name
        work = self.work("ExampleGen", f"ExampleGen{suffix}")
        work.prunable = False
        work.outputs = [_examples(name, span)]
        step = self.perform(ready_ms, work)
        if step.state != COMPLETE:
            return None
        end_ms = self._analyse("StatisticsGen", step.end_ms, [_examples(name, span)], [_statistics(name, span)], suffix)
        statistics = [artifact(f"{name}/statistics/{span.index}", "ExampleStatistics")]
        if not self.schema or (self.traits.schema == "run" and suffix in ("", ".1")):
            schema = f"{name}/schema/{self.number}"
            self.schema = [artifact(schema, "Schema")]
            end_ms = self._analyse("SchemaGen", end_ms, statistics, self.schema, "")
            self.pipeline.state.schema = schema
        found = artifact(f"{self.key}/anomalies{suffix}", "ExampleAnomalies", anomalies=span.anomalies)
        self._analyse("ExampleValidator", end_ms, statistics + self.schema, [found], suffix)
        return end_ms

    def _analyse(self, operator: str, ready_ms: int, inputs: list[Json], outputs: list[Json], suffix: str) -> int:
        work = self.work(operator, f"{operator}{suffix}")
        work.inputs, work.outputs, work.prunable = inputs, outputs, False
        return self.perform(ready_ms, work).end_ms

    def transform(self, ready_ms: int) -> tuple[int | None, list[Json]]:
        """Preprocess the window. Returns when that is done, if ever, and what the trainers read."""
        pipeline_state = self.pipeline.state
        inputs = self.window + self.schema
        if not self.traits.has_transform:
            return ready_ms, inputs
        if (
            pipeline_state.transformed
            and pipeline_state.transformed[0] == self.fingerprint
            and self.traits.caches != "none"
        ):
            graph = artifact(pipeline_state.transformed[1], "TransformGraph")
            self.timeline.allow_prune(ready_ms)
            self.timeline.cached(ready_ms, "Transform", "Transform", inputs, [graph])
            return ready_ms + STAGGER_MS, [*self.window, graph]
        work = self.work("Transform")
        graph = artifact(f"{self.key}/transform_graph", "TransformGraph")
        work.inputs, work.outputs = inputs, [graph]
        step = self.perform(ready_ms, work)
        if step.state != COMPLETE:
            return None, []
        self.timeline.do(step.end_ms, partial(pipeline_state.transform, graph["id"], self.fingerprint))
        return step.end_ms, [*self.window, graph]

    def tune(self, ready_ms: int, inputs: list[Json]) -> tuple[int | None, list[Json]]:
        """Search hyperparameters where this run is one that does. Returns as `transform` does."""
        every = self.traits.tunes_every
        if not every or self.number % every:
            return ready_ms, inputs
        work = self.work("Tuner")
        found = artifact(f"{self.key}/hyperparameters", "HyperParameters")
        work.inputs, work.outputs = inputs, [found]
        step = self.perform(ready_ms, work)
        return (step.end_ms, [*inputs, found]) if step.state == COMPLETE else (None, [])

    def finish(self) -> None:
        """Tell of the run's end, unless a step of it hangs, and put everything in order of time."""
        timeline = self.timeline
        states = {step.state for step in self.steps}
        end_ms = max([self.start_ms + 5000, *(step.end_ms for step in timeline.steps)]) + STAGGER_MS
        if self.traits.reports_run_ends and HUNG not in states:
            state = next((state for state in (FAILED, CANCELED) if state in states), COMPLETE)
            timeline.emit(end_ms, self.key, "PipelineRun", state)
        if self.turn.due:
            timeline.at_end(end_ms, partial(self.pipeline.state.release, self.key))
        for release in self.releases:
            timeline.moments += release.moments
        timeline.moments.sort(key=lambda moment: moment[0])


def _examples(name: str, span: Span) -> Json:
    return artifact(f"{name}/examples/{span.index}", "Examples", span=span.index, examples=span.examples)


def _statistics(name: str, span: Span) -> Json:
    distance = span.drift_distance
    return artifact(f"{name}/statistics/{span.index}", "ExampleStatistics", drift_distance=distance)
