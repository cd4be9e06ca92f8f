"""The kill switch from the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.web.served import Service, embedded_service, verdict_record
from tests.web.test_acting import ENFORCING, TOKENS
from tests.web.test_subscriptions import LOCAL, ask


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with embedded_service(tmp_path / "data" / "events.sqlite", ENFORCING, alerts=LOCAL, tokens=TOKENS) as running:
        monkeypatch.setenv("STREAM_APP_URL", running.url)
        monkeypatch.setenv("STREAM_APP_TOKEN", "root")
        yield running


def test_off_and_on_again(service: Service, run: Run) -> None:
    """No flagged run stops in between; each command shows what holds afterwards."""

    def stops() -> bool:
        return bool(ask(service, "GET", "/v1/should-prune?pipeline=p&run=r", who="root").json["prune"])

    service.verdicts.add(verdict_record("prune", "r"))
    assert stops()
    off = run("acting", "off", "--reason", "the registry is down")
    assert (off.code, off.out.splitlines()[0]) == (0, "acting is off")
    assert "the registry is down" in off.out
    assert not stops()

    ads = run("acting", "off", "--pipeline", "ads-*", "--reason", "a launch")
    assert [line.split()[0] for line in ads.out.splitlines()[2:]] == ["*", "ads-*"]
    on = run("acting", "on", "--reason", "it is back")
    assert (on.out.splitlines()[0], on.out.count("ads-*")) == ("acting is on", 1)
    assert stops()
    shown = json.loads(run("acting", "status", "--json").out)
    assert (shown["acting"], [each["reason"] for each in shown["off"]]) == (True, ["a launch"])


@pytest.mark.usefixtures("service")
def test_what_is_refused_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 where the service refuses it, 2 for wrong use."""
    assert run("acting", "off").code == 2
    assert run("acting", "on", "--pipeline", "ads").code == 2
    empty = run("acting", "off", "--reason", "")
    assert (empty.code, empty.err.strip()) == (1, "stream-app: expected a text of 1 to 500 printable characters")
    monkeypatch.setenv("STREAM_APP_TOKEN", "writer")
    refused = run("acting", "on", "--reason", "x")
    assert (refused.code, refused.err.strip()) == (1, "stream-app: this needs a token with the scope admin")
    assert run("acting", "off", "--reason", "x").code == 0
    monkeypatch.setenv("STREAM_APP_URL", "http://127.0.0.1:1")
    away = run("acting", "off", "--reason", "x")
    assert (away.code, "cannot reach the service" in away.err) == (1, True)
