"""A service whose detector flags each run: subscriptions to it, flags, and what it says of its messages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import orjson

from tests.reliability.rig import Service, until
from tests.support.receiver import flagged_run, history
from tests.support.sinks import SECRET
from tests.web.served import JSON, Answer
from tests.web.served import Service as Client

#: The detector flags whatever may be flagged.
MODULE = "tests.web.steered_service"
LOCAL = '[alerts]\nallowed_networks = ["127.0.0.0/8"]\n'
#: Seconds that a request may take while the service is killed and started again.
PATIENCE = 60.0


@dataclass
class Flagging:
    """The service, and when its flags were posted, in seconds since 1970 UTC."""

    service: Service
    raised: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    token: str | None = None
    #: Requests so far, each on a connection of its own.
    asked: int = 0
    _rest: dict[str, list[bytes]] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One request; a body is sent as JSON unless it is bytes."""
        self.asked += 1
        host, _, port = self.service.url.removeprefix("http://").rpartition(":")
        chosen = token or self.token
        given = {**(JSON if body is not None else {}), **(headers or {})}
        given |= {"Authorization": f"Bearer {chosen}"} if chosen else {}
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        return Client(host, int(port)).ask(method, path, content, given)

    def subscribe(self, name: str, sink: Mapping[str, Any], **more: Any) -> Answer:
        """Subscribes a sink to all flags, at once."""
        given = {"id": name, "name": name, "owner": "ann", "delivery": {"min_hold_seconds": 0}, **more}
        secret = {"secret": SECRET} if sink["kind"] == "webhook" else {}
        return self.ask("POST", "/v1/subscriptions", {**given, "sink": {**secret, **sink}})

    def hook(self, name: str, url: str, **more: Any) -> None:
        """Subscribes a webhook."""
        answer = self.subscribe(name, {"kind": "webhook", "url": url}, **more)
        assert answer.status == 201, answer.body

    def post(self, messages: list[bytes]) -> None:
        """Posts events, again until they are acknowledged, whatever happens to the service."""
        body, end = b"[" + b",".join(messages) + b"]", time.monotonic() + PATIENCE
        while True:
            try:
                status = self.ask("POST", "/v1/events/batch", body).status
            except (OSError, HTTPException):
                status = 0
            if status == 200:
                return
            assert status in (0, 503), status
            assert time.monotonic() < end, "events were not acknowledged"
            time.sleep(0.05)

    def begin(self, flags: int) -> None:
        """Gives pipelines a past, so that a run of each may be flagged."""
        for number in range(flags):
            self.post(history(_now_ms(), f"p{number}"))

    def flag(self, number: int) -> str:
        """Has a run of a pipeline flagged; its flag."""
        flag = f"p{number}/run:r"
        first, self._rest[flag] = flagged_run(_now_ms(), "r", f"p{number}")
        self.raised[flag] = time.time()
        self.post(first)
        return flag

    def end(self, flag: str) -> None:
        """The run of a flag is pushed."""
        self.ended[flag] = time.time()
        self.post(self._rest.pop(flag))

    def records(self) -> list[str]:
        """The ids of all records of flags, in their order, as the list of the latest flags tells their revisions."""
        answer = self.ask("GET", "/v1/flags?limit=1000")
        return [f"{each['flag']}#{n + 1}" for each in answer.json["flags"] for n in range(each["revision"])]

    def deliveries(self, name: str, *fates: str) -> list[Any]:
        """The delivery log of a subscription, newest first."""
        wanted = "".join(f"&fate={fate}" for fate in fates)
        answer = self.ask("GET", f"/v1/subscriptions/{name}/deliveries?limit=1000{wanted}")
        assert answer.status == 200, answer.body
        return list(answer.json["deliveries"])

    def metric(self, name: str) -> float:
        """The value of a metric."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.ask("GET", "/metrics").body.decode(), re.M)
        assert found is not None, name
        return float(found.group(1))

    def mib(self) -> float:
        """Its memory."""
        return round(self.metric("process_resident_memory_bytes") / (1 << 20), 1)


@contextmanager
def flagging(
    folder: Path, config: str = LOCAL, variables: Mapping[str, str] | None = None, module: str = MODULE
) -> Iterator[Flagging]:
    """The service over a folder, with settings; it is ready, and killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.toml"
    settings.write_text(config)
    settings.chmod(0o600)
    arguments = ["--data", str(folder / "data"), "--config", str(settings)]
    made = Service(folder / "serve.log", arguments, variables=dict(variables or {}), module=module)
    try:
        made.start()
        until(lambda: made.ask("/readyz")[0] == 200, "the service is ready")
        yield Flagging(made)
    finally:
        made.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
