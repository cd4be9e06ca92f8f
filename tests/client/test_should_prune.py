"""`should I go on?` fails open: only a service that enforces, and says so in time and in full, stops a run."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from openlineage.client import OpenLineageClient

import stream_app
from stream_app.client import pruning as client_module
from stream_app.client.openlineage import PipelineRun, Pruned
from stream_app.client.pruning import pruning_verdict, should_prune
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Settings
from stream_app.service.settings import EmbeddedSettings
from tests.support.nobody import nobody
from tests.web.served import Service, embedded_service, relayed_service, verdict_record
from tests.web.test_http import applied

ENFORCED = EmbeddedSettings(Settings(policy=Policy(mode=ENFORCE)))
YES = json.dumps({"prune": True, "verdict": "p/t#1"})


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was warned of yet, and the environment names no service."""
    monkeypatch.setattr(client_module, "_warned", set())
    for name in (client_module.URL_VARIABLE, client_module.TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)


Answering = Callable[..., str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts a server that answers everything alike; returns its address."""
    servers: list[HTTPServer] = []

    def start(status: int, body: str, **headers: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                """Silent."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.asked = []  # type: ignore[attr-defined]
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    start.servers = servers  # type: ignore[attr-defined]
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["embedded", "beside workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service that enforces flags, in both of its forms."""
    embedded = request.param == "embedded"
    with embedded_service(tmp_path / "log", ENFORCED) if embedded else relayed_service() as running:
        yield running


def test_a_flagged_run_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real service, found by the environment, with the verdict that says so."""
    with embedded_service(tmp_path / "log", ENFORCED, token="s3cret") as service:
        service.verdicts.add(verdict_record("prune", "r"))
        monkeypatch.setenv("OPENLINEAGE_URL", f"{service.url}/")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")

        assert stream_app.should_prune("r", pipeline="p") is True
        assert stream_app.should_prune("another", pipeline="p") is False
        assert stream_app.should_prune("r", pipeline="another") is False
        assert stream_app.should_prune("r") is True
        assert pruning_verdict("r", pipeline="p") == "p/run:r#1"


def test_a_run_with_several_trainers_asks_for_each(service: Service) -> None:
    """One flagged trainer stops itself, and not the run."""
    service.verdicts.add(verdict_record("prune", "r", "bad"))
    service.verdicts.add(verdict_record("continue", "r", "good"))

    assert should_prune("r", pipeline="p", execution="bad", url=service.url)
    assert not should_prune("r", pipeline="p", execution="good", url=service.url)
    assert not should_prune("r", pipeline="p", url=service.url)


def test_runs_of_one_name_in_two_pipelines_are_two_runs(service: Service) -> None:
    """Schedulers name the runs of all pipelines alike."""
    service.verdicts.add(verdict_record("prune", "2026-11-25", pipeline="bad"))
    service.verdicts.add(verdict_record("continue", "2026-11-25", pipeline="good"))

    assert should_prune("2026-11-25", pipeline="bad", url=service.url)
    assert not should_prune("2026-11-25", pipeline="good", url=service.url)
    assert pruning_verdict("2026-11-25", pipeline="bad", url=service.url) == "bad/run:2026-11-25#1"
    assert pruning_verdict("2026-11-25", pipeline="good", url=service.url) is None


def test_a_run_that_may_be_of_several_pipelines_goes_on(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Although all of them are flagged. The log says once what to do about it."""
    service.verdicts.add(verdict_record("prune", "2026-11-25", pipeline="one"))
    service.verdicts.add(verdict_record("prune", "2026-11-25", pipeline="other"))

    assert not should_prune("2026-11-25", url=service.url)
    assert not should_prune("2026-11-25", execution="t", url=service.url)

    [warning] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "more than one pipeline has a run '2026-11-25': give pipeline=" in warning


def test_a_trainer_in_no_run_asks_by_itself(service: Service) -> None:
    """Execution ids are unique only within a pipeline."""
    service.verdicts.add(verdict_record("prune", None, "7", pipeline="bad"))
    service.verdicts.add(verdict_record("continue", None, "7", pipeline="good"))

    assert should_prune(pipeline="bad", execution="7", url=service.url)
    assert not should_prune(pipeline="good", execution="7", url=service.url)
    assert not should_prune(pipeline="another", execution="7", url=service.url)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "neither a run nor an execution is given"),
        ({"pipeline": "p"}, "neither a run nor an execution is given"),
    ],
)
def test_who_does_not_say_who_asks_goes_on(
    answering: Answering, caplog: pytest.LogCaptureFixture, asked: dict[str, str], says: str
) -> None:
    """It is warned of once, and the service is not troubled with it."""
    url = answering(200, YES)

    assert not should_prune(**asked, url=url)
    assert not should_prune(**asked, url=url)

    [warning] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert says in warning
    assert answering.servers[0].asked == []  # type: ignore[attr-defined]


