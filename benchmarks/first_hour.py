"""From nothing installed to a report on one's own history, for every source: the commands of docs/first-hour.md, timed.

    python -m benchmarks.first_hour [--show] [SOURCE...]

It makes a small history for each source, builds the wheel, and runs what a user runs: `python -m venv`, `pip install`
without a cache, `stream-app replay`. The Kafka broker and the MLflow server are real ones.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from benchmarks.results import publish, table
from stream_app.simulator import Fleet, FleetOptions
from tests.packaging.distribution import ROOT, build, plain
from tests.sources.history import history
from tests.sources.mlmd_store import StoreWriter, write_history
from tests.sources.openlineage_events import dataset, job_type, message, run_event

#: Runs of each history, an hour apart; every third is pushed.
_RUNS = 45
_BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Source:
    """A source, the extra that reads it, and what makes a small history of it and gives the argument of `replay`."""

    title: str
    extra: str
    made: Callable[[Path], AbstractContextManager[str]]


@contextmanager
def native(folder: Path) -> Iterator[str]:
    """A file of native events: four simulated pipelines over two weeks."""
    lines = [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=4, days=14, seed=1)).events()]
    (folder / "events.jsonl").write_bytes(b"\n".join(lines))
    yield "events.jsonl"


def lineage() -> list[bytes]:
    """OpenLineage events of a DAG whose jobs are named as people name them."""
    events = []

    def job(name: str, index: int, begin: float, minutes: float, end: str = "COMPLETE", **data: list[str]) -> None:
        named = {kind: [dataset(each, version=str(index)) for each in names] for kind, names in data.items()}
        facets = {"parent": ("dag" + str(index), "churn"), "job_facets": job_type("JOB")}
        for kind, at in (("START", begin), (end, begin + minutes)):
            when = (_BEGAN + timedelta(hours=index, minutes=at)).isoformat()
            events.append(run_event(kind, f"churn.{name}", f"{name}{index}", time=when, **facets, **named))  # type: ignore[arg-type]

    for index in range(_RUNS):
        when = (_BEGAN + timedelta(hours=index)).isoformat()
        events.append(run_event("START", "churn", f"dag{index}", time=when, job_facets=job_type("DAG")))
        job("ingest", index, 0, 5, outputs=["days"])
        job("train_model", index, 5, 40, "FAIL" if index % 10 == 9 else "COMPLETE", inputs=["days"], outputs=["model"])
        if index % 3 == 0 and index % 10 != 9:
            job("deploy", index, 46, 2, inputs=["model"])
        when = (_BEGAN + timedelta(hours=index, minutes=50)).isoformat()
        events.append(run_event("COMPLETE", "churn", f"dag{index}", time=when, job_facets=job_type("DAG")))
    return [message(event) for event in events]


@contextmanager
def openlineage(folder: Path) -> Iterator[str]:
    """A file of OpenLineage events, as the file transport writes it."""
    (folder / "lineage.jsonl").write_bytes(b"\n".join(lineage()))
    yield "lineage.jsonl"


@contextmanager
def topic(_: Path) -> Iterator[str]:
    """The same events in a topic."""
    from kafka import KafkaProducer
    from kafka.admin import KafkaAdminClient, NewTopic

    from tests.broker.broker import find_broker

    broker = find_broker()
    try:
        name = f"lineage-{time.time_ns()}"
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_topics([NewTopic(name, 3, 1)])
        admin.close()
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
        for event in lineage():
            producer.send(name, event, key=orjson.loads(event)["job"]["name"].encode())
        producer.close()
        yield f"kafka://{broker.bootstrap}/{name}"
    finally:
        broker.close()


@contextmanager
def tfx(folder: Path) -> Iterator[str]:
    """A store of ML Metadata as TFX writes it."""
    accuracies = [0.7 + 0.001 * index - (0.05 if index % 3 else 0) for index in range(_RUNS)]
    with StoreWriter(folder / "metadata.sqlite") as writer:
        write_history(writer, history(accuracies))
    yield "metadata.sqlite"


@contextmanager
def kfp(folder: Path) -> Iterator[str]:
    """A store of ML Metadata as Kubeflow Pipelines writes it."""
    kinds = ("system.Pipeline", "system.PipelineRun")
    with StoreWriter(folder / "mlpipeline.sqlite") as writer:
        for index in range(_RUNS):
            at, run = 60.0 * index, f"churn-{index}"
            dag = writer.execution(at, "system.DAGExecution", run=run, kinds=kinds)
            data, model = writer.artifact(at + 5, "system.Dataset"), writer.artifact(at + 45, "system.Model")
            for task, start, end, reads, writes in (
                ("prepare-data", 0, 5, [], [data]),
                ("train-model", 5, 45, [data], [model]),
                ("deploy-model", 46, 48, [model], []),
            ):
                if task != "deploy-model" or index % 3 == 0:
                    writer.done(
                        at + start, at + end, "system.ContainerExecution",
                        reads=reads, writes=writes, task_name=task, run=run, kinds=kinds,
                    )  # fmt: skip
            writer.update(at + 50, dag, "COMPLETE")
    yield "mlpipeline.sqlite"


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """A tracking server: runs of an experiment, every third of which becomes the champion of a registered model."""
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    logging.getLogger("mlflow.store.model_registry").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    from tests.sources.mlflow_server import mlflow_server

    with mlflow_server(folder) as url:
        client = MlflowClient(url, url)
        experiment = client.create_experiment("churn")
        client.create_registered_model("churn")
        now_ms = time.time_ns() // 1_000_000
        for index in range(_RUNS):
            begin_ms = now_ms - 3_600_000 * (_RUNS - index)
            run = client.create_run(experiment, start_time=begin_ms).info.run_id
            client.log_metric(run, "auc", 0.7 + 0.001 * index)
            client.set_terminated(run, "FAILED" if index % 10 == 9 else "FINISHED", end_time=begin_ms + 2_400_000)
            if index % 3 == 0 and index % 10 != 9:
                version = client.create_model_version("churn", f"runs:/{run}/model", run_id=run).version
                client.set_registered_model_alias("churn", "champion", version)
        yield url


@contextmanager
def mlflow_db(folder: Path) -> Iterator[str]:
    """The database of such a server, which does not run any more."""
    with mlflow(folder):
        pass
    yield "sqlite:///mlflow.db"


SOURCES = {
    "native": Source("native events, a file", "", native),
    "openlineage": Source("OpenLineage, a file", "", openlineage),
    "kafka": Source("OpenLineage, a Kafka topic", "worker", topic),
    "tfx": Source("ML Metadata of TFX, SQLite", "mlmd", tfx),
    "kfp": Source("ML Metadata of Kubeflow Pipelines, SQLite", "mlmd", kfp),
    "mlflow": Source("MLflow, a server", "mlflow", mlflow),
    "mlflow-db": Source("MLflow, its database", "mlflow", mlflow_db),
}


def timed(command: list[str], folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Runs a command; gives its wall-clock seconds too."""
    began = time.monotonic()
    ran = subprocess.run(command, cwd=folder, env=plain(), capture_output=True, text=True)
    return time.monotonic() - began, ran


