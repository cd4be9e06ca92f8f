"""Who is believed, what is taken, and what a delivery becomes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from stream_app.core.events import COMPLETE
from stream_app.errors import MalformedEvent
from stream_app.options import MlflowOptions, load
from stream_app.sources import native
from stream_app.sources.mlflow import Deliveries, Origin, RejectedWebhook, Rules, decode_webhook
from stream_app.sources.mlflow.webhooks import REPLAY_WINDOW_MS
from stream_app.wire import event_to_dict
from tests.sources.final_graphlets import graphlets
from tests.support.builders import T0, at

SECRET = "s3cret"


def delivery(document: Any, *, secret: str = SECRET, sent_ms: int = T0, delivery_id: str = "d1") -> tuple[Any, bytes]:
    """Headers and body as MLflow makes them."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    timestamp = str(sent_ms // 1000)
    digest = hmac.new(secret.encode(), f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Delivery-Id": delivery_id,
    }, body


def told(entity: str, action: str, **data: Any) -> dict[str, Any]:
    """A payload, sent a moment after what it tells."""
    return {"entity": entity, "action": action, "timestamp": "2023-11-14T22:13:19.500000+00:00", "data": data}


ALIAS = told("model_version_alias", "created", name="digits", alias="champion", version="3")


def test_a_signed_delivery_is_taken() -> None:
    headers, body = delivery(ALIAS)

    event = decode_webhook(headers, body, SECRET, T0)

    assert event is not None
    assert (event.time_ms, event.pipeline, event.execution_id) == (T0 - 500, "digits", "digits/3@champion")
    assert (event.execution_type, event.state) == ("Pusher", COMPLETE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"X-MLflow-Signature": "v1,AAAA"}, "signature"),
        ({"X-MLflow-Signature": ""}, "signature"),
        ({"X-MLflow-Signature": "v1,\xff"}, "signature"),
        ({"X-MLflow-Delivery-Id": "another"}, "signature"),
        ({"X-MLflow-Delivery-Id": ""}, "signature"),
        ({"X-MLflow-Timestamp": "1700000001"}, "signature"),
    ],
)
def test_what_is_not_signed_by_the_secret_is_refused(change: dict[str, str], reason: str) -> None:
    headers, body = delivery(ALIAS)

    with pytest.raises(RejectedWebhook, match=reason):
        decode_webhook({**headers, **change}, body, SECRET, T0)


def test_a_changed_body_another_secret_and_no_secret_are_refused() -> None:
    headers, body = delivery(ALIAS)

    for changed, secret in ((body + b" ", SECRET), (body, "other"), (body, "")):
        with pytest.raises(RejectedWebhook):
            decode_webhook(headers, changed, secret, T0)
    with pytest.raises(RejectedWebhook):
        decode_webhook({}, body, SECRET, T0)


def test_a_signed_timestamp_that_is_no_number_is_refused() -> None:
    _, body = delivery(ALIAS)
    digest = hmac.new(SECRET.encode(), b"d1.soon." + body, hashlib.sha256).digest()
    headers = {
        "x-mlflow-signature": "v1," + base64.b64encode(digest).decode(),
        "x-mlflow-timestamp": "soon",
        "x-mlflow-delivery-id": "d1",
    }

    with pytest.raises(RejectedWebhook, match="no number"):
        decode_webhook(headers, body, SECRET, T0)


@pytest.mark.parametrize("late_ms", [REPLAY_WINDOW_MS + 1000, -REPLAY_WINDOW_MS - 1000])
def test_a_recorded_delivery_is_refused_later(late_ms: int) -> None:
    headers, body = delivery(ALIAS)

    with pytest.raises(RejectedWebhook, match="sent more than 300 s"):
        decode_webhook(headers, body, SECRET, T0 + late_ms)


def test_a_delivery_taken_is_known_until_it_cannot_be_repeated() -> None:
    deliveries = Deliveries()
    first, _ = delivery(ALIAS)
    second, _ = delivery(ALIAS, delivery_id="d2")

    deliveries.add(first, T0)
    deliveries.add(first, T0 + 1000)

    assert [deliveries.has(headers, T0) for headers in (first, second)] == [True, False]
    assert deliveries.has(first, T0 + 2 * REPLAY_WINDOW_MS)
    assert not deliveries.has(first, T0 + 2 * REPLAY_WINDOW_MS + 1)


@pytest.mark.parametrize(
    "document",
    [
        told("model_version_alias", "created", name="digits", alias="shadow", version="3"),
        told("model_version_alias", "deleted", name="digits", alias="champion"),
        told("registered_model", "created", name="digits", tags={}, description=None),
        told("prompt", "created", name="digits"),
        told("model_version", "created", name="example_model", version="1", run_id="abcd", tags={}),
        {},
    ],
)
def test_what_says_nothing_here_is_ignored(document: dict[str, Any]) -> None:
    """Other aliases, an alias taken away (what was pushed was pushed), prompts, MLflow's own test of a webhook."""
    assert decode_webhook(*delivery(document), SECRET, T0) is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"[]", "JSON object"),
        (b"{", "not JSON"),
        ({**ALIAS, "data": 1}, "data: expected an object"),
        ({**ALIAS, "timestamp": "now"}, "timestamp"),
        ({**ALIAS, "timestamp": "1989-12-31T23:59:59Z"}, "timestamp: expected a time in 1990 or after"),
        ({**ALIAS, "timestamp": "0001-01-01T00:00:00+12:00"}, "timestamp: expected a time in 1990 or after"),
        (told("model_version_alias", "created", name="digits", alias="champion"), "data.version"),
        (told("model_version_alias", "created", name="", alias="champion", version="1"), "data.name"),
        (told("model_version", "created", name="digits", version="1", tags=[1]), "data.tags"),
        (told("model_version_tag", "set", name="digits", version="1", key="k", value=[]), "data.value"),
        (json.dumps(ALIAS).encode()[:-1] + b', "action": "created"}', "twice"),
    ],
)
def test_what_is_signed_and_yet_no_webhook_says_which_field_is_wrong(document: Any, reason: str) -> None:
    with pytest.raises(MalformedEvent, match=reason):
        decode_webhook(*delivery(document), SECRET, T0)