def test_only_prune_stops_a_run(answering: Answering) -> None:
    """Neither the decision nor the verdict, which are told where flags are not enforced as well."""
    watched = {"known": True, "decision": "prune", "p_push": 0.01, "why": [], "prune": False, "verdict": "p/t#1"}

    assert pruning_verdict("r", pipeline="p", url=answering(200, json.dumps(watched))) is None
    assert pruning_verdict("r", pipeline="p", url=answering(200, json.dumps(watched | {"prune": True}))) == "p/t#1"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, ""), (200, "<html>"), (200, "[]"), (200, "{}"), (200, '{"prune": "yes"}'), (200, '{"prune": 1}'),
        (200, '{"prune": true}'), (200, '{"prune": true, "verdict": 7}'), (204, ""),
        (401, YES), (404, YES), (409, YES), (500, YES), (503, YES), (302, YES),
    ],
)  # fmt: skip
def test_refusals_and_nonsense_mean_go_on(answering: Answering, status: int, body: str) -> None:
    """Whatever is not this service's yes is none."""
    assert not should_prune("r", url=answering(status, body))


def test_what_is_longer_than_an_answer_is_none(answering: Answering) -> None:
    """It is not read to its end."""
    assert not should_prune("r", url=answering(200, json.dumps({"prune": True, "verdict": "x" * 70_000})))


@pytest.mark.parametrize("url", [None, "", "file:///etc/passwd", "ftp://x", "localhost:8080", "http://", "http://[::1"])
def test_no_address_or_a_wrong_one_means_go_on(url: str | None) -> None:
    """Nothing but HTTP is ever spoken."""
    assert not should_prune("r", url=url)


def test_a_refused_connection_means_go_on() -> None:
    """Nobody listens."""
    with nobody() as address:
        assert not should_prune("r", url=f"http://{address}")


def test_who_never_answers_holds_nobody_up() -> None:
    """A service that takes the connection and is silent; or one that sends a byte now and then, for ever."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()

        assert not should_prune("r", url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=0.3)

        took = time.monotonic() - began
        stop.set()
        thread.join()
    assert took < 10  # of the 2,000 seconds that it would take to hear it out


@pytest.mark.parametrize("timeout", [float("inf"), "1", -1], ids=["endless", "a text", "negative"])
def test_a_time_out_that_is_none_stops_nothing(timeout: float, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the caller passes, the run goes on."""
    assert not should_prune("r", url="http://127.0.0.1:9", timeout=timeout)
    assert "the run goes on" in caplog.text


def test_without_a_thread_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A container may have no more threads to give."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert not should_prune("r", url="http://127.0.0.1:9")
    assert "can't start new thread" in caplog.text


