"""The default fleet shows what real pipelines do to a detector: one named check each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest

from stream_app.core.operators import Operators
from stream_app.core.units import HOUR_MS
from tests.simulator.recorded_fleet import RecordedFleet, cost, inputs, output_property, outputs, state, time_ms

Check = Callable[[RecordedFleet], int]


def shared_spans(recorded: RecordedFleet) -> int:
    """Spans that trainers of several runs read."""
    runs = defaultdict(set)
    for trainer in recorded.of_type("Trainer"):
        for span in inputs(trainer, "Examples"):
            runs[span].add(trainer[0].get("run"))
    return sum(len(readers) > 1 for readers in runs.values())


def hub_schemas(recorded: RecordedFleet) -> int:
    """Schemas that over ten executions read."""
    readers = Counter(s for events in recorded.executions.values() for s in inputs(events, "Schema"))
    return sum(count > 10 for count in readers.values())


def several_trainers(recorded: RecordedFleet) -> int:
    """Runs with more than one trainer, retries apart."""
    runs = Counter(t[0].get("run") for t in recorded.of_type("Trainer") if "~" not in t[0]["execution"]["id"])
    return sum(count > 1 for run, count in runs.items() if run)


def warm_starts(recorded: RecordedFleet) -> int:
    """Trainers that read a model."""
    return sum(bool(inputs(trainer, "Model")) for trainer in recorded.of_type("Trainer"))


def baselines(recorded: RecordedFleet) -> int:
    """Evaluators that read the served model beside the candidate."""
    return sum(len(inputs(evaluator, "Model")) == 2 for evaluator in recorded.of_type("Evaluator"))


def resolvers(recorded: RecordedFleet) -> int:
    """Resolvers that read and write the same model."""
    return sum(inputs(r, "Model") == outputs(r, "Model") != [] for r in recorded.of_type("Resolver"))


def tuners(recorded: RecordedFleet) -> int:
    """Trainers that read what a tuner found."""
    return sum(bool(inputs(trainer, "HyperParameters")) for trainer in recorded.of_type("Trainer"))


def infrastructure_refusals(recorded: RecordedFleet) -> int:
    """Models that the infrastructure would not serve."""
    return sum(output_property(v, "InfraBlessing", "blessed") == 0 for v in recorded.of_type("InfraValidator"))


def cached_steps(recorded: RecordedFleet) -> int:
    """Cached steps before training."""
    return sum(e["execution"]["type"] == "Transform" for e in recorded.with_state("CACHED"))


def cached_trainers(recorded: RecordedFleet) -> int:
    """Cached trainers."""
    return sum(e["execution"]["type"] == "Trainer" for e in recorded.with_state("CACHED"))


def runs_without_trainer(recorded: RecordedFleet) -> int:
    """Runs that failed before anything was trained."""
    trained = {trainer[0].get("run") for trainer in recorded.of_type("Trainer")}
    return sum(state(run) == "FAILED" and run[0]["run"] not in trained for run in recorded.of_type("PipelineRun"))


def retries(recorded: RecordedFleet) -> int:
    """Failed executions that were tried again under another id, and then completed."""
    again = ((p, x) for (p, x) in recorded.executions if x.endswith("~2"))
    return sum(
        state(recorded.executions[p, x]) == "COMPLETE" and state(recorded.executions[p, x[:-2]]) == "FAILED"
        for p, x in again
    )


def broken_streaks(recorded: RecordedFleet) -> int:
    """Streaks of three or more failed trainers in a row under one code version."""
    trainers = defaultdict(list)
    for trainer in recorded.of_type("Trainer"):
        version = next(
            (e["properties"]["code_version"] for e in trainer if "code_version" in e.get("properties", {})), ""
        )
        trainers[trainer[0]["pipeline"]].append((time_ms(trainer[0]), version, state(trainer)))
    streaks = 0
    for history in trainers.values():
        length = 0
        for before, now in pairwise(sorted(history)):
            length = length + 1 if before[1:] == now[1:] and now[2] == "FAILED" else 0
            streaks += length == 2
    return streaks


def throttled_pushes(recorded: RecordedFleet) -> int:
    """Blessed models that their Pusher refused."""
    blessed = set()
    for evaluator in recorded.of_type("Evaluator"):
        if output_property(evaluator, "ModelBlessing", "blessed"):
            blessed.update(outputs(evaluator, "ModelBlessing"))
    return sum(
        output_property(pusher, "PushedModel", "pushed") == 0
        and not blessed.isdisjoint(inputs(pusher, "ModelBlessing"))
        for pusher in recorded.of_type("Pusher")
    )


def refused_pushes(recorded: RecordedFleet) -> int:
    """Pushers that completed without a push."""
    return sum(output_property(pusher, "PushedModel", "pushed") == 0 for pusher in recorded.of_type("Pusher"))


def never_pushing(recorded: RecordedFleet) -> int:
    """Pipelines that trained 15 models and more and pushed none."""
    trained = Counter(row["pipeline"] for row in recorded.truth)
    pushed = {row["pipeline"] for row in recorded.truth if row["pushed"]}
    return sum(count >= 15 and pipeline not in pushed for pipeline, count in trained.items())


def late_pushes(recorded: RecordedFleet) -> int:
    """Pushes hours after the end of the run that trained the model."""
    ended = {r[0]["run"]: max(map(time_ms, r)) for r in recorded.of_type("PipelineRun") if state(r) == "COMPLETE"}
    late = 0
    for pusher in recorded.of_type("Pusher"):
        run = pusher[0]["execution"]["id"].partition("-release")[0]
        late += run in ended and time_ms(pusher[0]) - ended[run] > 2 * HOUR_MS
    return late


def releases_of_their_own(recorded: RecordedFleet) -> int:
    """Pushes in a run that only pushes."""
    return sum("-release" in pusher[0].get("run", "") for pusher in recorded.of_type("Pusher"))


def pushes_without_run(recorded: RecordedFleet) -> int:
    """Pushes outside of any run, in pipelines that have runs."""
    return sum("run" not in p[0] and "-release" in p[0]["execution"]["id"] for p in recorded.of_type("Pusher"))


def hung_runs(recorded: RecordedFleet) -> int:
    """Runs with a step that started and never ended, and so never ended themselves."""
    open_runs = {run[0]["run"] for run in recorded.of_type("PipelineRun") if state(run) == "RUNNING"}
    return sum(
        trainer[0].get("run") in open_runs for trainer in recorded.of_type("Trainer") if state(trainer) == "RUNNING"
    )


def cancelled_runs(recorded: RecordedFleet) -> int:
    """Runs that people cancelled."""
    return sum(e["execution"]["type"] == "PipelineRun" for e in recorded.with_state("CANCELED"))


def overlapping_runs(recorded: RecordedFleet) -> int:
    """Runs of a pipeline that started before the one before had ended."""
    spans = defaultdict(list)
    for run in recorded.of_type("PipelineRun"):
        times = [time_ms(event) for event in run]
        spans[run[0]["pipeline"]].append((min(times), max(times)))
    return sum(now[0] < before[1] for runs in spans.values() for before, now in pairwise(sorted(runs)))


def data_shifts(recorded: RecordedFleet) -> int:
    """Spans whose statistics moved over four times as far as is usual for their pipeline."""
    moves = defaultdict(list)
    for statistics in recorded.of_type("StatisticsGen"):
        if (moved := output_property(statistics, "ExampleStatistics", "drift_distance")) is not None:
            moves[statistics[0]["pipeline"]].append(moved)
    return sum(moved > 4 * sorted(all_)[len(all_) // 2] for all_ in moves.values() for moved in all_)


def anomalies(recorded: RecordedFleet) -> int:
    """Spans in which validation found anomalies."""
    return sum(bool(output_property(v, "ExampleAnomalies", "anomalies")) for v in recorded.of_type("ExampleValidator"))


def code_changes(recorded: RecordedFleet) -> int:
    """Pipelines whose trainers ran several code versions."""
    versions = defaultdict(set)
    for event in recorded.events:
        if "code_version" in event.get("properties", {}):
            versions[event["pipeline"]].add(event["properties"]["code_version"])
    return sum(len(found) > 1 for found in versions.values())


def late_events(recorded: RecordedFleet) -> int:
    """Events that arrived after one that happened over an hour later."""
    late, newest = 0, 0
    for event in recorded.events:
        newest = max(newest, time_ms(event))
        late += newest - time_ms(event) > HOUR_MS
    return late


def doubled_events(recorded: RecordedFleet) -> int:
    """Events that arrived twice."""
    return len(recorded.events) - len({event["id"] for event in recorded.events})


def lost_events(recorded: RecordedFleet) -> int:
    """Executions told to have ended, but never to have started."""
    return sum(
        state(events) in ("COMPLETE", "FAILED") and not any(e["execution"]["state"] == "RUNNING" for e in events)
        for events in recorded.executions.values()
    )


def runless_pipelines(recorded: RecordedFleet) -> int:
    """Pipelines that tell of no runs."""
    return len({e["pipeline"] for e in recorded.events} - {e["pipeline"] for e in recorded.events if "run" in e})


def standalone_trainers(recorded: RecordedFleet) -> int:
    """Trainers without a run in pipelines that have runs."""
    with_runs = {e["pipeline"] for e in recorded.events if "run" in e}
    return sum("run" not in t[0] and t[0]["pipeline"] in with_runs for t in recorded.of_type("Trainer"))


def runs_without_end(recorded: RecordedFleet) -> int:
    """Pipelines that name runs, but never tell of a run's start and end."""
    told_of = {run[0]["pipeline"] for run in recorded.of_type("PipelineRun")}
    return len({e["pipeline"] for e in recorded.events if "run" in e} - told_of)


