"""What openlineage-python reports over each of its transports gives the right graphlets, outcomes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from openlineage.client import OpenLineageClient

from stream_app.core.detector import Settings
from stream_app.replay.replay import Replayed, replay
from stream_app.replay.sinks import Sinks
from tests.client.reported import PipelineRun, report
from tests.web.served import Process, Service, embedded_service
from tests.web.test_http import applied

MINUTE = 60.0
TOKEN = "s3cret-token"
#: By run: outcome, cause, and node-seconds by operator group. A training that is not over has what it last reported.
EXPECTED = [
    ("pushed", None, {"preprocess": 10 * MINUTE, "train": 60 * MINUTE, "validate": 4 * MINUTE, "deploy": 3 * MINUTE}),
    ("not_pushed", "run_ended", {"preprocess": 10 * MINUTE, "train": 50 * MINUTE, "validate": 4 * MINUTE}),
    ("not_pushed", "failed", {"preprocess": 10 * MINUTE, "train": 20 * MINUTE}),
    ("not_pushed", "failed", {"preprocess": 10 * MINUTE, "train": 5 * MINUTE}),
    ("open", None, {"preprocess": 10 * MINUTE, "train": 25 * MINUTE}),
]


def check(runs: list[PipelineRun], graphlets: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether the graphlets, by trainer, are what was reported."""
    assert len(graphlets) == len(EXPECTED)
    for run, (outcome, cause, cost) in zip(runs, EXPECTED, strict=True):
        graphlet = graphlets[run.step_id("train_model")]
        down = {"validate": "evaluate", "deploy": "deploy_model"}
        assert (graphlet["pipeline"], graphlet["run"]) == ("platform/recommender", run.id)
        assert (graphlet["outcome"], graphlet["cause"]) == (outcome, cause)
        assert graphlet["up"] == [run.step_id("build_features")]
        assert graphlet["down"] == sorted(run.step_id(step) for group, step in down.items() if group in cost)
        assert {group: seconds for group, seconds in graphlet["cost"].items() if seconds} == cost


@pytest.mark.parametrize(
    "transport",
    [{"type": "http"}, {"type": "http", "compression": "gzip"}, {"type": "async_http"}],
    ids=lambda transport: "-".join(transport.values()),
)
def test_over_http(transport: dict[str, str], tmp_path: Path) -> None:
    """The service stores each event and answers from the graphlets."""
    with embedded_service(tmp_path / "events.sqlite", token=TOKEN) as service:
        auth = {"type": "api_key", "apiKey": TOKEN}
        client = OpenLineageClient(config={"transport": transport | {"url": service.url, "auth": auth}})
        runs = report(client.emit)
        assert client.close(20)
        applied(service)

        check(runs, {run.step_id("train_model"): ask(service, run) for run in runs})


@pytest.mark.slow
def test_over_http_to_a_service_that_is_started_again(tmp_path: Path) -> None:
    """`stream-app serve` has stored all that was acknowledged, and applies it before it listens."""
    process = Process(tmp_path)
    transport = {"type": "http", "url": process.service.url}
    runs = report(OpenLineageClient(config={"transport": transport}).emit)
    assert process.end() == 0

    process = Process(tmp_path)
    try:
        check(runs, {run.step_id("train_model"): ask(process.service, run) for run in runs})
    finally:
        process.end()


def ask(service: Service, run: PipelineRun) -> dict[str, Any]:
    """The graphlet of a run's training, by name."""
    path = f"/v1/graphlets/platform~1recommender/{run.step_id('train_model')}"
    found: dict[str, Any] = service.ask("GET", path, headers={"Authorization": f"Bearer {TOKEN}"}).json["graphlet"]
    return found


@pytest.mark.parametrize("append", [True, False], ids=["one file", "a file an event"])
def test_over_files(append: bool, tmp_path: Path) -> None:
    """The transport appends to one file, or writes a file for each event."""
    log = tmp_path / "log"
    log.mkdir()
    transport = {"type": "file", "log_file_path": str(log / "events.jsonl"), "append": append}
    runs = report(OpenLineageClient(config={"transport": transport}).emit)

    found, graphlets = replayed(sorted(map(str, log.iterdir())), tmp_path / "graphlets")

    check(runs, graphlets)
    compute = found.figures.compute
    costs = [sum(cost.values()) for _, _, cost in EXPECTED]
    assert (compute.useful, compute.wasted, compute.pending) == (costs[0], sum(costs[1:4]), costs[4])
    assert compute.unattributed == 0
    assert [owner.owner for owner in found.figures.owners] == ["team-ranking"]


def replayed(files: list[str], path: Path) -> tuple[Replayed, dict[str, dict[str, Any]]]:
    """A replay without a dead letter, and its graphlets by trainer."""
    found = replay(files, Settings(), None, Sinks(graphlets=str(path)))
    assert found.figures.dead_letters == []
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return found, {line["trainer"]: line for line in lines}
