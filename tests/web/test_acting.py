"""`/v1/acting`: the kill switch over HTTP, and that no run stops under it, whatever happens to the service."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.alerts.opening import open_store
from stream_app.alerts.saved import Changes
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Settings
from stream_app.service.settings import EmbeddedSettings
from tests.support.receiver import flagged_run, history
from tests.web.served import Answer, Process, Service, embedded_service, verdict_record
from tests.web.test_alerts_process import now_ms, post
from tests.web.test_subscriptions import LOCAL, ask

ACTING = "/v1/acting"
ENFORCING = EmbeddedSettings(Settings(policy=Policy(mode=ENFORCE)))
TOKENS = Tokens(
    Token(digest_of(name), Principal(name, scope, (), pipelines))
    for name, scope, pipelines in [
        ("root", Scope.ADMIN, ()),
        ("writer", Scope.WRITE, ()),
        ("reader", Scope.READ, ()),
        ("of-q", Scope.WRITE, ("q*", "r-1")),
        ("reads-q", Scope.READ, ("q*",)),
    ]
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with embedded_service(tmp_path / "data" / "events.sqlite", ENFORCING, alerts=LOCAL, tokens=TOKENS) as running:
        for pipeline in ("p", "q1", "q2"):
            running.verdicts.add(verdict_record("prune", "r", pipeline=pipeline))
        yield running


def turn(service: Service, acting: object, who: str = "root", **more: Any) -> Answer:
    return ask(service, "PUT", ACTING, {"acting": acting, "reason": "an outage", **more}, who)


def shown(service: Service, who: str = "root") -> Any:
    answer = ask(service, "GET", ACTING, who=who)
    assert answer.status == 200, answer.body
    return answer.json


def stops(service: Service, who: str = "root") -> set[str]:
    """The pipelines whose run should stop; of the others the switch is the reason."""
    found = set()
    for pipeline in ("p", "q1", "q2"):
        answer = ask(service, "GET", f"/v1/should-prune?pipeline={pipeline}&run=r", who=who).json
        assert answer["prune"] or answer["why_not"]["reason"] == "switched_off", answer
        if answer["prune"]:
            found.add(pipeline)
    return found


def test_no_run_of_the_fleet_stops_while_acting_is_off(service: Service) -> None:
    """From the answer of the change on, until it is on again; the verdicts stay what they are."""
    assert (stops(service), shown(service)) == ({"p", "q1", "q2"}, {"acting": True, "off": [], "detail": None})

    answer = turn(service, False)
    (off,) = answer.json["off"]
    assert (answer.status, answer.json["acting"], off["pipeline"], off["by"], off["reason"]) == (
        200, False, "*", "root", "an outage",
    )  # fmt: skip
    assert (stops(service), shown(service)) == (set(), answer.json)
    found = ask(service, "GET", "/v1/should-prune?pipeline=p&run=r", who="root").json
    assert (found["decision"], found["why_not"]["detail"]) == (
        "prune", f"acting is off since {off['since']}, by root: an outage",
    )  # fmt: skip

    assert turn(service, True).json == {"acting": True, "off": [], "detail": None}
    assert stops(service) == {"p", "q1", "q2"}


def test_pipelines_are_switched_off_by_patterns_of_their_own(service: Service) -> None:
    """Each is switched on by the pattern that has switched it off."""
    turn(service, False, pipeline="q*")
    turn(service, False, pipeline="q1")
    assert (stops(service), shown(service)["acting"]) == ({"p"}, True)

    assert [each["pipeline"] for each in turn(service, True).json["off"]] == ["q*", "q1"]
    turn(service, True, pipeline="q*")
    assert stops(service) == {"p", "q2"}
    turn(service, True, pipeline="q1")
    assert stops(service) == {"p", "q1", "q2"}


def test_switching_off_again_says_the_last_reason(service: Service) -> None:
    turn(service, False)
    (off,) = turn(service, False, reason="another outage", who="writer").json["off"]

    assert (off["by"], off["reason"]) == ("writer", "another outage")
    assert turn(service, True).json["off"] == []


@pytest.mark.parametrize(
    ("who", "acting", "pipeline", "status"),
    [
        ("root", False, "*", 200), ("root", True, "*", 200),
        ("writer", False, "*", 200), ("writer", False, "q*", 200), ("writer", True, "*", 403),
        ("writer", True, "q*", 403),
        ("reader", False, "*", 403), ("reader", True, "*", 403), ("reader", False, "q1", 403),
        ("of-q", False, "q*", 200), ("of-q", False, "q1", 200), ("of-q", False, "r-1", 200),
        ("of-q", True, "q*", 403), ("of-q", False, "*", 403), ("of-q", False, "p", 403), ("of-q", False, "r-*", 403),
        ("of-q", False, "q[*", 403), ("of-q", False, "q?", 403), ("of-q", False, "?*", 403),
        ("reads-q", False, "q1", 403),
        ("nobody", False, "*", 401), ("", False, "*", 401),
    ],
)  # fmt: skip
def test_who_may_turn_it(service: Service, who: str, acting: bool, pipeline: str, status: int) -> None:
    """`write` switches off, `admin` on; a token that is bound to pipelines switches off these alone."""
    before = shown(service)
    assert turn(service, acting, who, pipeline=pipeline).status == status
    assert (shown(service) == before) == (status != 200 or acting)


def test_a_bound_token_sees_what_concerns_its_pipelines(service: Service) -> None:
    for pattern in ("*", "q*", "q1", "p", "r-1", "r-*"):
        turn(service, False, pipeline=pattern)

    assert [each["pipeline"] for each in shown(service, "reads-q")["off"]] == ["*", "q*", "q1"]
    assert len(shown(service, "reader")["off"]) == 6


BAD: list[tuple[Any, int, str]] = [
    ({}, 422, "acting"), ({"acting": False}, 422, "reason"), ({"reason": "x"}, 422, "acting"),
    ({"acting": "off", "reason": "x"}, 422, "acting"), ({"acting": 0, "reason": "x"}, 422, "acting"),
    ({"acting": None, "reason": "x"}, 422, "acting"), ({"acting": False, "reason": ""}, 422, "reason"),
    ({"acting": False, "reason": "  "}, 422, "reason"), ({"acting": False, "reason": 7}, 422, "reason"),
    ({"acting": False, "reason": "a\nb"}, 422, "reason"), ({"acting": False, "reason": "x" * 501}, 422, "reason"),
    ({"acting": False, "reason": "x", "pipeline": ""}, 422, "pipeline"),
    ({"acting": False, "reason": "x", "pipeline": None}, 422, "pipeline"),
    ({"acting": False, "reason": "x", "pipeline": ["p"]}, 422, "pipeline"),
    ({"acting": False, "reason": "x", "pipeline": "p\x00"}, 422, "pipeline"),
    ({"acting": False, "reason": "x", "pipeline": "p" * 501}, 422, "pipeline"),
    ({"acting": False, "reason": "x", "pipelines": "p"}, 422, "pipelines"),
    ([], 422, ""), ("off", 422, ""), (False, 422, ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "field"), BAD)
def test_what_is_no_turn_is_refused(service: Service, body: Any, status: int, field: str) -> None:
    """With the field that is wrong, and nothing is changed."""
    answer = ask(service, "PUT", ACTING, body, "root")

    assert (answer.status, answer.json.get("field", "")) == (status, field)
    assert stops(service) == {"p", "q1", "q2"}


def test_patterns_are_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are off already may be switched off again."""
    monkeypatch.setattr("stream_app.alerts.kill_switch.PATTERNS_MAX", 2)
    assert [turn(service, False, pipeline=each).status for each in ("a", "b", "c", "a")] == [200, 200, 409, 200]


