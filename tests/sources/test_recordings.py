"""What real integrations sent, recorded once, gives the graphlets, outcomes and costs of what really happened.

`scripts/record_airflow.py` and `scripts/record_spark.py` ran the pipelines and wrote the recordings. Costs are compared
with the recorded times in whole milliseconds.
"""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path

import pytest

from tests.support.recordings import FOLDER, Found, JobRun, Recording, cost_ms, node_ms, recording, replayed

NAMES = sorted(str(path.relative_to(FOLDER)).removesuffix(".jsonl.gz") for path in FOLDER.rglob("*.jsonl.gz"))


def ids(*runs: JobRun) -> list[str]:
    """Their run ids, sorted as those of members are."""
    return sorted(run.id for run in runs)


def outcome(graphlet: dict[str, object]) -> tuple[object, object]:
    """How a graphlet ended, and why."""
    return graphlet["outcome"], graphlet["cause"]


def of(name: str, folder: Path) -> tuple[Recording, Found]:
    """A recording and what a replay makes of it."""
    events = recording(name)
    return events, replayed(events.lines, folder)


# Airflow


def test_airflow_deploys_one_of_two_trainings(tmp_path: Path) -> None:
    """The second run branches away from its deployment; tasks without data are in no graphlet, and cost nonetheless."""
    events, found = of("airflow/training", tmp_path)
    dag = "fraud_training"
    runs, trainings, evaluations = events.runs(dag), events.runs(f"{dag}.train_model"), events.runs(f"{dag}.evaluate")
    preparations, deployment = events.runs(f"{dag}.prepare"), events.run(f"{dag}.deploy_model")
    first, second = (found.graphlets[training.id] for training in trainings)

    assert len(found.graphlets) == 2
    assert [each["pipeline"] for each in (first, second)] == ["airflow/fraud_training"] * 2
    assert [each["run"] for each in (first, second)] == [run.id for run in runs]
    assert [outcome(each) for each in (first, second)] == [("pushed", None), ("not_pushed", "run_ended")]
    assert [each["up"] for each in (first, second)] == [ids(each) for each in preparations]
    assert (first["down"], second["down"]) == (ids(evaluations[0], deployment), ids(evaluations[1]))
    useful = node_ms(preparations[0], trainings[0], evaluations[0], deployment)
    wasted = node_ms(preparations[1], trainings[1], evaluations[1])
    assert (cost_ms(first), cost_ms(second)) == (useful, wasted)
    assert [cost_ms(each, ["train"]) for each in (first, second)] == [node_ms(each) for each in trainings]
    others = node_ms(*events.runs(f"{dag}.accept"), events.run(f"{dag}.stop"))
    assert (found.compute_ms("useful"), found.compute_ms("wasted")) == (useful, wasted)
    assert (found.compute_ms("pending"), found.compute_ms("unattributed")) == (0, others)


def test_airflow_deployment_that_skips_itself_is_no_push(tmp_path: Path) -> None:
    """Its task ends COMPLETE, with the outlets it never wrote; only the end of the DAG's run names it as skipped."""
    events, found = of("airflow/skipped", tmp_path)
    training = events.run("fraud_training.train_model")

    assert list(found.graphlets) == [training.id]
    assert outcome(found.graphlets[training.id])[0] == "not_pushed"
    assert found.compute_ms("useful") == 0


def test_airflow_retry_belongs_to_the_training_it_repeats(tmp_path: Path) -> None:
    """Each try has a run id; the failed try is work of the model that the second one made."""
    events, found = of("airflow/retried", tmp_path)
    dag = "churn_training"
    tries = events.runs(f"{dag}.train_model")
    others = [events.run(f"{dag}.{task}") for task in ("prepare", "evaluate", "deploy_model")]
    (graphlet,) = found.graphlets.values()

    assert [each.end for each in tries] == ["FAIL", "COMPLETE"]
    assert outcome(graphlet) == ("pushed", None)
    assert graphlet["run"] == events.run(dag).id
    assert cost_ms(graphlet, ["train"]) == node_ms(*tries)
    assert cost_ms(graphlet) == node_ms(*tries, *others) == found.compute_ms("useful")
    assert found.compute_ms("wasted") == 0


