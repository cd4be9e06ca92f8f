"""Whenever passes are made, they end in what one pass at the end reads."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stream_app.core.events import Event
from stream_app.sources.mlflow import Cursor
from tests.sources.final_graphlets import graphlets
from tests.sources.mlflow_project import Server, now_ms
from tests.support.builders import DAY, HOUR

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries

MODEL = "mlflow.log-model.history"


@pytest.fixture
def project(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Server:
    """A copy of the server's database, which is faster without the server."""
    assert mlflow_url
    original, copy = tmp_path_factory.getbasetemp() / "mlflow0" / "mlflow.db", tmp_path / "mlflow.db"
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    client = MlflowClient(f"sqlite:///{copy}", f"sqlite:///{copy}")
    client.create_registered_model("orders")
    return Server(client, str(client.create_experiment("orders")), "orders", 0)


def history(project: Server, choose: random.Random) -> list[Event]:
    """Runs with parents, models and registrations, in any order, and passes in between; all of their events."""
    project.start_ms = now_ms() - 12 * HOUR - choose.choice([0, 0, 20 * DAY])
    cursor, events, running, runs = Cursor(), list[Event](), list[str](), list[str]()
    minute = 0
    for _ in range(choose.randint(8, 16)):
        minute += choose.randint(1, 10)
        act = choose.choices(["run", "end", "register", "model", "pass"], [8, 5, 3, 1, 3])[0]
        if act == "run" or not runs:
            parent = choose.choice(runs) if runs and choose.random() < 0.7 else None
            runs.append(project.run(minute, parent, {MODEL: "[{}]"} if choose.random() < 0.2 else None))
            running.append(runs[-1])
        elif act == "end" and running:
            run = running.pop(choose.randrange(len(running)))
            project.end(run, minute, choose.choice(["FINISHED", "FINISHED", "FAILED"]))
        elif act == "register":
            version = project.register(choose.choice(runs))
            if choose.random() < 0.5:
                project.client.set_registered_model_alias(project.name, "champion", version)
        elif act == "model":
            project.client.set_tag(choose.choice(runs), MODEL, "[{}]")
        elif act == "pass":
            events += project.follow(cursor)
    events += project.follow(cursor)
    assert project.follow(cursor) == []
    return events


def facts(events: Iterable[Event]) -> dict[str, tuple[Any, ...]]:
    """What does not depend on when an alias was seen."""
    return {
        trainer: (each["run"], each["up"], sum(each["cost"].values()), each["outcome"] == "pushed" and each["down"])
        for trainer, each in graphlets(events).items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_passes_end_where_one_pass_ends(project: Server, seed: int) -> None:
    """Except for pushes that an alias took back before the first of them, which only the passes saw."""
    passed = history(project, random.Random(seed))
    whole = project.follow(Cursor())
    times = [event.time_ms for event in whole]
    at_once, found = facts(whole), facts(passed)

    assert times == sorted(times)
    assert found.keys() == at_once.keys()
    for trainer, (*kept, pushes) in at_once.items():
        assert list(found[trainer][:3]) == kept
        assert not pushes or found[trainer][3]