def test_each_turn_is_audited(service: Service) -> None:
    """Who, when, for which pipelines and why; what was refused is not there."""
    turn(service, False, "writer", pipeline="q*", reason="the registry is down")
    turn(service, True, "writer", pipeline="q*")
    turn(service, True, pipeline="q*", reason="it is back")
    entries = ask(service, "GET", "/v1/audit", who="root").json["entries"]

    assert [(each["who"], each["what"], each["subscription"]) for each in entries] == [
        ("root", "acting on: it is back", "acting:q*"),
        ("writer", "acting off: the registry is down", "acting:q*"),
    ]


def test_metrics_show_the_switch_and_count_refusals(service: Service) -> None:
    turn(service, False)
    turn(service, False, pipeline="q*")
    stops(service)
    lines = ask(service, "GET", "/metrics", who="root").body.decode().splitlines()

    assert {
        "stream_app_acting_on 0.0",
        "stream_app_acting_off_patterns 2.0",
        'stream_app_stop_refusals_total{reason="switched_off"} 3.0',
        'stream_app_stop_refusals_total{reason="observe"} 0.0',
    } <= set(lines)


def test_a_file_switches_the_fleet_off(tmp_path: Path) -> None:
    """As long as it is there, whatever the API says; it says so."""
    settings = replace(LOCAL, off_file=tmp_path / "acting-off")
    with embedded_service(tmp_path / "data" / "events.sqlite", ENFORCING, alerts=settings) as service:
        for pipeline in ("p", "q1", "q2"):
            service.verdicts.add(verdict_record("prune", "r", pipeline=pipeline))
        assert stops(service, "") == {"p", "q1", "q2"}

        (tmp_path / "acting-off").touch()
        assert stops(service, "") == set()
        found = turn(service, True, "").json
        assert (found["acting"], found["off"]) == (False, [])
        assert found["detail"] == f"acting is off: the file {tmp_path / 'acting-off'} is there"

        (tmp_path / "acting-off").unlink()
        assert stops(service, "") == {"p", "q1", "q2"}


