"""A small HTTP service over a desk, with a real store and notifier: what the commands of the terminal talk to."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stream_app.alerts.access import EVERYBODY, Principal
from stream_app.alerts.desk import ConflictError, Desk, ForbiddenError, NotFoundError
from stream_app.alerts.mailbox import Fate
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.registered import Registered, shown
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.store import AlertStore, Changes
from stream_app.alerts.subscriptions import State, SubscriptionError
from stream_app.times import text_to_time, time_to_text
from tests.alerts.records import NOW

_STATUS = {NotFoundError: 404, ForbiddenError: 403, ConflictError: 409, SubscriptionError: 422}


class Sinks:
    """Sinks that answer what `result` says, and keep what they were given."""

    def __init__(self) -> None:
        self.result = Result()
        self.sent: list[tuple[str, Outgoing]] = []

    def of(self, registered: Registered) -> Any:
        """The sink of a subscription."""
        name = registered.subscription.id

        class Recording:
            async def send(_, message: Outgoing) -> Result:  # noqa: N805
                self.sent.append((name, message))
                return self.result

        return Recording()


class DeskService:
    """The desk, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.store = AlertStore(folder / "alerts.sqlite", Vault(b"a key for the tests only"))
        self.sinks = Sinks()
        self.notifier = Notifier(self.save, self.sinks.of)
        self.desk = Desk(self.notifier, self.store)
        self.who: Principal = EVERYBODY
        self.token: str | None = None
        #: Method and path of each request.
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def save(self, changes: Changes) -> None:
        """Saves into the store."""
        self.store.save(changes)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """The status and the JSON value of an answer."""
        desk, who = self.desk, self.who
        match (method, [unquote(step) for step in path.removeprefix("/v1/").split("/")]):
            case "GET", ["subscriptions"]:
                return 200, {"subscriptions": desk.listed(who)}
            case "POST", ["subscriptions"]:
                made, secret = desk.create(who, body, NOW)
                return 201, {**shown(made), **({"secret": secret} if secret is not None else {})}
            case "POST", ["subscriptions", "preview"]:
                return 200, asyncio.run(desk.preview(who, body, NOW))
            case "GET", ["subscriptions", name]:
                return 200, shown(desk.get(who, name))
            case "PATCH", ["subscriptions", name]:
                return 200, shown(desk.change(who, name, body, None, NOW))
            case "DELETE", ["subscriptions", name]:
                desk.delete(who, name, NOW)
                return 204, None
            case "POST", ["subscriptions", name, ("pause" | "resume") as action]:
                state = State.PAUSED if action == "pause" else State.ACTIVE
                return 200, shown(desk.set_state(who, name, state, NOW))
            case "POST", ["subscriptions", name, "test"]:
                return 200, asyncio.run(desk.test(who, name, NOW))
            case "POST", ["subscriptions", name, "rotate-secret"]:
                made, secret = desk.rotate(who, name, NOW)
                return 200, {**shown(made), "secret": secret}
            case "POST", ["subscriptions", name, "recover"]:
                since, dry = text_to_time(body["since"]), body["dry_run"]
                return 200, {"messages": desk.recover(who, name, since, NOW, count_only=dry)}
            case "GET", ["subscriptions", name, "deliveries"]:
                return 200, self._deliveries(name, query)
            case "POST", ["subscriptions", name, "deliveries", number, "redeliver"]:
                desk.redeliver(who, name, int(number), NOW)
                return 202, None
        return 404, "there is no such path"

    def _deliveries(self, name: str, query: dict[str, list[str]]) -> dict[str, Any]:
        before = int(query["before"][0]) if "before" in query else None
        fates = [Fate(each) for each in query.get("fate", ())]
        found = self.desk.deliveries(self.who, name, int(query["limit"][0]), before, fates)
        rows = [
            {"number": each.number, "time": time_to_text(each.entry.time_ms), "fate": each.entry.fate,
             "attempt": each.entry.attempt, "message": each.entry.message, "reason": each.entry.reason}
            for each in found
        ]  # fmt: skip
        return {"deliveries": rows}


@contextmanager
def desk_service(folder: Path) -> Iterator[DeskService]:
    """A service that listens on a free port of this machine."""
    service = DeskService(folder)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            service.asked.append((self.command, self.path))
            if service.token is not None and self.headers.get("Authorization") != f"Bearer {service.token}":
                status, value = 401, "expected a valid bearer token"
            else:
                try:
                    body = json.loads(content) if content else None
                    status, value = service.answer(self.command, parts.path, parse_qs(parts.query), body)
                except (NotFoundError, ForbiddenError, ConflictError, SubscriptionError) as error:
                    status, value = _STATUS[type(error)], str(error)
            if status >= 400:
                value = {"type": "about:blank", "title": "refused", "status": status, "detail": value}
            answer = json.dumps(value).encode() if value is not None else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        service.store.close()
