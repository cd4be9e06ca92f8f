"""Servers that refuse, that are no tracking servers, that are old; and what is deleted on a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from stream_app.core.events import Event
from stream_app.errors import OptionsError, StreamAppError
from stream_app.sources.mlflow import Cursor, Rules, TrackingUnavailable, follow, messages
from tests.sources.final_graphlets import graphlets
from tests.sources.mlflow_project import Server, now_ms

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The URL of a server that answers every request in one way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (401, b"You are not authenticated.", OptionsError, f"MLflow refuses the login: set {LOGIN}: "),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', OptionsError, LOGIN),
        (401, b'{"detail": "Unauthorized"}', TrackingUnavailable, f"if it wants a login set {LOGIN}"),
        (404, b"<h1>Not Found</h1>", TrackingUnavailable, "is this the address of a tracking server?"),
        (200, b"<h1>Sign in</h1>" * 999, TrackingUnavailable, "is this the address of a tracking server?"),
        (500, b"{}", TrackingUnavailable, "too many 500 error responses"),
    ],
)
def test_what_a_server_refuses_says_what_to_do(
    status: int, body: bytes, error: type[StreamAppError], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one short line; only a login that is refused is a mistake, and ends `follow`."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cursor = Cursor()

    with answering(status, body) as url, pytest.raises(error) as raised:
        list(follow(MlflowClient(url, url), cursor, now_ms()))

    assert type(raised.value) is error
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert cursor == Cursor()


def test_what_has_no_experiments_is_probably_no_tracking_server() -> None:
    with answering(200, b'{"status": "ok"}') as url, pytest.raises(OptionsError, match="the address of a tracking"):
        list(messages(url))


def test_experiments_that_do_not_exist_are_named_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A setting with a wrong name would otherwise read nothing, in silence."""
    server.run(0)
    cursor, rules = Cursor(), Rules(experiments=(server.name, "chrun"))

    for _ in range(2):
        server.follow(cursor, rules)

    lines = [record.getMessage() for record in caplog.records if "do not exist" in record.getMessage()]
    assert lines == ["MLflow: experiments that do not exist, or are deleted: chrun; see the rule mlflow.experiments"]


def test_a_server_that_does_not_search_for_runs_by_their_ids(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before MLflow 2.3."""
    search = server.client.search_runs

    def old(experiments: list[str], condition: str = "", *arguments: Any, **named: Any) -> Any:
        if " IN " in condition:
            raise MlflowException("Invalid clause(s) in filter string", INVALID_PARAMETER_VALUE)
        return search(experiments, condition, *arguments, **named)

    monkeypatch.setattr(server.client, "search_runs", old)
    cursor, events = Cursor(), list[Event]()
    parent = server.run(0)
    child = server.run(1, parent)
    events += server.follow(cursor)
    server.end(child, 5)
    server.end(parent, 6)
    server.client.transition_model_version_stage(server.name, server.register(child), "Production")
    events += server.follow(cursor)

    for found in (events, server.follow(Cursor())):
        assert {trainer: each["outcome"] for trainer, each in graphlets(found).items()} == {child: "pushed"}


class TestDeleted:
    """Of deleted runs those are read that others, or the registry, refer to."""

    @pytest.fixture(params=["at once", "pass by pass"])
    def outcomes(self, request: pytest.FixtureRequest, server: Server) -> Callable[..., dict[str, str]]:
        """Passes; the last one returns the outcome of each training."""
        cursor, events = Cursor(), list[Event]()

        def look(*, last: bool = False) -> dict[str, str]:
            if last or request.param == "pass by pass":
                events.extend(server.follow(cursor))
            return {trainer: each["outcome"] for trainer, each in graphlets(events).items()}

        return look

    def trained(self, server: Server, minute: float, parent: str | None = None) -> str:
        run = server.run(minute, parent)
        server.end(run, minute + 5)
        return run

    def test_the_run_of_a_champion(self, server: Server, outcomes: Callable[..., dict[str, str]]) -> None:
        """Its model is served, whatever was tidied up."""
        champion, other, unused = (self.trained(server, minute) for minute in range(3))
        server.client.delete_run(unused)
        outcomes()
        version = server.register(champion)
        server.client.delete_run(champion)
        server.client.set_registered_model_alias(server.name, "champion", version)

        assert outcomes(last=True) == {champion: "pushed", other: "open"}

    def test_a_parent(self, server: Server, outcomes: Callable[..., dict[str, str]]) -> None:
        """Its end is still that of the pipeline run."""
        parent = server.run(0)
        trials = [self.trained(server, minute, parent) for minute in (1, 2)]
        server.end(parent, 20)
        outcomes()
        server.client.delete_run(parent)
        server.client.set_registered_model_alias(server.name, "champion", server.register(trials[0]))

        assert outcomes(last=True) == {trials[0]: "pushed", trials[1]: "not_pushed"}

    def test_a_promoted_search(self, server: Server, outcomes: Callable[..., dict[str, str]]) -> None:
        """Its trials are trials."""
        search = server.run(0)
        self.trained(server, 1, search)
        server.end(search, 20)
        server.client.set_registered_model_alias(server.name, "champion", server.register(search))
        outcomes()
        server.client.delete_run(search)

        assert outcomes(last=True) == {search: "pushed"}

    def test_a_run_that_ended_and_was_deleted_between_two_passes(self, server: Server) -> None:
        """It does not stay open."""
        cursor, run = Cursor(), server.run(0)
        events = server.follow(cursor)
        server.end(run, 5, "FAILED")
        server.client.delete_run(run)

        assert graphlets([*events, *server.follow(cursor)])[run]["cause"] == "failed"