@pytest.mark.parametrize("stored", ["{", "{}", "7", '["off"]', '[{"pipeline": "p"}]', "null"])
def test_a_stored_switch_that_cannot_be_read_is_off_until_somebody_switches_it_on(tmp_path: Path, stored: str) -> None:
    path = tmp_path / "data" / "events.sqlite"
    with contextlib.closing(open_store(path.parent)) as store:
        store.save(Changes(switch=stored))
    for _ in range(2):
        with embedded_service(path, ENFORCING, alerts=LOCAL) as service:
            service.verdicts.add(verdict_record("prune", "r", pipeline="p"))
            answer = ask(service, "GET", "/v1/should-prune?pipeline=p&run=r").json
            assert (answer["prune"], shown(service, "")["acting"]) == (False, False)
    with embedded_service(path, ENFORCING, alerts=LOCAL) as service:
        service.verdicts.add(verdict_record("prune", "r", pipeline="p"))
        assert turn(service, True, "").json["acting"] is True
        assert ask(service, "GET", "/v1/should-prune?pipeline=p&run=r").json["prune"] is True


def test_it_outlasts_a_kill(tmp_path: Path) -> None:
    """What was answered is stored; a flagged run that was to stop goes on, before and after `kill -9`."""
    program = (sys.executable, "-m", "tests.web.steered_service")
    asked = "/v1/should-prune?pipeline=p&run=r1"
    first = Process(tmp_path / "data", "--mode", "enforce", program=program)
    post(first.service, [*history(now_ms()), *flagged_run(now_ms(), "r1")[0]])
    end = monotonic() + 60
    while not first.service.get(asked).json["prune"]:
        assert monotonic() < end
    assert turn(first.service, False, "").status == 200
    under = first.service.get(asked).json
    first.end(signal.SIGKILL)
    second = Process(tmp_path / "data", "--mode", "enforce", program=program)
    after, acting = second.service.get(asked).json, shown(second.service, "")
    turn(second.service, True, "")
    (tmp_path / "data" / "acting-off").touch()
    touched = second.service.get(asked).json
    (tmp_path / "data" / "acting-off").unlink()
    stopped = second.service.get(asked).json["prune"]
    assert second.end() == 0

    for found in (under, after, touched):
        assert (found["decision"], found["prune"], found["why_not"]["reason"]) == ("prune", False, "switched_off")
    assert ([each["reason"] for each in acting["off"]], stopped) == (["an outage"], True)
