"""`GET /v1/decisions/{verdict}`: all that a verdict was made of, and who acted on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.replay.explain import explain
from stream_app.service.act_writer import act_writer
from stream_app.service.settings import EmbeddedSettings
from tests.support.receiver import flagged_run, history
from tests.web.served import JSON, Answer, Service, embedded_service
from tests.web.steered_service import Pessimist

SETTINGS = Settings(policy=Policy())
NOW = time.time_ns() // 1_000_000
EVENTS = [*history(NOW), *flagged_run(NOW, "r1")[0]]


def learner() -> Pessimist:
    """One whose version is read as that of a model."""
    made = Pessimist()
    made.version = "0-steered"
    return made


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A detector that has flagged the run `r1` of pipeline `p`."""
    monkeypatch.setattr(Settings, "learner", lambda _: learner())
    with embedded_service(tmp_path / "log", EmbeddedSettings(SETTINGS)) as running:
        send(running, EVENTS)
        yield running


def settled(service: Service) -> None:
    """Waits until all that was accepted has been applied."""
    assert service.embedded is not None
    service.embedded.submit([]).result(20)
    while service.embedded.behind:
        with service.embedded.detector_lock:
            pass


def send(service: Service, events: list[bytes]) -> None:
    for each in events:
        assert service.ask("POST", "/v1/events", each, JSON).status == 201
    settled(service)


def record(service: Service, verdict: str) -> Answer:
    return service.get(f"/v1/decisions/{quote(verdict)}")


def flagging(service: Service) -> dict[str, Any]:
    """The verdict that flags the run."""
    [found] = [each for each in service.get("/v1/verdicts?run=r1").json["verdicts"] if each["decision"] == "prune"]
    return dict(found)


def test_it_is_the_record_that_explain_writes(service: Service, tmp_path: Path) -> None:
    """Of the same events, field by field."""
    verdict = flagging(service)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(EVENTS))
    explained = explain(verdict["graphlet"], [str(tmp_path / "events.jsonl")], SETTINGS, learner(), "native")

    answer = record(service, verdict["id"])
    assert answer.status == 200
    assert answer.json == orjson.loads(orjson.dumps(explained.records[verdict["id"]]))
    assert (answer.json["verdict"]["id"], answer.json["acts"], answer.json["stopped"]) == (verdict["id"], [], [])


def test_it_says_who_acted_on_the_run(service: Service) -> None:
    """The last act of each kind, with its reason; those on other runs are not there."""
    assert service.embedded is not None
    on, write = ActOn("p", "r1"), act_writer(service.embedded)

    async def act() -> None:
        await write([
            acts.prolong(on, NOW + 3_600_000, "ann", "a demo", NOW),
            acts.prolong(ActOn("p", "r2"), NOW, "eve", "another run", NOW),
            acts.prolong(on, NOW + 7_200_000, "bob", "a longer demo", NOW + 1),
        ])  # fmt: skip

    asyncio.run(act())
    settled(service)
    [found] = record(service, flagging(service)["id"]).json["acts"]

    assert (found["act"], found["by"], found["reason"]) == ("prolong", "bob", "a longer demo")
    assert found["until"] > found["time"]


def test_it_says_by_whom_the_run_was_stopped(service: Service) -> None:
    verdict = flagging(service)
    first = orjson.loads(flagged_run(NOW, "r1")[0][-1])
    stopped = {
        **first, "time": orjson.loads(flagged_run(NOW, "r1")[1][0])["time"],
        "execution": {**first["execution"], "state": "CANCELED"},
        "properties": {"pruned_by": verdict["id"], "by": "hook ads-kfp"},
    }  # fmt: skip
    send(service, [orjson.dumps(stopped)])

    assert service.get("/v1/verdicts?run=r1").status == 200
    [found] = record(service, verdict["id"]).json["stopped"]
    assert (found["execution"], found["run"], found["by"]) == (first["execution"]["id"], "r1", "hook ads-kfp")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("none#1", "there is no verdict on such a graphlet"), ("p/run:r1", "there is no verdict on such a graphlet"),
        ("#", "there is no verdict on such a graphlet"),
        ("p/run:r1#", "the last verdict on this graphlet is p/run:r1#"),
        ("p/run:r1#99", "the last verdict on this graphlet is p/run:r1#"),
        ("q/run:r1#1", "there is no verdict on such a graphlet"),
    ],
)  # fmt: skip
def test_what_is_not_kept_is_said_with_what_to_do(service: Service, verdict: str, words: str) -> None:
    answer = record(service, verdict)

    assert answer.status == 404
    assert answer.json["detail"].startswith(words)
    assert "stream-app explain --record" in answer.json["detail"]
