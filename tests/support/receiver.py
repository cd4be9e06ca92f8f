"""A receiver of webhooks, and runs that are flagged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from stream_app.core.events import Event
from stream_app.wire import event_to_dict
from tests.support.steered import PERIOD, whole_run

#: Runs that a pipeline has before one may be flagged.
PAST = 6


@dataclass(frozen=True)
class Arrived:
    """A request."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The event in it."""
        return orjson.loads(self.body)


class Receiver:
    """Keeps requests, and answers them with a status once `release` is set."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.release = threading.Event()
        self.release.set()
        self._changed = threading.Condition()
        self._arrived: list[Arrived] = []

    @property
    def arrived(self) -> list[Arrived]:
        """The requests so far."""
        with self._changed:
            return list(self._arrived)

    def take(self, request: Arrived) -> int:
        """Keeps a request; returns the status of the answer."""
        with self._changed:
            self._arrived.append(request)
            self._changed.notify_all()
        self.release.wait(20)
        return self.status

    def until(self, holds: Callable[[list[Arrived]], bool]) -> list[Arrived]:
        """Waits until something holds for the requests so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self._arrived), 20), [each.body for each in self._arrived]
            return list(self._arrived)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = made.take(Arrived(headers, body))
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                """The service was killed meanwhile."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Says nothing."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield made
    finally:
        made.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def history(now_ms: int, pipeline: str = "p", owner: str = "ann") -> list[bytes]:
    """Runs of the last day, after which further ones are flagged."""
    events = [event for number in range(PAST) for event in whole_run(PERIOD * number, f"past{number}", owner=owner)]
    return _moved(events, now_ms - PERIOD * 60_000 * 2, pipeline)


def flagged_run(now_ms: int, run: str, pipeline: str = "p", owner: str = "ann") -> tuple[list[bytes], list[bytes]]:
    """The events of a run until it is flagged, and those until it is pushed."""
    messages = _moved(list(whole_run(0, run, owner=owner, pushed=True)), now_ms, pipeline)
    return messages[:2], messages[2:]


def _moved(events: list[Event], last_ms: int, pipeline: str) -> list[bytes]:
    """The events of another pipeline, the last of them at a time."""
    moved_ms = last_ms - events[-1].time_ms
    return [
        orjson.dumps(event_to_dict(replace(event, pipeline=pipeline, time_ms=event.time_ms + moved_ms)))
        for event in events
    ]
