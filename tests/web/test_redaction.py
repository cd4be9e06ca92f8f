"""`stream-app serve` with properties that are not kept: their values are nowhere, and flags are as they are without."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from stream_app.service.settings import EmbeddedSettings
from stream_app.sources import NOTHING, Redaction, make_sources
from stream_app.sources.mlflow import Rules
from stream_app.web.webhooks import WebhookSettings
from tests.sources.test_mlflow_webhooks import told
from tests.sources.test_redaction import PERSON, lineage_message, native_message
from tests.support.receiver import Receiver, flagged_run, history, receiver
from tests.web.served import JSON, Process, embedded_service
from tests.web.test_http import stored
from tests.web.test_webhooks import SECRET, events, send

CONFIG = """
[sources]
redact = ["owner", "*mail*"]

[alerts]
allowed_networks = ["127.0.0.0/8"]
"""
PROGRAM = (sys.executable, "-m", "tests.web.steered_service")
#: Valid, and about no execution.
NO_EXECUTION = orjson.dumps(
    {
        "eventTime": "2026-03-01T06:12:40Z",
        "dataset": {"namespace": "s3", "name": "d", "facets": {"ownership": {"owners": [{"name": PERSON}]}}},
    }
)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver."""
    with receiver() as made:
        yield made


@pytest.mark.slow
def test_a_redacted_value_is_nowhere(tmp_path: Path, hook: Receiver) -> None:
    """Not in the files, the messages, the answers, the metrics and the log, from whichever route it came."""
    config = tmp_path / "settings.toml"
    config.write_text(CONFIG)
    process = Process(tmp_path / "data", "--config", str(config), program=PROGRAM)
    service = process.service
    now_ms = time.time_ns() // 1_000_000
    given = {"id": "h", "name": "h", "owner": "ads", "sink": {"kind": "webhook", "url": hook.url},
             "delivery": {"min_hold_seconds": 0}}  # fmt: skip
    assert service.ask("POST", "/v1/subscriptions", orjson.dumps(given), JSON).status == 201

    first, rest = flagged_run(now_ms, "r1", owner=PERSON)
    assert {service.post(each, "/v1/events").status for each in [*history(now_ms, owner=PERSON), *first]} == {201}
    hook.until(lambda arrived: len(arrived) == 1)
    wrong = [native_message(properties=[PERSON]), native_message(time=PERSON), b"{" + PERSON.encode()]
    answers = [service.post(each, "/v1/events") for each in [*rest, native_message(note=PERSON), *wrong]]
    answers += [service.post(each) for each in (lineage_message(), NO_EXECUTION)]
    answers.append(service.post(b"[%s,%s]" % (NO_EXECUTION, lineage_message()), "/api/v1/lineage/batch"))
    arrived = hook.until(lambda arrived: any(each.event["type"].endswith("resolved") for each in arrived))
    asked = [
        "/metrics",
        "/v1/flags",
        "/v1/audit",
        "/v1/subscriptions/h/deliveries",
        "/v1/verdicts?run=r1",
        "/readyz?verbose",
    ]
    asked += [f"/v1/{each}/p/train-r1" for each in ("verdicts", "graphlets")]
    answers += [service.get(each) for each in asked]
    process.process.kill()
    _, log = process.process.communicate()

    statuses = [each.status for each in answers]
    assert {each.status for each in answers[-len(asked) :]} == {200}
    assert statuses[len(rest) : len(rest) + 7] == [201, 422, 422, 422, 201, 201, 200]
    assert arrived[0].event["data"]["owner"] == ""
    places = {str(file): file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file()}
    assert len(places) >= 2
    places |= {f"answer {number}": repr(each).encode() for number, each in enumerate(answers)}
    places |= {"log": log, "messages": b"".join(each.body for each in arrived)}
    assert [place for place, content in places.items() if PERSON.encode() in content] == []
    assert b"train-r1" in b"".join(places.values())


def test_what_is_no_execution_is_acknowledged_and_not_stored(tmp_path: Path) -> None:
    """Its sender has nothing to mend; it is counted in the answer to a batch."""
    settings = EmbeddedSettings(sources=make_sources(redaction=Redaction(["owner", "*mail*"])))
    with embedded_service(tmp_path / "log", settings) as service:
        one = service.post(NO_EXECUTION)
        batch = service.post(b"[%s,%s]" % (NO_EXECUTION, lineage_message()), "/api/v1/lineage/batch")

    assert one.status == 201
    assert batch.json["summary"] == {"received": 2, "successful": 2, "failed": 0}
    (message,) = stored(tmp_path / "log")
    assert message is not None
    assert PERSON.encode() not in message


def test_the_event_of_a_webhook_is_redacted(tmp_path: Path) -> None:
    """As that of any other source: a tag of a model version is a property."""
    created = told("model_version", "created", name="digits", version="3", tags={"e_mail": PERSON, "a": "b"})
    rules = Rules(registered_models={"digits": "p"})
    for name, redaction in (("plain", NOTHING), ("redacted", Redaction(["*mail*"]))):
        webhooks = WebhookSettings(SECRET, rules, redaction=redaction)
        with embedded_service(tmp_path / name, webhooks=webhooks) as service:
            assert send(service, created).status == 201

    found = {name: events(tmp_path / name)[0]["outputs"][0]["properties"] for name in ("plain", "redacted")}
    assert found == {"plain": {"e_mail": PERSON, "a": "b"}, "redacted": {"a": "b"}}
