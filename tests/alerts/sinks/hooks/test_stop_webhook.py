"""A webhook that stops runs: signed, with the same id at each attempt, and after a checkpoint where there is one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.alerts.sinks.hooks.hooks import RUN, Around, due, sending

SECRET = "whsec_" + "c2lu" * 8


@dataclass
class Receiver:
    """Whoever stops runs: it checks the signatures, and answers each path with the next of some statuses."""

    statuses: dict[str, list[int]] = field(default_factory=dict)
    received: list[tuple[str, str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Takes a request."""
        body = Webhook(SECRET).verify((await request.read()).decode(), dict(request.headers))
        self.received.append((request.path, request.headers["webhook-id"], body))
        answers = self.statuses.get(request.path, [])
        return web.Response(status=answers.pop(0) if answers else 204)

    def paths(self) -> list[str]:
        """The paths that were asked, in order."""
        return [path for path, _, _ in self.received]


def around(refusals: Sequence[str] = ()) -> Around:
    """What the hook is given, in the present: those who check signatures know no other time."""
    return Around(list(refusals), now_ms=time.time_ns() // 1_000_000)


def send(receiver: Receiver, given: Around, checkpoint: bool = False, **sink: Any) -> Any:
    """Makes one attempt."""
    return sending(receiver, given, {"kind": "stop_webhook", "secret": SECRET, **sink}, checkpoint=checkpoint)[-1]


def test_any_2xx_confirms_the_stop() -> None:
    """The event says what is to be stopped, and for which verdict."""
    receiver, given = Receiver(), around()

    assert send(receiver, given).succeeded

    ((_, message_id, event),) = receiver.received
    assert event["type"] == "stream_app.run.stop"
    assert message_id == event["id"]
    assert {name: event["data"][name] for name in ("pipeline", "run", "trainers", "pruned_by")} == {
        "pipeline": "p", "run": RUN, "trainers": ["t"], "pruned_by": "p/t#1",
    }  # fmt: skip
    assert event["data"]["flag"]["flag"] == due().flag
    assert [each.properties["pruned_by"] for each in given.events] == ["p/t#1"] * 2


def test_the_run_is_stopped_after_its_checkpoint() -> None:
    """Both requests are signed, and have ids of their own."""
    receiver, given = Receiver(), around()

    assert send(receiver, given, checkpoint=True).succeeded

    assert receiver.paths() == ["/checkpoint", "/"]
    assert [event["type"] for _, _, event in receiver.received] == ["stream_app.run.checkpoint", "stream_app.run.stop"]
    assert len({message_id for _, message_id, _ in receiver.received}) == 2


@pytest.mark.parametrize("code", [302, 400, 404, 409, 410, 500, 503])
def test_without_its_checkpoint_the_run_goes_on(code: int) -> None:
    """The attempt fails, so that it is asked for again; the subscription stays, whatever the answer."""
    receiver, given = Receiver({"/checkpoint": [code]}), around()

    result = send(receiver, given, checkpoint=True)

    assert "no checkpoint, so the run goes on" in result.reason
    assert (result.dropped, result.gone) == (False, False)
    assert receiver.paths() == ["/checkpoint"]
    assert given.events == []


def test_the_gate_is_asked_again_after_the_checkpoint() -> None:
    """It may take its time, in which the owner keeps the run."""
    receiver, given = Receiver(), around(["", "ann keeps it"])

    result = send(receiver, given, checkpoint=True)

    assert (result.dropped, result.reason) == (True, "ann keeps it")
    assert receiver.paths() == ["/checkpoint"]
    assert given.events == []


def test_a_dry_run_asks_for_no_checkpoint() -> None:
    """It asks for nothing at all."""
    receiver, given = Receiver(), around()

    assert send(receiver, given, checkpoint=True, dry_run=True).reason.startswith("dry run: would stop run")
    assert receiver.received == []


@pytest.mark.parametrize("code", [400, 404, 409, 500])
def test_an_attempt_that_failed_is_repeated_under_the_same_id(code: int) -> None:
    """So that a receiver that has stopped the run already can tell."""
    receiver, given = Receiver({"/": [code]}), around()

    failed, sent = send(receiver, given), send(receiver, given)

    assert f"HTTP {code}" in failed.reason
    assert sent.succeeded
    assert len({message_id for _, message_id, _ in receiver.received}) == 1
    assert len(given.events) == 2


def test_the_body_is_the_same_at_each_attempt() -> None:
    """Byte for byte, but for the signature."""
    receiver = Receiver()
    for _ in range(2):
        send(receiver, around())
    first, second = (orjson.dumps(event) for _, _, event in receiver.received)
    assert first == second
