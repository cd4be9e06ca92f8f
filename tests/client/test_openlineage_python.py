"""The real client openlineage-python drives a real training to verdicts and to the right outcomes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.transport.file import FileConfig, FileTransport

from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.replay.replay import replay
from stream_app.replay.sinks import Sinks
from tests.client.training import Trained, train
from tests.web.served import embedded_service
from tests.web.test_http import applied


def check(trained: list[Trained], graphlets: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether the graphlets, by trainer, are what the script did."""
    assert len(graphlets) == len(trained) == 5
    assert [each.pushed for each in trained] == [True, False, True, False, False]
    for number, each in enumerate(trained):
        graphlet = graphlets[each.trainer]
        failed = number == 4
        assert graphlet["pipeline"] == "lab/digits"
        assert graphlet["run"] == each.run
        assert (len(graphlet["up"]), len(graphlet["down"])) == ((0, 0) if failed else (1, 2))
        cause = None if each.pushed else "failed" if failed else "refused"
        assert (graphlet["outcome"], graphlet["cause"]) == ("pushed" if each.pushed else "not_pushed", cause)


@pytest.fixture
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not depend on the environment they run in."""
    for name in list(os.environ):
        if name.startswith("OPENLINEAGE"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("_plain_environment")
def test_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `OPENLINEAGE_URL` set it just works; the token is the client's API key."""
    with embedded_service(tmp_path / "events.sqlite", token="s3cret-token") as service:
        monkeypatch.setenv("OPENLINEAGE_URL", service.url)
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret-token")

        trained = train(OpenLineageClient())
        applied(service)

        headers = {"Authorization": "Bearer s3cret-token"}
        found = {}
        for each in trained:
            answer = service.ask("GET", f"/v1/graphlets/lab~1digits/{each.trainer}", headers=headers)
            found[each.trainer] = answer.json["graphlet"]
        verdicts = service.ask("GET", "/v1/verdicts?pipeline=lab/digits", headers=headers).json["verdicts"]
    check(trained, found)
    assert {verdict["trainer"] for verdict in verdicts} >= {each.trainer for each in trained}
    assert {verdict["stage"] for verdict in verdicts if verdict["trainer"] == trained[0].trainer} == {"validate"}


@pytest.mark.usefixtures("_plain_environment")
def test_over_a_file(tmp_path: Path) -> None:
    """What its file transport wrote is replayed."""
    path = tmp_path / "events.jsonl"
    client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(path), append=True)))
    trained = train(client)

    settings = Settings()
    sinks = Sinks(graphlets=str(tmp_path / "graphlets"), verdicts=str(tmp_path / "verdicts"))
    found = replay([str(path)], settings, Learner(settings.policy.budgets), sinks)

    lines = [orjson.loads(line) for line in (tmp_path / "graphlets").read_bytes().splitlines()]
    check(trained, {line["trainer"]: line for line in lines})
    assert found.figures.dead_letters == []
    assert (tmp_path / "verdicts").stat().st_size > 0
