"""`stream-app flags`: flags as people read them, and each change once, whatever happens to the connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.flags import Change, FlagOutcome, FlagRecord
from stream_app.alerts.records import record_to_dict
from stream_app.web.flag_routes import event
from tests.alerts.records import NOW, finding, record
from tests.support.commands import Run
from tests.support.served_subscriptions import ServedSubscriptions, served_subscriptions

END = (401, b"")
BEGIN = b"retry: 2000\n\nid: 4\n\n"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedSubscriptions]:
    """A service with flags of two pipelines, whose address is in the environment."""
    with served_subscriptions(tmp_path) as made:
        made.store.append_flags(
            [
                record(flag="ads/run:r1", pipeline="ads"),
                record(flag="ads/run:r2", pipeline="ads"),
                record(2, Change.WITHDRAWN, "ads/run:r2", pipeline="ads"),
                record(flag="p/t", run=None),
                record(2, Change.RESOLVED, "p/t", run=None),
                record(3, Change.RESOLVED, "p/t", run=None, outcome=FlagOutcome.PUSHED, cause=None),
            ],
            NOW,
        )
        monkeypatch.setenv("STREAM_APP_URL", made.url)
        yield made


class Scripted:
    """A service that answers the stream with what it is given, one answer a connection."""

    def __init__(self) -> None:
        self.flags: list[FlagRecord] = []
        self.streams: list[tuple[int, bytes]] = []
        #: The `Last-Event-ID` of each connection.
        self.asked: list[str | None] = []
        self.kind = "text/event-stream"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Such a service; nobody waits between two connections."""
    made = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            if not self.path.startswith("/v1/flags/stream"):
                body = json.dumps({"flags": [record_to_dict(each) for each in made.flags]}).encode()
                self._answer(200, "application/json", body, len(body))
                return
            made.asked.append(self.headers.get("Last-Event-ID"))
            status, body = made.streams.pop(0)
            # More than comes: the connection is lost.
            self._answer(status, made.kind, body, len(body) + 1)

        def _answer(self, status: int, kind: str, body: bytes, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("STREAM_APP_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("stream_app.cli.event_stream.sleep", lambda _: None)
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("service")
def test_flags_are_a_table(run: Run) -> None:
    """One line each: where, since when, what is still ahead, and what became of it. Newest first."""
    ran = run("flags")

    assert ran.code == 0
    assert [line.split(maxsplit=5) for line in ran.out.splitlines()[1:]] == [
        ["p", "t", "2026-05-28T20:26Z", "10", "0.020", "resolved: pushed"],
        ["ads", "r2", "2026-05-28T20:26Z", "10", "0.020", "withdrawn: recovered"],
        ["ads", "r1", "2026-05-28T20:26Z", "10", "0.020", "open"],
    ]


def test_a_flag_shows_its_ladder_and_the_time_of_the_stop(run: Run, service: ServedSubscriptions) -> None:
    """As far as it has climbed."""
    each = replace(record().graphlets[0], ladder="act", warn_again_ms=NOW + 60_000, stop_ms=NOW + 120_000)
    warned = replace(each, ladder="warn_twice", stop_ms=None)
    service.store.append_flags(
        [
            record(1, Change.RAISED, "p/run:a", graphlets=(each,)),
            record(2, Change.REMINDED, "p/run:b", graphlets=(warned,)),
            record(3, Change.DUE, "p/run:c", graphlets=(each,)),
        ],
        NOW,
    )
    lines = run("flags", "--limit", "3").out.splitlines()

    assert lines[0].split()[-4:] == ["ladder", "stop", "from", "state"]
    assert [line.split(maxsplit=5)[5] for line in lines[1:]] == [
        "act         2026-05-28T20:28Z  open: may be stopped",
        "warn_twice                     open: warned again",
        "act         2026-05-28T20:28Z  open",
    ]


@pytest.mark.usefixtures("service")
def test_flags_are_chosen(run: Run) -> None:
    """By pipeline and whether they are open; the JSON form is the one of the route."""
    assert [each["flag"] for each in run("flags", "--pipeline", "a*", "--json").document["flags"]] == [
        "ads/run:r2",
        "ads/run:r1",
    ]
    assert [each["flag"] for each in run("flags", "--open", "--json").document["flags"]] == ["ads/run:r1"]
    assert len(run("flags", "--limit", "1", "--json").document["flags"]) == 1
    assert run("flags", "--pipeline", "none").out == "there are no flags\n"


def test_a_name_cannot_paint_the_terminal(run: Run, service: ServedSubscriptions) -> None:
    """Names of pipelines and runs come from events."""
    service.store.append_flags([record(flag="x/run:1", pipeline="x\x1b[31m", run="1\nopen")], NOW)

    lines = run("flags").out.splitlines()

    assert len(lines) == 5
    assert "\x1b" not in lines[1]


@pytest.mark.parametrize("flags", [(), ("--follow",)])
def test_a_service_that_refuses_is_one_line(run: Run, service: ServedSubscriptions, flags: tuple[str, ...]) -> None:
    """And so is one that is not there."""
    service.token = "secret"
    refused = run("flags", *flags)
    absent = run("flags", *flags, "--url", "http://127.0.0.1:1")

    assert (refused.code, absent.code) == (1, 1)
    assert (refused.out, absent.out) == ("", "")
    assert "--token-file" in refused.err
    assert "nobody listens there" in absent.err
    assert refused.err.count("\n") == absent.err.count("\n") == 1


def test_what_is_followed_begins_with_the_latest_flags(run: Run, scripted: Scripted) -> None:
    """Then each change of a flag comes; one that is in the list already is not shown twice."""
    first, second, ended = record(flag="p/run:a"), record(flag="p/run:b"), record(2, Change.RESOLVED, "p/run:a")
    scripted.flags = [second, first]
    scripted.streams = [
        (200, BEGIN + event(5, second) + event(6, finding()) + b": nothing new\n\n" + event(7, ended)),
        END,
    ]

    ran = run("flags", "--follow")

    assert [line.split(maxsplit=5)[1::4] for line in ran.out.splitlines()[1:]] == [
        ["a", "open"],
        ["b", "open"],
        ["a", "resolved: not_pushed (run_ended)"],
    ]


def test_a_lost_connection_is_made_again_where_it_was(run: Run, scripted: Scripted) -> None:
    """With the id of the last event that came whole, or of the beginning where none came. JSON is one line each."""
    cut = event(6, record(flag="p/run:b"))
    scripted.streams = [
        (200, BEGIN),
        (503, b""),
        (429, b""),
        (200, event(5, record(flag="p/run:a")) + cut[: len(cut) // 2]),
        (200, event(6, record(flag="p/run:b"))),
        END,
    ]

    ran = run("flags", "--follow", "--json")

    assert [json.loads(line)["flag"] for line in ran.out.splitlines()] == ["p/run:a", "p/run:b"]
    assert scripted.asked == [None, "4", "4", "4", "5", "6"]
    assert ran.code == 1
    assert "lost the connection" in ran.err
    assert ran.err.splitlines()[-1].endswith("give --token-file")


def test_pauses_between_connections_grow(run: Run, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something comes again."""
    waited: list[float] = []
    monkeypatch.setattr("stream_app.cli.event_stream.sleep", waited.append)
    scripted.streams = [(200, BEGIN), *[(503, b"")] * 5, (200, BEGIN), END]

    run("flags", "--follow")

    assert waited == [2, 4, 8, 16, 30, 30, 2]


def test_something_else_than_a_stream_is_one_line(run: Run, scripted: Scripted) -> None:
    """Nobody connects to it again and again."""
    scripted.kind = "text/html"
    scripted.streams = [(200, b"<html>")]

    ran = run("flags", "--follow")

    assert (ran.code, ran.out) == (1, "")
    assert "something else than events; is it stream-app serve?" in ran.err