def costless_pipelines(recorded: RecordedFleet) -> int:
    """Pipelines that tell no costs."""
    return len({e["pipeline"] for e in recorded.events} - {e["pipeline"] for e in recorded.events if "cost" in e})


def growing_costs(recorded: RecordedFleet) -> int:
    """Executions whose cost is told several times while it grows."""
    return sum(len({e["cost"]["node_seconds"] for e in t if "cost" in e}) > 2 for t in recorded.of_type("Trainer"))


def queued_steps(recorded: RecordedFleet) -> int:
    """Steps told of before they start."""
    return len(recorded.with_state("NEW"))


def owners_of_several(recorded: RecordedFleet) -> int:
    """Owners of more than one pipeline."""
    owned = defaultdict(set)
    for event in recorded.events:
        if "owner" in event.get("properties", {}):
            owned[event["properties"]["owner"]].add(event["pipeline"])
    return sum(len(pipelines) > 1 for pipelines in owned.values())


def model_types(recorded: RecordedFleet) -> int:
    """Kinds of models."""
    return len({e["properties"]["model_type"] for e in recorded.events if "model_type" in e.get("properties", {})})


def evaluator_metrics(recorded: RecordedFleet) -> int:
    """Evaluations that measure the candidate and the served model."""
    measured = (e["properties"] for v in recorded.of_type("Evaluator") for e in v if "properties" in e)
    return sum(
        any(f"baseline_{name}" in found and name in found for name in ("accuracy", "auc", "rmse")) for found in measured
    )


