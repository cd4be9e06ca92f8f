"""`stream-app serve` in a process of its own: a flag becomes a signed webhook, whatever happens to the process."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from stream_app.alerts.access import digest_of
from tests.support.receiver import Receiver, flagged_run, history, receiver
from tests.web.served import JSON, Process, Service

PROGRAM = (sys.executable, "-m", "tests.web.steered_service")
CONFIG = """
[alerts]
allowed_networks = ["127.0.0.0/8"]
"""


def now_ms() -> int:
    """The time, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def begun(folder: Path, config: str = CONFIG) -> Process:
    """The service, with settings."""
    folder.mkdir(exist_ok=True)
    file = folder / "settings.toml"
    file.write_text(config)
    return Process(folder / "data", "--config", str(file), program=PROGRAM)


def post(service: Service, messages: list[bytes]) -> None:
    """Posts events."""
    for each in messages:
        assert service.post(each, "/v1/events").status == 201


def subscribe(service: Service, hook: Receiver, name: str = "hook", **more: Any) -> Any:
    """Subscribes a receiver to all flags, at once."""
    given = {"id": name, "name": name, "owner": "ann", "sink": {"kind": "webhook", "url": hook.url}}
    body = orjson.dumps({**given, "delivery": {"min_hold_seconds": 0}, **more})
    answer = service.ask("POST", "/v1/subscriptions", body, JSON)
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver."""
    with receiver() as made:
        yield made


@pytest.mark.slow
def test_a_flag_becomes_a_signed_webhook_and_so_does_its_end(tmp_path: Path, hook: Receiver) -> None:
    """Each is signed as Standard Webhooks asks, and a CloudEvent."""
    process = begun(tmp_path)
    secret = subscribe(process.service, hook)["secret"]
    first, rest = flagged_run(now_ms(), "r1")
    post(process.service, [*history(now_ms()), *first])
    hook.until(lambda arrived: len(arrived) == 1)
    post(process.service, rest)
    arrived = hook.until(lambda arrived: any(each.event["type"].endswith("resolved") for each in arrived))
    unsent = metrics = 'stream_app_alert_messages_total{fate="sent"} 0.0'
    while unsent in metrics:
        metrics = process.service.get("/metrics").body.decode()
    code = process.end()

    assert "stream_app_flags_opened_total 1.0" in metrics
    assert 'stream_app_flags_closed_total{reason="pushed"} 1.0' in metrics
    assert 'stream_app_alert_attempt_seconds_count{sink="webhook"}' in metrics
    for each in arrived:
        assert Webhook(secret).verify(each.body.decode(), dict(each.headers)) == each.event
        assert each.headers["content-type"].startswith("application/cloudevents+json")
        assert each.id == f"{each.event['id']}@hook"
    assert arrived[0].event["type"] == "stream_app.flag.raised"
    assert arrived[0].event["data"]["owner"] == "ann"
    assert arrived[-1].event["data"]["outcome"] == "pushed"
    revisions = [each.event["data"]["revision"] for each in arrived]
    assert revisions == sorted(set(revisions))
    assert code == 0


@pytest.mark.slow
def test_a_kill_while_a_message_is_sent_loses_nothing(tmp_path: Path, hook: Receiver) -> None:
    """It is sent again at the next start, under the same id, and then no more."""
    process = begun(tmp_path)
    subscribe(process.service, hook)
    hook.release.clear()
    first, rest = flagged_run(now_ms(), "r1")
    post(process.service, [*history(now_ms()), *first])
    (before,) = hook.until(lambda arrived: len(arrived) == 1)
    process.end(signal.SIGKILL)
    hook.release.set()

    process = begun(tmp_path)
    hook.until(lambda arrived: len(arrived) == 2)
    post(process.service, rest)
    arrived = hook.until(lambda arrived: any(each.event["type"].endswith("resolved") for each in arrived))
    process.end()

    again, *others = arrived[1:]
    assert (again.id, again.body) == (before.id, before.body)
    assert before.id not in {each.id for each in others}
    assert len({each.id for each in arrived}) == len(arrived) - 1


@pytest.mark.slow
@pytest.mark.parametrize("events", [1, 2])
def test_a_kill_right_after_the_acknowledgment_loses_no_flag(tmp_path: Path, hook: Receiver, events: int) -> None:
    """What was acknowledged is applied by the next process, and each record is there once."""
    process = begun(tmp_path)
    subscribe(process.service, hook)
    post(process.service, history(now_ms()))
    first, rest = flagged_run(now_ms(), "r1")
    post(process.service, [*first, *rest][: events + 1])
    process.end(signal.SIGKILL)

    process = begun(tmp_path)
    post(process.service, [*first, *rest][events + 1 :])
    arrived = hook.until(lambda arrived: any(each.event["type"].endswith("resolved") for each in arrived))
    process.end()

    raised = [each for each in arrived if each.event["type"].endswith("raised")]
    assert {each.id for each in raised} == {"p/run:r1#1@hook"}
    with closing(connect(tmp_path / "data" / "alerts.sqlite")) as store:
        ids = [name for (name,) in store.execute("SELECT id FROM flags ORDER BY number")]
    assert ids == [f"p/run:r1#{number}" for number in range(1, len(ids) + 1)]


@pytest.mark.slow
def test_secrets_are_in_no_answer_log_metric_or_file(tmp_path: Path, hook: Receiver) -> None:
    """But for the answers that show a new one, once."""
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[tokens]]\nname = "ann"\nsha256 = "{digest_of("sapp_a-token-of-ann")}"\nscope = "write"\n')
    tokens.chmod(0o600)
    config = f'{CONFIG}tokens_file = "{tokens}"\n[serve]\ntoken = "sapp_the-token-of-all"\naccess_log = true\n'
    process = begun(tmp_path / "service", config)
    with_token = JSON | {"Authorization": "Bearer sapp_the-token-of-all"}
    made_here = "whsec_" + "c2VjcmV0" * 6
    headers = {"Authorization": "Bearer seeded-header-secret", "X-Key": "seeded-key-secret"}
    sinks = [
        {"kind": "webhook", "url": hook.url, "secret": made_here, "headers": headers},
        {"kind": "slack", "webhook_url": f"{hook.url}/seeded-slack-secret"},
        {"kind": "slack", "token": "xoxb-seeded-bot-secret", "channel": "#c"},
    ]
    seeded = [made_here, "seeded-header-secret", "seeded-key-secret", "seeded-slack-secret", "seeded-bot-secret"]
    seen: list[bytes] = []
    for number, sink in enumerate(sinks):
        given = {"id": f"s{number}", "name": "n", "owner": "ann", "sink": sink, "delivery": {"min_hold_seconds": 0}}
        answer = process.service.ask("POST", "/v1/subscriptions", orjson.dumps(given), with_token)
        assert answer.status == 201
        seen.append(answer.body)
    for method, path, body in [
        ("POST", "/v1/subscriptions/s0/test", b"{}"),
        ("POST", "/v1/subscriptions/s1/test", b"{}"),
        ("PATCH", "/v1/subscriptions/s0", b'{"name": "m"}'),
        ("PATCH", "/v1/subscriptions/s0", b'{"sink": {"headers": {"X-Key": 5}}}'),
        ("PATCH", "/v1/subscriptions/s1", b'{"sink": {"webhook_url": "seeded-slack-secret"}}'),
        ("GET", "/v1/subscriptions", None),
        ("GET", "/v1/subscriptions/s0", None),
        ("GET", "/v1/audit", None),
        ("GET", "/metrics", None),
    ]:
        answer = process.service.ask(method, path, body, with_token)
        seen.append(answer.body)
    first, rest = flagged_run(now_ms(), "r1")
    for each in [*history(now_ms()), *first, *rest]:
        assert process.service.ask("POST", "/v1/events", each, with_token).status == 201
    hook.until(lambda arrived: any(each.headers.get("webhook-id", "").startswith("p/run:r1") for each in arrived))
    for path in ("/v1/subscriptions/s0/deliveries", "/v1/flags"):
        seen.append(process.service.ask("GET", path, None, with_token).body)
    rotated = process.service.ask("POST", "/v1/subscriptions/s0/rotate-secret", b"", with_token)
    seeded.append(rotated.json["secret"].removeprefix("whsec_"))
    assert process.end() == 0

    files = [path.read_bytes() for path in (tmp_path / "service" / "data").iterdir()]
    assert len(files) >= 3
    everything = b"\n".join([*seen, *files, process.log.encode()])
    for secret in [*seeded, "sapp_the-token-of-all"]:
        assert secret.encode() not in everything, secret
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "service" / "data").iterdir()}
    assert set(modes.values()) == {0o600}
    arrived = [each for each in hook.arrived if "x-key" in each.headers]
    assert {each.headers["authorization"] for each in arrived} == {"Bearer seeded-header-secret"}


@pytest.mark.slow
def test_another_key_is_an_error_of_one_line(tmp_path: Path, hook: Receiver) -> None:
    """The secrets cannot be read without it, and nothing is overwritten."""
    process = begun(tmp_path)
    subscribe(process.service, hook)
    assert process.end() == 0
    key = tmp_path / "data" / "alerts.key"
    kept = key.read_bytes()
    key.unlink()

    with pytest.raises(AssertionError, match="give the key with which they were encrypted") as refused:
        begun(tmp_path)

    assert "Traceback" not in str(refused.value)
    key.write_bytes(kept)
    process = begun(tmp_path)
    assert [each["id"] for each in process.service.get("/v1/subscriptions").json["subscriptions"]] == ["hook"]
    assert process.end() == 0