def measure(source: Source, wheel: Path, *, show: bool) -> list[str]:
    """The row of a source: seconds of each command, and what came out."""
    folder = Path(tempfile.mkdtemp(prefix="first-hour-"))
    wanted = f"stream-app[{source.extra}] @ {wheel.as_uri()}" if source.extra else str(wheel)
    programs = folder / "venv" / "bin"
    try:
        with source.made(folder) as argument:
            seconds = []
            for command in (
                [sys.executable, "-m", "venv", "venv"],
                [str(programs / "pip"), "install", "-q", "--no-cache-dir", wanted],
                [str(programs / "stream-app"), "replay", argument, "--report", "report.html"],
            ):
                took, ran = timed(command, folder)
                seconds.append(took)
                if ran.returncode:
                    return [source.title, *(f"{each:.0f}" for each in seconds), f"failed: {last_line(ran.stderr)}"]
            if show:
                print(f"--- {source.title}: {argument}\n{ran.stdout}{ran.stderr}")
                _, checked = timed([str(programs / "stream-app"), "check", argument], folder)
                print(f"--- check: exit code {checked.returncode}\n{checked.stdout}{checked.stderr}")
            assert (folder / "report.html").stat().st_size > 10_000
            graphlets = " ".join(ran.stdout.split("\ngraphlets")[1].split("\ncompute")[0].split())
        shown = [f"{each:.0f}" for each in seconds] + [""] * (3 - len(seconds))
        return [source.title, *shown, f"{sum(seconds):.0f}", graphlets]
    finally:
        shutil.rmtree(folder)


def last_line(text: str) -> str:
    """What a command said at its end."""
    return text.strip().splitlines()[-1] if text.strip() else "no message"


def main() -> None:
    """Measures the sources that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print what replay and check print")
    parser.add_argument("sources", nargs="*", choices=[[], *SOURCES], default=[])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as built:
        (wheel,) = build(ROOT, Path(built), "wheel")
        rows = [
            measure(source, wheel, show=chosen.show)
            for name, source in SOURCES.items()
            if not chosen.sources or name in chosen.sources
        ]
    head = ["", "`python -m venv`", "`pip install`", "`stream-app replay`", "all", "graphlets in the report"]
    lines = table(head, rows)
    if chosen.sources:
        print("\n".join(lines))
        return
    what = (
        f"Seconds from nothing installed to a report on a small history of {_RUNS} runs (native: four simulated "
        "pipelines), on a machine that does other work too. Packages come over the network, without a cache."
    )
    publish("first-hour", "The first hour", [what, "", *lines])
    page = ROOT / "docs" / "first-hour.md"
    before, _, rest = page.read_text().partition("<!-- first-hour -->\n")
    after = rest.partition("<!-- /first-hour -->")[2]
    page.write_text("\n".join([f"{before}<!-- first-hour -->", what, "", *lines, f"<!-- /first-hour -->{after}"]))


if __name__ == "__main__":
    main()