def test_airflow_dags_with_dots_in_their_ids_are_pipelines_of_their_own(tmp_path: Path) -> None:
    """Two DAGs of a team share the first part of their ids and nothing else."""
    events, found = of("airflow/dotted", tmp_path)
    fraud, churn = events.run("team.fraud.v2.train_model"), events.run("team.churn.train_model")
    graphlets = found.graphlets

    assert set(graphlets) == {fraud.id, churn.id}
    assert graphlets[fraud.id]["pipeline"] == "airflow/team.fraud.v2"
    assert graphlets[churn.id]["pipeline"] == "airflow/team.churn"
    assert graphlets[fraud.id]["run"] == events.run("team.fraud.v2").id
    assert graphlets[churn.id]["run"] == events.run("team.churn").id
    assert outcome(graphlets[fraud.id]) == ("pushed", None)
    assert outcome(graphlets[churn.id]) == ("not_pushed", "run_ended")
    for dag, graphlet, tasks in (
        ("team.fraud.v2", graphlets[fraud.id], ("prepare", "train_model", "evaluate", "deploy_model")),
        ("team.churn", graphlets[churn.id], ("prepare", "train_model", "evaluate")),
    ):
        assert cost_ms(graphlet) == node_ms(*(events.run(f"{dag}.{task}") for task in tasks))


def test_airflow_mapped_trainings_have_a_graphlet_each(tmp_path: Path) -> None:
    """Four runs of one task: one fails, one is deployed, and two are not; all share one preparation."""
    events, found = of("airflow/mapped", tmp_path)
    dag = "ranking_search"
    trainings = {next(iter(run.outputs), None): run for run in events.runs(f"{dag}.train")}
    prepare, evaluate, deploy = (events.run(f"{dag}.{task}") for task in ("prepare", "evaluate", "deploy"))
    deployed = f"{dag}/model@search-2"

    assert set(found.graphlets) == {run.id for run in trainings.values()}
    for model, run in trainings.items():
        graphlet = found.graphlets[run.id]
        down = [] if model is None else [evaluate, deploy] if model == deployed else [evaluate]
        failed_or_ended = ("not_pushed", "failed" if model is None else "run_ended")
        assert outcome(graphlet) == (("pushed", None) if model == deployed else failed_or_ended)
        assert (graphlet["up"], graphlet["down"]) == (ids(prepare), ids(*down))
        assert cost_ms(graphlet) == node_ms(prepare, run, *down)
    not_deployed = [run for model, run in trainings.items() if model != deployed]
    assert found.compute_ms("wasted") == node_ms(*not_deployed)
    assert found.compute_ms("useful") == node_ms(prepare, trainings[deployed], evaluate, deploy)
    assert found.compute_ms("unattributed") == 0


def test_airflow_cleared_run_is_a_second_run_on_the_data_of_the_first(tmp_path: Path) -> None:
    """Its first training failed and is waste; what prepared the data served the second, which was deployed."""
    events, found = of("airflow/cleared", tmp_path)
    dag = "ltv_training"
    runs, trainings = events.runs(dag), events.runs(f"{dag}.train_model")
    prepare, evaluate, deploy = (events.run(f"{dag}.{task}") for task in ("prepare", "evaluate", "deploy_model"))
    first, second = (found.graphlets[training.id] for training in trainings)

    assert len(found.graphlets) == 2
    assert [each["run"] for each in (first, second)] == [run.id for run in runs]
    assert [outcome(each) for each in (first, second)] == [("not_pushed", "failed"), ("pushed", None)]
    assert (first["up"], second["up"]) == (ids(prepare), ids(prepare))
    assert (first["down"], second["down"]) == ([], ids(evaluate, deploy))
    assert found.compute_ms("wasted") == node_ms(trainings[0])
    assert found.compute_ms("useful") == node_ms(prepare, trainings[1], evaluate, deploy)


def test_airflow_task_groups_are_no_pipelines(tmp_path: Path) -> None:
    """The names of their tasks have more dots; the last part says what a task does."""
    events, found = of("airflow/grouped", tmp_path)
    dag = "grouped_training"
    tasks = [
        events.run(f"{dag}.{task}") for task in ("data.prepare", "modeling.gpu.train_model", "release.deploy_model")
    ]
    (graphlet,) = found.graphlets.values()

    assert (graphlet["pipeline"], graphlet["run"]) == (f"airflow/{dag}", events.run(dag).id)
    assert (graphlet["trainer"], graphlet["up"], graphlet["down"]) == (tasks[1].id, [tasks[0].id], [tasks[2].id])
    assert outcome(graphlet) == ("pushed", None)
    assert cost_ms(graphlet) == node_ms(*tasks) == found.compute_ms("useful")