def test_tags_that_no_event_can_have_are_counted_and_the_registration_counts() -> None:
    """Too many, too long or without a name: what is made of them is an event that can be read again."""
    tags = {**{f"t{number}": "x" for number in range(1001)}, "": "x", "long": "x" * 8193}

    event = decode_webhook(*delivery(told("model_version", "created", name="m", version="1", tags=tags)), SECRET, T0)

    assert event is not None
    assert (len(event.outputs[0].properties), event.dropped) == (1000, 3)
    assert native.decode(json.dumps(event_to_dict(event)).encode()) == event


def test_a_push_never_happened_after_it_was_told() -> None:
    document = {**ALIAS, "timestamp": "2199-01-01T00:00:00Z"}

    event = decode_webhook(*delivery(document), SECRET, T0)

    assert event is not None
    assert event.time_ms == T0


@pytest.mark.parametrize(("value", "outcome"), [("true", "pushed"), ("0", "not_pushed"), ("No", "not_pushed")])
def test_a_tag_may_say_whether_a_version_was_pushed(value: str, outcome: str) -> None:
    """Told without asking the server: the version's registration names its run, and a rule the pipeline."""
    rules = Rules(registered_models={"digits": "p"}, pushed_tags=("released",))
    created = told("model_version", "created", name="digits", version="3", run_id="t1", tags={"a": "b"})
    tag = told("model_version_tag", "set", name="digits", version=3, key="released", value=value)
    told_by_hooks = [decode_webhook(*delivery(document), SECRET, T0, rules) for document in (created, tag)]
    training = training_and_its_run()

    (found,) = graphlets([*training, *(event for event in told_by_hooks if event is not None)]).values()

    assert (found["outcome"], found["down"]) == (outcome, ["digits/3", "digits/3?released"])


def test_a_tag_may_say_when_a_version_was_pushed() -> None:
    """A text that is no time is a tag as any other."""
    texts = ("1699996400", "2199-01-01T00:00:00Z", "once")
    tags = [
        told("model_version_tag", "set", name="digits", version="3", key="promoted_at", value=text) for text in texts
    ]

    found = [decode_webhook(*delivery(tag), SECRET, T0) for tag in tags]

    assert [(event.execution_type, event.time_ms - T0) for event in found if event is not None] == [
        ("Pusher", -3_600_000),
        ("Pusher", -500),
        ("ModelRegistration", -500),
    ]


@pytest.mark.parametrize("alias", ["champion", "Champion", "PRODUCTION"])
def test_an_alias_matches_in_any_case(alias: str) -> None:
    event = decode_webhook(*delivery({**ALIAS, "data": {**ALIAS["data"], "alias": alias}}), SECRET, T0)

    assert event is not None
    assert event.execution_id == f"digits/3@{alias}"


def test_what_the_registry_does_costs_nothing() -> None:
    """Also when a tag is set days after the registration."""
    created = told("model_version", "created", name="digits", version="3", run_id="t1", tags={})
    tag = {**told("model_version_tag", "set", name="digits", version="3", key="quality", value="good")}
    late = {**tag, "timestamp": "2023-11-14T22:13:20+00:00"}
    early = {**created, "timestamp": "2023-10-27T22:13:20+00:00"}
    events = [decode_webhook(*delivery(document), SECRET, T0) for document in (early, late, ALIAS)]

    assert [event.node_ms for event in events if event is not None] == [0, 0, 0]


def test_the_origin_gives_pipeline_and_run() -> None:
    def origin_of(model: str, version: str) -> Origin:
        assert (model, version) == ("digits", "3")
        return Origin("p", "t1", "r1", "m-1")

    event = decode_webhook(*delivery(ALIAS), SECRET, T0, None, origin_of)

    assert event is not None
    assert (event.pipeline, event.run) == ("p", "r1")
    assert [ref.id for ref in event.inputs] == ["t1/model", "m-1", "digits/3"]


def training_and_its_run() -> list[Any]:
    """A training whose model is the artifact that the MLflow source names."""
    from tests.support.builders import ran, run_ended

    minutes_before = (T0 - at(0)) / 60_000 - 60
    return [*ran(minutes_before, "t1", "Trainer", writes=["t1/model"]), run_ended(minutes_before + 2)]


def test_rules_come_from_the_options(tmp_path: Path) -> None:
    """What is not set there stays as it is; every rule but the operators has an option of its name."""
    (tmp_path / "settings.toml").write_text('[mlflow]\npushed_aliases = ["live"]\n[mlflow.pipelines]\na = "b"\n')

    rules = Rules(**load(tmp_path / "settings.toml").mlflow.model_dump(exclude_none=True))

    assert rules == Rules(pushed_aliases=("live",), pipelines={"a": "b"})
    assert {"operators", *MlflowOptions.model_fields} == {each.name for each in fields(Rules)}
