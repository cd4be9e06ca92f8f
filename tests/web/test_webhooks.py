"""MLflow's webhooks over HTTP: whose are taken, when they are acknowledged, and what becomes of them."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stream_app.errors import OptionsError
from stream_app.options import load
from stream_app.sources.mlflow import Origin, Rules, TrackingUnavailable, origins
from stream_app.web.webhooks import PATH, WebhookSettings
from tests.sources.test_mlflow_webhooks import delivery, told
from tests.web.served import Answer, Process, Service, embedded_service
from tests.web.test_http import stored

SECRET = "an-often-told-secret"
SETTINGS = WebhookSettings(SECRET, Rules(registered_models={"digits": "p"}))
ALIAS = told("model_version_alias", "created", name="digits", alias="champion", version="3")
OTHER_ALIAS = told("model_version_alias", "created", name="digits", alias="shadow", version="3")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def send(service: Service, document: Any, secret: str = SECRET, sent_ms: int | None = None, name: str = "d1") -> Answer:
    """Delivers as MLflow does."""
    headers, body = delivery(
        document, secret=secret, sent_ms=now_ms() if sent_ms is None else sent_ms, delivery_id=name
    )
    return service.ask("POST", PATH, body, {"Content-Type": "application/json", **headers})


def events(path: Path) -> list[Mapping[str, Any]]:
    """What a log that nobody has open holds."""
    return [json.loads(message) for message in stored(path) if message is not None]


def test_a_signed_delivery_is_stored_before_it_is_acknowledged(tmp_path: Path) -> None:
    """As the native event that it tells; the one who signs needs no token."""
    with embedded_service(tmp_path / "log", token="s3cret-token", webhooks=SETTINGS) as service:
        answer = send(service, ALIAS)

    [event] = events(tmp_path / "log")
    assert (answer.status, answer.body) == (201, b"")
    assert (event["pipeline"], event["execution"]["id"]) == ("p", "digits/3@champion")
    assert event["outputs"][0]["properties"] == {"pushed": True}


def test_a_delivery_repeated_is_acknowledged_and_stored_once(tmp_path: Path) -> None:
    """MLflow repeats what got no answer, with the same delivery id."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        statuses = [send(service, ALIAS).status for _ in range(3)]
        other = send(service, ALIAS, name="d2").status

    assert (statuses, other) == ([201, 200, 200], 201)
    assert len(events(tmp_path / "log")) == 2


def test_a_delivery_repeated_after_a_restart_is_stored_once(tmp_path: Path) -> None:
    """Its id is in the log with its event."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        first = send(service, ALIAS).status
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        repeated = send(service, ALIAS).status
        other = send(service, ALIAS, name="d2").status

    assert (first, repeated, other) == (201, 200, 201)
    assert len(events(tmp_path / "log")) == 2


def test_what_is_not_signed_is_refused_before_its_body(tmp_path: Path) -> None:
    """The body is not sent here. MLflow does not compress, so nothing is unpacked for strangers either."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
        with socket.create_connection((service.host, service.port), timeout=20) as connection:
            connection.sendall(head.encode())
            answer = connection.makefile("rb").read()
        headers, body = delivery(ALIAS, secret=SECRET, sent_ms=now_ms(), delivery_id="d1")
        sent = {"Content-Type": "application/json", "Content-Encoding": "gzip", **headers}
        compressed = service.ask("POST", PATH, gzip.compress(body), sent)

    assert answer.split()[1] == b"401"
    assert compressed.status == 415


def test_what_was_not_stored_is_taken_when_it_is_repeated(tmp_path: Path) -> None:
    """A delivery counts as taken when its event is on disk, not when it came."""
    long = told("model_version", "created", name="digits", version="3", tags={str(n): "x" * 900 for n in range(200)})
    with embedded_service(tmp_path / "log", allow_pages=40, webhooks=SETTINGS) as service:
        answers = [send(service, long), send(service, long)]

    assert [answer.status for answer in answers] == [503, 503]
    assert events(tmp_path / "log") == []


def test_what_says_nothing_here_is_acknowledged(tmp_path: Path) -> None:
    """Or MLflow would repeat it."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        assert send(service, OTHER_ALIAS).status == 200

    assert events(tmp_path / "log") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"secret": "another-secret"}, "the signature is wrong or missing"),
        ({"sent_ms": now_ms() - 3_600_000}, "sent more than 300 s from now"),
        ({"sent_ms": now_ms() + 3_600_000}, "sent more than 300 s from now"),
    ],
)
def test_who_does_not_know_the_secret_or_sends_old_ones_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    """401 as a problem; nothing is stored."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        refused = send(service, ALIAS, **change)
        bare = service.post(json.dumps(ALIAS).encode(), PATH)
        taken = send(service, ALIAS)

    assert (refused.status, refused.headers["Content-Type"]) == (401, "application/problem+json")
    assert says in refused.json["detail"]
    assert (bare.status, taken.status) == (401, 201)
    assert len(events(tmp_path / "log")) == 1