def test_trouble_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A training that asks each epoch does not fill its log."""
    with caplog.at_level(logging.DEBUG, logger="stream_app.client.pruning"):
        for _ in range(3):
            should_prune("r", url="file:///etc/passwd")

    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]
    assert "the run goes on" in caplog.records[0].message


def test_an_outage_does_not_hide_a_wrong_call(answering: Answering, caplog: pytest.LogCaptureFixture) -> None:
    """Trouble of another kind is warned of as well, for it may not pass by itself."""
    should_prune("r", url=answering(503, ""))
    should_prune("r", url=answering(409, ""))

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "give pipeline=" in caplog.records[1].message


def test_the_token_is_sent_nowhere_else(answering: Answering, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect does not take it along, and no log has it."""
    elsewhere = answering(200, YES)
    with caplog.at_level(logging.DEBUG):
        should_prune("r", url=answering(302, "", Location=f"{elsewhere}/v1/should-prune?run=r"), token="s3cret-token")

    first, second = answering.servers  # type: ignore[attr-defined]
    assert [headers.get("Authorization") for _, headers in second.asked] == ["Bearer s3cret-token"]
    assert [headers.get("Authorization") for _, headers in first.asked] == [None]
    assert "s3cret-token" not in caplog.text


def test_importing_it_costs_a_pipeline_nothing() -> None:
    """Neither river nor numpy nor anything else that is not in the standard library."""
    import subprocess
    import sys

    program = (
        "import sys; before = set(sys.modules); from stream_app import should_prune; "
        "print(sorted({n.split('.')[0] for n in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "['stream_app']"


def test_a_run_that_stops_says_for_which_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as aborted and pruned, is no label, and the script goes on behind its `with`."""
    went_on = False
    with embedded_service(tmp_path / "log", ENFORCED) as service:
        monkeypatch.setenv("OPENLINEAGE_URL", service.url)
        with PipelineRun(OpenLineageClient(), "lab", "digits") as run, run.execution("train") as training:
            applied(service)
            service.verdicts.add(verdict_record("continue", run.run_id, training.run_id, "another/pipeline"))
            service.verdicts.add(verdict_record("prune", run.run_id, training.run_id, "lab/digits"))
            run.stop_if_pruned(training)
            went_on = True
        applied(service)

        found = service.get(f"/v1/graphlets/lab~1digits/{training.run_id}").json

    assert not went_on
    assert (found["graphlet"]["outcome"], found["outcome"]["pushed"]) == ("pruned", None)


def test_a_run_asks_under_the_name_that_the_detector_gives_its_pipeline(service: Service) -> None:
    """By default namespace and first part of the job's name; where a rule says otherwise the script says it too."""
    run, renamed = (PipelineRun(OpenLineageClient(), "lab", name) for name in ("digits.nightly", "digits"))
    service.verdicts.add(verdict_record("prune", run.run_id, pipeline="lab/digits"))
    service.verdicts.add(verdict_record("prune", renamed.run_id, pipeline="ml/digits"))

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENLINEAGE_URL", service.url)
        with pytest.raises(Pruned):
            run.stop_if_pruned()
        renamed.stop_if_pruned()
        with pytest.raises(Pruned):
            renamed.stop_if_pruned(pipeline="ml/digits")


def test_a_run_that_is_not_flagged_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its own exceptions stay its own."""
    with embedded_service(tmp_path / "log", ENFORCED) as service:
        monkeypatch.setenv("OPENLINEAGE_URL", service.url)
        run = PipelineRun(OpenLineageClient(), "lab", "digits")
        training = run.execution("train")

        def work() -> None:
            with run, training:
                run.stop_if_pruned(training)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        applied(service)

        found = service.get(f"/v1/graphlets/lab~1digits/{training.run_id}").json

    assert (found["graphlet"]["outcome"], found["graphlet"]["cause"]) == ("not_pushed", "failed")


def test_events_that_cannot_be_sent_stop_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, and the work goes on."""

    class Broken(OpenLineageClient):
        def emit(self, event: object) -> None:
            raise OSError(f"no way to send {type(event).__name__}")

    monkeypatch.setattr("stream_app.client.openlineage._warned", False)
    with PipelineRun(Broken(), "lab", "digits") as run, run.execution("train") as training:
        training.properties["loss"] = float("nan")
        done = True

    assert done
    assert [record.message for record in caplog.records if record.name == "stream_app.client.openlineage"] == [
        "an event was not sent: OSError: no way to send RunEvent"
    ]