def test_airflow_dag_that_another_one_triggers_keeps_its_name_and_its_run(tmp_path: Path) -> None:
    """The DAG that triggers it is the root of its tasks; it only waits, and trains nothing."""
    events, found = of("airflow/triggered", tmp_path)
    dag = "pricing_training"
    names = ("prepare", "train_model", "evaluate", "deploy_model")
    tasks = {name: events.run(f"{dag}.{name}") for name in names}
    (graphlet,) = found.graphlets.values()

    assert (graphlet["pipeline"], graphlet["run"]) == (f"airflow/{dag}", events.run(dag).id)
    assert graphlet["trainer"] == tasks["train_model"].id
    assert (graphlet["up"], graphlet["down"]) == (ids(tasks["prepare"]), ids(tasks["evaluate"], tasks["deploy_model"]))
    assert outcome(graphlet) == ("pushed", None)
    assert cost_ms(graphlet) == node_ms(*tasks.values()) == found.compute_ms("useful")


# Airflow and Spark


@pytest.mark.parametrize("name", ["deployed", "named_alike"])
def test_spark_applications_report_the_data_of_the_tasks_that_submit_them(name: str, tmp_path: Path) -> None:
    """Airflow's tasks name no data. Of each application one job reads and another one writes, and some never end."""
    events, found = of(f"spark/{name}", tmp_path)
    tasks = [events.run(f"spark_training.{task}") for task in ("build_features", "train", "deploy")]
    features, training, deployment = tasks
    (graphlet,) = found.graphlets.values()

    assert graphlet["trainer"] == training.id
    assert (graphlet["pipeline"], graphlet["run"]) == ("airflow/spark_training", events.run("spark_training").id)
    assert outcome(graphlet) == ("pushed", None)
    assert features.id in graphlet["up"]
    assert deployment.id in graphlet["down"]
    assert cost_ms(graphlet, ["train"]) == node_ms(training)
    assert cost_ms(graphlet) == node_ms(*tasks) == found.compute_ms("useful") == found.compute_ms("total")


def test_spark_application_that_completes_does_not_hide_that_its_task_failed(tmp_path: Path) -> None:
    """Spark reports COMPLETE when its script raised an error."""
    events, found = of("spark/failed", tmp_path)
    tasks = [events.run(f"spark_training.{task}") for task in ("build_features", "train")]
    (graphlet,) = found.graphlets.values()

    assert (events.run("fraud_trainer").end, tasks[1].end) == ("COMPLETE", "FAIL")
    assert graphlet["trainer"] == tasks[1].id
    assert outcome(graphlet) == ("not_pushed", "failed")
    assert graphlet["down"] == []
    assert cost_ms(graphlet) == node_ms(*tasks) == found.compute_ms("wasted") == found.compute_ms("total")


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_order_and_repetition_of_recorded_events_do_not_matter(name: str, tmp_path: Path) -> None:
    """Shuffled and doubled, and backwards, they end in the same graphlets and the same ledger."""
    events = recording(name)
    shuffled = [*events.lines, *events.lines]
    random.Random(5).shuffle(shuffled)
    expected = replayed(events.lines, tmp_path)

    assert len(expected.graphlets) > 0
    for lines in (shuffled, events.lines[::-1]):
        found = replayed(lines, tmp_path)
        assert found.graphlets == expected.graphlets
        assert found.figures.compute == expected.figures.compute


@pytest.mark.parametrize("name", NAMES)
def test_recordings_have_no_trace_of_the_machine_that_made_them(name: str) -> None:
    """Nor are they large; the recorder replaces folders, hosts and users."""
    text = gzip.decompress((FOLDER / f"{name}.jsonl.gz").read_bytes()).decode()

    assert not re.findall(
        r"/(?:home|root|tmp|Users)/|127\.0\.0\.1|localhost|password|api_?key|bearer ", text, re.IGNORECASE
    )
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.gz")) < 300_000