def unblessed_models(recorded: RecordedFleet) -> int:
    """Models that were found no better than the served one."""
    return sum(output_property(v, "ModelBlessing", "blessed") == 0 for v in recorded.of_type("Evaluator"))


CHECKS: tuple[tuple[Check, int], ...] = (
    (shared_spans, 1000),
    (hub_schemas, 50),
    (several_trainers, 200),
    (warm_starts, 200),
    (baselines, 200),
    (resolvers, 200),
    (tuners, 20),
    (infrastructure_refusals, 10),
    (cached_steps, 50),
    (cached_trainers, 20),
    (runs_without_trainer, 20),
    (retries, 10),
    (broken_streaks, 5),
    (throttled_pushes, 100),
    (refused_pushes, 500),
    (never_pushing, 5),
    (late_pushes, 5),
    (releases_of_their_own, 3),
    (pushes_without_run, 3),
    (hung_runs, 5),
    (cancelled_runs, 20),
    (overlapping_runs, 50),
    (data_shifts, 20),
    (anomalies, 50),
    (code_changes, 20),
    (late_events, 50),
    (doubled_events, 50),
    (lost_events, 10),
    (runless_pipelines, 2),
    (standalone_trainers, 10),
    (runs_without_end, 2),
    (costless_pipelines, 2),
    (growing_costs, 100),
    (queued_steps, 500),
    (owners_of_several, 10),
    (model_types, 5),
    (evaluator_metrics, 500),
    (unblessed_models, 500),
)


@pytest.mark.parametrize(("check", "least"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_the_default_fleet_shows_it(recorded: RecordedFleet, check: Check, least: int) -> None:
    """Four days of the default fleet hold at least so many of these."""
    assert check(recorded) >= least


def test_no_pipeline_dominates_the_compute(recorded: RecordedFleet) -> None:
    """The largest pipeline of 200 uses at most 5 % of the fleet's compute."""
    spent = Counter[str]()
    for (pipeline, _), events in recorded.executions.items():
        spent[pipeline] += cost(events)

    assert max(spent.values()) <= 0.05 * sum(spent.values())


def test_trainers_take_most_of_the_compute_and_validators_some(recorded: RecordedFleet) -> None:
    """Trainers take 60 to 80 % of it, validators at least 5 %."""
    spent = Counter[str]()
    for events in recorded.executions.values():
        spent[Operators().group(events[0]["execution"]["type"])] += cost(events)
    total = sum(spent.values())

    assert 0.6 <= spent["train"] / total <= 0.8
    assert spent["validate"] / total >= 0.05


def test_artifacts_and_executions_name_their_pipeline(recorded: RecordedFleet) -> None:
    """Ids of one pipeline never meet those of another, so no store can join them by mistake."""
    for event in recorded.events:
        ids = [event["execution"]["id"], *(a["id"] for a in event.get("inputs", []) + event.get("outputs", []))]

        assert all(name.startswith(event["pipeline"]) for name in ids)


def test_trainers_side_by_side_tell_their_tasks(recorded: RecordedFleet) -> None:
    """They read the same data with the same code, and are no repeats of each other."""
    tasks: dict[str, list[str | None]] = defaultdict(list)
    for trainer in recorded.of_type("Trainer"):
        reported = [event["properties"] for event in trainer if "model_type" in event.get("properties", {})]
        if reported and "~" not in trainer[0]["execution"]["id"] and trainer[0].get("run"):
            tasks[trainer[0]["run"]].append(reported[0].get("task"))

    several = [found for found in tasks.values() if len(found) > 1]
    assert len(several) > 10
    assert all(None not in found and len(set(found)) == len(found) for found in several)
