"""A service of this process with an embedded detector that flags every run, and a subscription to all flags."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import pytest

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.alerts.settings import AlertSettings
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Settings
from stream_app.core.ladder import LadderRule
from stream_app.service.settings import EmbeddedSettings
from stream_app.web.limits import Limits
from tests.support.receiver import Receiver, flagged_run, history, receiver
from tests.web.served import JSON, Answer, Service, embedded_service
from tests.web.steered_service import Pessimist

ALERTS = AlertSettings(
    allowed_networks=("127.0.0.0/8",),
    public_url="https://stream-app.example.com",
    slack_signing_secret="the signing secret of the tests",
)
#: Who has a token, by the token.
WHO = {
    "admin": Principal("root", Scope.ADMIN),
    "ann": Principal("ann-ci", Scope.WRITE, ("ann",)),
    "bob": Principal("bob-ci", Scope.WRITE, ("bob",)),
    "only-p": Principal("p-ci", Scope.WRITE, (), ("p",)),
    "only-q": Principal("q-ci", Scope.WRITE, (), ("q",)),
    "reader": Principal("grafana", Scope.READ),
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def now_ms() -> int:
    """The time, in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


@dataclass
class Flagging:
    """The service, what it has sent, and runs that it flags."""

    service: Service
    hook: Receiver
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, method: str, path: str, body: Any = None, token: str = "admin") -> Answer:
        """A request with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        given = orjson.dumps(body) if not isinstance(body, bytes | None) else body
        return self.service.ask(method, path, given, headers | (JSON if body is not None else {}))

    def post(self, messages: list[bytes]) -> None:
        """Events."""
        for each in messages:
            assert self.ask("POST", "/v1/events", each).status == 201

    def flag(self, pipeline: str = "p") -> str:
        """A run that was just flagged: the id of its flag."""
        run = f"r{next(self.numbers)}"
        self.post(flagged_run(now_ms(), run, pipeline)[0])
        self.message(f"{pipeline}/run:{run}")
        return f"{pipeline}/run:{run}"

    def ended(self, pipeline: str) -> str:
        """The flag of a run that was pushed, of a pipeline of its own: after a push nothing is flagged for a while."""
        self.post(history(now_ms(), pipeline))
        flag = self.flag(pipeline)
        self.post(self.rest(flag))
        self.record(flag, lambda record: record["outcome"] == "pushed")
        return flag

    def rest(self, flag: str) -> list[bytes]:
        """The further events of the run of a flag, until it is pushed."""
        pipeline, _, run = flag.partition("/run:")
        return flagged_run(now_ms(), run, pipeline)[1]

    def message(self, flag: str) -> dict[str, Any]:
        """What the first message about a flag says of it."""

        def about(arrived: list[Any]) -> list[dict[str, Any]]:
            return [each.event["data"] for each in arrived if each.event["data"]["flag"] == flag]

        found: dict[str, Any] = about(self.hook.until(lambda arrived: bool(about(arrived))))[0]
        return found

    def record(self, flag: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The last record of a flag, once something holds for it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for each in self.ask("GET", "/v1/flags?limit=1000").json["flags"]:
                if each["flag"] == flag and holds(each):
                    return dict(each)
        raise AssertionError(f"flag {flag} is not what it should be")

    def act(self, flag: str, what: str, token: str = "admin", **body: Any) -> Answer:
        """An act on a flag."""
        return self.ask("POST", f"/v1/flags/{quote(flag, safe='')}/{what}", {"reason": "it matters", **body}, token)

    def audit(self) -> list[tuple[str, str, str]]:
        """Who has done what to what, newest first."""
        entries = self.ask("GET", "/v1/audit?limit=1000").json["entries"]
        return [(each["who"], each["what"], each["subscription"]) for each in entries]

    def open(self, link: str) -> Answer:
        """A link that somebody follows, with no token."""
        parts = urlsplit(link)
        return self.service.ask("GET", f"{parts.path}?{parts.query}")

    def submit(self, link: str, reason: str | None = "it matters", **fields: str) -> Answer:
        """The form behind a link, sent with no token."""
        given: Mapping[str, str] = {"link": link.partition("link=")[2], **fields}
        given = given if reason is None else {**given, "reason": reason}
        return self.service.ask("POST", "/v1/act", urlencode(given).encode(), FORM)


@contextmanager
def flagging(
    folder: Path, alerts: AlertSettings = ALERTS, limits: Limits | None = None, ladders: tuple[LadderRule, ...] = ()
) -> Iterator[Flagging]:
    """The service, in `enforce`."""
    with pytest.MonkeyPatch.context() as patch, receiver() as hook:
        patch.setattr(Settings, "learner", lambda _: Pessimist())
        settings = EmbeddedSettings(Settings(policy=Policy(mode=ENFORCE, budget=0.05, ladders=ladders)))
        tokens = Tokens(Token(digest_of(token), who) for token, who in WHO.items())
        path = folder / "data" / "events.sqlite"
        with embedded_service(path, settings, alerts=alerts, tokens=tokens, limits=limits) as service:
            made = Flagging(replace(service), hook)
            sink = {"kind": "webhook", "url": hook.url}
            subscription = {"id": "hook", "name": "hook", "owner": "ann", "sink": sink}
            created = made.ask("POST", "/v1/subscriptions", {**subscription, "delivery": {"min_hold_seconds": 0}})
            assert created.status in (201, 409), created.body  # it is there after a restart
            made.post(history(now_ms()))
            yield made