def test_what_is_signed_and_no_webhook_is_told_by_field(tmp_path: Path) -> None:
    """422, and the service goes on."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        answers = [send(service, {**ALIAS, "data": 1}), send(service, b"{"), send(service, b"[]")]

    assert [answer.status for answer in answers] == [422, 422, 422]
    assert answers[0].json["detail"].startswith("data: expected an object")
    assert events(tmp_path / "log") == []


def test_without_a_secret_there_is_no_such_route(tmp_path: Path) -> None:
    with embedded_service(tmp_path / "log", token="s3cret-token") as service:
        assert send(service, ALIAS).status == 404


def test_a_large_one_is_refused(tmp_path: Path) -> None:
    """Whoever it is from."""
    with embedded_service(tmp_path / "log", webhooks=SETTINGS) as service:
        assert send(service, b" " * (2 << 20)).status == 413


def test_where_a_model_is_from_is_asked_of_the_tracking_server(tmp_path: Path) -> None:
    """While it does not answer nothing is taken, so that the push is not put into a wrong pipeline."""
    away = [True]

    def origin_of(model: str, version: str) -> Origin:
        if away[0]:
            raise TrackingUnavailable("MLflow: away")
        return Origin("ads", f"run-of-{model}-{version}", "r1")

    with embedded_service(tmp_path / "log", webhooks=WebhookSettings(SECRET, origin_of=origin_of)) as service:
        first = send(service, ALIAS)
        away[0] = False
        second = send(service, ALIAS)

    [event] = events(tmp_path / "log")
    assert (first.status, first.headers["Retry-After"], second.status) == (503, "5", 201)
    assert (event["pipeline"], event["run"]) == ("ads", "r1")


def test_mlflows_own_sender_is_taken(tmp_path: Path, mlflow_url: str) -> None:
    """A real server signs and sends: its own test of the webhook, and what becomes of a run's model."""
    client = MlflowClient(mlflow_url, mlflow_url)
    run = client.create_run(client.create_experiment("ads")).info.run_id
    client.create_registered_model("ranker")
    hooks = WebhookSettings(SECRET, origin_of=origins(client))
    with embedded_service(tmp_path / "log", token="s3cret-token", webhooks=hooks) as service:
        told_of = ["model_version.created", "model_version_alias.created", "model_version_tag.set"]
        webhook = client.create_webhook("detector", f"{service.url}{PATH}", told_of, secret=SECRET)
        tested = client.test_webhook(webhook.webhook_id)
        version = client.create_model_version("ranker", f"runs:/{run}/model", run).version
        client.set_registered_model_alias("ranker", "champion", version)
        deadline = time.monotonic() + 60
        while not {"ranker/1", "ranker/1@champion"} <= known(service):
            assert time.monotonic() < deadline, "not delivered"
            time.sleep(0.05)
        client.delete_webhook(webhook.webhook_id)

    found = {event["execution"]["id"]: event for event in events(tmp_path / "log")}
    assert (tested.success, tested.response_status) == (True, 200)
    assert found.keys() == {"ranker/1", "ranker/1@champion"}
    assert {"id": f"{run}/model", "type": "Model"} in found["ranker/1@champion"]["inputs"]


def known(service: Service) -> set[str]:
    """The executions that the detector knows of the experiment."""
    assert service.embedded is not None
    with service.embedded.detector_lock:
        pipeline = service.embedded.detector.pipelines.get("ads")
        return set(pipeline.executions) if pipeline is not None else set()


class TestSettings:
    """Where the secret comes from."""

    @pytest.mark.slow
    def test_it_comes_from_a_file_and_is_in_no_log(self, tmp_path: Path) -> None:
        """Of a service as its command starts it."""
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        (tmp_path / "settings.toml").write_text(
            f'[serve]\nmlflow_webhook_secret_file = "{tmp_path / "secret"}"\n[mlflow]\npushed_aliases = ["live"]\n'
        )
        process = Process(tmp_path / "data", "--config", str(tmp_path / "settings.toml"))
        live = told("model_version_alias", "created", name="digits", alias="live", version="3")
        answers = [send(process.service, live), send(process.service, live, secret="wrong-secret", name="d2")]
        process.process.terminate()
        said = b"".join(process.process.communicate(timeout=30))

        assert [answer.status for answer in answers] == [201, 401]
        assert SECRET.encode() not in said
        assert process.process.returncode == 0

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ('mlflow_webhook_secret = "short"', "serve.mlflow_webhook_secret: too short"),
            ('mlflow_webhook_secret = "not-too-short"\nmlflow_webhook_secret_file = "x"', "give one"),
            ('mlflow_webhook_secret_file = "nowhere"', "cannot read nowhere"),
            ('mlflow_webhook_secret = "not-too-short"\nmlflow_tracking_uri = "mlruns"', "not the address"),
            ('mlflow_webhook_secret = "not-too-short"\nmlflow_tracking_uri = "http://u:p4ss@h"', "USERNAME"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, tmp_path: Path, settings: str, says: str) -> None:
        """In one line without the secret."""
        from stream_app.cli.assembly import webhooks_of

        (tmp_path / "settings.toml").write_text(f"[serve]\n{settings}\n")
        with pytest.raises(OptionsError, match=says) as raised:
            webhooks_of(load(tmp_path / "settings.toml"))

        assert "short" not in str(raised.value).replace("too short", "")
        assert "p4ss" not in str(raised.value)
