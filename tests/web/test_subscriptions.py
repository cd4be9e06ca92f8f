"""The API of subscriptions: what it takes, what it answers, and to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.alerts.settings import AlertSettings
from stream_app.core.detector import Settings
from stream_app.owners import OwnerRule, Owners
from tests.support.receiver import Receiver, flagged_run, history, receiver
from tests.web.served import JSON, Answer, Service, embedded_service, relayed_service
from tests.web.steered_service import Pessimist
from tests.web.test_alerts_process import now_ms, post, subscribe

PATH = "/v1/subscriptions"
LOCAL = AlertSettings(allowed_networks=("127.0.0.0/8",))
PATCH = {"Content-Type": "application/merge-patch+json"}
TOKENS = Tokens(
    Token(digest_of(name), Principal(name, scope, owners, pipelines))
    for name, scope, owners, pipelines in [
        ("root", Scope.ADMIN, (), ()),
        ("reader", Scope.READ, (), ()),
        ("ann", Scope.WRITE, ("ann",), ()),
        ("bob", Scope.WRITE, ("bob*",), ("q*",)),
    ]
)


def draft(**more: Any) -> dict[str, Any]:
    """A subscription that nobody can be reached with."""
    return {"name": "n", "owner": "ann", "sink": {"kind": "webhook", "url": "https://example.com/hook"}, **more}


def ask(
    service: Service, method: str, path: str, body: Any = None, who: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """One request with JSON, by the name of a token."""
    more = dict(headers or {})
    if who:
        more["Authorization"] = f"Bearer {who}"
    content = orjson.dumps(body) if body is not None else None
    return service.ask(method, path, content, {**(JSON if content is not None else {}), **more})


def create(service: Service, who: str = "", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
    """Makes a subscription."""
    answer = ask(service, "POST", PATH, draft(**more), who, headers)
    assert answer.status == 201, answer.body
    return answer.json


@pytest.fixture(autouse=True)
def _steered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "learner", lambda _: Pessimist())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The service without tokens."""
    with embedded_service(tmp_path / "data" / "events.sqlite", alerts=LOCAL) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    """The service with tokens."""
    with embedded_service(tmp_path / "data" / "events.sqlite", alerts=LOCAL, tokens=TOKENS) as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver."""
    with receiver() as made:
        yield made


def test_a_subscription_is_made_shown_and_deleted(service: Service) -> None:
    """Its secret is shown once; what is there is there after a restart too."""
    answer = ask(service, "POST", PATH, draft())
    made = answer.json
    location = answer.headers["Location"]

    assert answer.status == 201
    assert location == f"{PATH}/{made['id']}"
    assert made["secret"].startswith("whsec_")
    shown = service.get(location)
    assert shown.headers["ETag"] == answer.headers["ETag"]
    assert shown.json == {name: value for name, value in made.items() if name != "secret"}
    assert shown.json["sink"]["secret"] == "**********"
    assert ask(service, "DELETE", location).status == 204
    assert service.get(location).status == 404
    assert ask(service, "DELETE", location).status == 404


def test_what_was_answered_is_on_disk(tmp_path: Path) -> None:
    """Also when the process ends without being asked to: the answer waits for the disk."""
    path = tmp_path / "data" / "events.sqlite"
    with embedded_service(path, alerts=LOCAL) as running:
        name = create(running)["id"]
        copied = tmp_path / "copied"
        copied.mkdir()
        for each in (tmp_path / "data").iterdir():
            (copied / each.name).write_bytes(each.read_bytes())

    with embedded_service(copied / "events.sqlite", alerts=LOCAL) as running:
        assert running.get(f"{PATH}/{name}").status == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sink": {"kind": "webhook", "url": "ftp://example.com"}}, "sink.url"),
        ({"sink": {"kind": "webhook", "url": "https://u:p@example.com"}}, "sink.url"),
        ({"sink": {"kind": "pigeon"}}, "sink"),
        ({"sink": {"kind": "email", "to": ["ann@example.com"]}}, "sink.kind"),
        ({"sink": {"kind": "kafka", "topic": "t"}}, "sink.kind"),
        ({"filter": {"p_push": {"below": "x"}}}, "filter.p_push.below"),
        ({"filter": {"pipelines": ["p"]}}, "filter.pipelines"),
        ({"types": ["finding.raised"], "filter": {"any": [{"p_push": {"below": 0.1}}]}}, "filter.any.0.p_push"),
        ({"filter": {"kind": "no_push"}}, "filter.kind"),
        ({"delivery": {"time_zone": "Mars"}}, "delivery.time_zone"),
        ({"owner": ""}, "owner"),
        ({"id": "a b"}, "id"),
    ],
)
def test_a_mistake_names_the_field(service: Service, change: dict[str, Any], field: str) -> None:
    """As a problem, without a traceback, and nothing is made."""
    answer = ask(service, "POST", PATH, draft(**change))

    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json["field"], answer.json["status"]) == (field, 422)
    assert service.get(PATH).json == {"subscriptions": [], "next": None}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'"x"', 422),
        (b"[" * 500 + b"]" * 500, 422),
        (b'{"filter":' + b'{"not":' * 300 + b"{}" + b"}" * 301, 422),
        (b'{"a":"' + b"x" * (64 << 10) + b'"}', 413),
    ],
)
def test_a_body_that_is_no_subscription_is_refused(service: Service, body: bytes, status: int) -> None:
    """Whatever it is."""
    for path in (PATH, f"{PATH}/preview"):
        assert service.ask("POST", path, body, JSON).status == status


def test_a_change_is_a_merge_patch_of_the_version_it_is_meant_for(service: Service) -> None:
    """What is null is removed; a change of an old version is refused."""
    made = create(service, id="s", filter={"pipeline": ["p*"], "owner": ["ann"]})
    before = service.get(f"{PATH}/s").headers["ETag"]

    changed = ask(service, "PATCH", f"{PATH}/s", {"filter": {"owner": None}}, headers={**PATCH, "If-Match": before})
    late = ask(service, "PATCH", f"{PATH}/s", {"name": "m"}, headers={**PATCH, "If-Match": before})
    renamed = ask(service, "PATCH", f"{PATH}/s", {"id": "t"}, headers=PATCH)

    assert changed.status == 200
    assert changed.json["filter"] == {"pipeline": ["p*"]}
    assert changed.json["version"] == made["version"] + 1
    assert changed.headers["ETag"] != before
    assert (late.status, renamed.status) == (412, 422)
    assert service.get(f"{PATH}/s").json["name"] == "n"
    assert ask(service, "DELETE", f"{PATH}/s", headers={"If-Match": before}).status == 412
    assert ask(service, "DELETE", f"{PATH}/s", headers={"If-Match": changed.headers["ETag"]}).status == 204


def test_hidden_headers_do_not_follow_a_url_to_another_host(service: Service) -> None:
    """Or whoever may change a subscription could read what nobody is shown."""
    sink = {"kind": "webhook", "url": "https://example.com/hook", "headers": {"X-Key": "s3cret"}}
    create(service, id="s", sink=sink)
    elsewhere = {"url": "https://example.org/hook"}

    assert ask(service, "PATCH", f"{PATH}/s", {"sink": {"url": "https://example.com/other"}}).status == 200
    refused = ask(service, "PATCH", f"{PATH}/s", {"sink": elsewhere})
    hidden = ask(service, "PATCH", f"{PATH}/s", {"sink": {**elsewhere, "headers": {"X-Key": "**********"}}})
    given = ask(service, "PATCH", f"{PATH}/s", {"sink": {**elsewhere, "headers": {"X-Key": "s3cret"}}})

    assert (refused.status, refused.json["field"]) == (422, "sink.headers.X-Key")
    assert (hidden.status, given.status) == (422, 200)


def test_a_request_that_is_sent_again_makes_nothing_new(tmp_path: Path) -> None:
    """Also after a restart: the same answer for the same key and body, a conflict for another body."""
    path, key = tmp_path / "data" / "events.sqlite", {"Idempotency-Key": "k-1"}
    with embedded_service(path, alerts=LOCAL) as running:
        first = create(running, headers=key)
        assert create(running, headers=key) == first
        assert ask(running, "POST", PATH, draft(name="other"), headers=key).status == 409
        assert ask(running, "POST", PATH, draft(), headers={"Idempotency-Key": "x" * 300}).status == 400
    with embedded_service(path, alerts=LOCAL) as running:
        assert create(running, headers=key) == first
        assert len(running.get(PATH).json["subscriptions"]) == 1
        assert create(running, headers={"Idempotency-Key": "k-2"})["id"] != first["id"]


def test_pages_hold_every_subscription_once(service: Service) -> None:
    """By id; the last page says that it is."""
    names = [f"s{number:02}" for number in range(7)]
    for name in reversed(names):
        create(service, id=name)
    found: list[str] = []
    after = ""
    while True:
        page = service.get(f"{PATH}?limit=3&after={after}").json
        found += [each["id"] for each in page["subscriptions"]]
        after = page["next"]
        if after is None:
            break

    assert found == names
    for query in ("limit=0", "limit=1001", "limit=x", "page=1"):
        assert service.get(f"{PATH}?{query}").status == 400


def test_a_paused_subscription_is_silent_and_a_resumed_one_is_not(service: Service, hook: Receiver) -> None:
    """A run that was flagged meanwhile is not announced."""
    subscribe(service, hook, "on")
    subscribe(service, hook, "off")
    assert ask(service, "POST", f"{PATH}/off/pause").json["state"] == "paused"
    post(service, [*history(now_ms()), *flagged_run(now_ms(), "r1")[0]])
    hook.until(lambda arrived: len(arrived) == 1)
    assert ask(service, "POST", f"{PATH}/off/resume").json["state"] == "active"
    post(service, flagged_run(now_ms(), "r2")[0])
    arrived = hook.until(lambda arrived: len(arrived) == 3)

    assert sorted(each.id for each in arrived) == ["p/run:r1#1@on", "p/run:r2#1@off", "p/run:r2#1@on"]


def test_changes_hold_for_the_next_flag(service: Service, hook: Receiver) -> None:
    """Another filter, another secret, and nothing after a deletion."""
    old = subscribe(service, hook)["secret"]
    subscribe(service, hook, "all")
    post(service, history(now_ms()))
    ask(service, "PATCH", f"{PATH}/hook", {"filter": {"owner": "bob"}}, headers=PATCH)
    post(service, flagged_run(now_ms(), "r1")[0])
    hook.until(bool)  # what all have heard of was matched with the other filter
    ask(service, "DELETE", f"{PATH}/all")
    ask(service, "PATCH", f"{PATH}/hook", {"filter": {"owner": None}}, headers=PATCH)
    new = ask(service, "POST", f"{PATH}/hook/rotate-secret").json["secret"]
    post(service, flagged_run(now_ms(), "r2")[0])
    first, arrived = hook.until(lambda arrived: len(arrived) == 2)

    assert (first.id, arrived.id) == ("p/run:r1#1@all", "p/run:r2#1@hook")
    for secret in (old, new):
        assert Webhook(secret).verify(arrived.body.decode(), dict(arrived.headers))
    assert new != old
    subscribe(service, hook, "other")
    assert ask(service, "DELETE", f"{PATH}/hook").status == 204
    post(service, flagged_run(now_ms(), "r3")[0])
    hook.until(lambda arrived: len(arrived) == 3)
    assert hook.arrived[2].id == "p/run:r3#1@other"


def test_deliveries_are_shown_and_sent_again(service: Service, hook: Receiver) -> None:
    """By number, under the same id."""
    subscribe(service, hook)
    post(service, [*history(now_ms()), *flagged_run(now_ms(), "r1")[0]])
    hook.until(lambda arrived: len(arrived) == 1)
    shown: list[Any] = []
    while not shown:
        shown = service.get(f"{PATH}/hook/deliveries?fate=sent&limit=10").json["deliveries"]
    again = ask(service, "POST", f"{PATH}/hook/deliveries/{shown[0]['number']}/redeliver")
    arrived = hook.until(lambda arrived: len(arrived) == 2)

    assert [(each["fate"], each["attempt"], each["records"]) for each in shown] == [("sent", 1, ["p/run:r1#1"])]
    assert again.status == 202
    assert arrived[0].id == arrived[1].id
    assert service.get(f"{PATH}/hook/deliveries?fate=dead&fate=failed").json == {"deliveries": [], "next": None}
    for path, status in [("hook/deliveries/99/redeliver", 404), ("other/deliveries/1/redeliver", 404)]:
        assert ask(service, "POST", f"{PATH}/{path}").status == status
    assert service.get(f"{PATH}/hook/deliveries?fate=lost").json["field"] == "fate"
    recovered = ask(service, "POST", f"{PATH}/hook/recover", {"since": "2026-01-01T00:00:00Z", "dry_run": True})
    assert recovered.json == {"messages": 0}
    assert ask(service, "POST", f"{PATH}/hook/recover", {"since": "noon"}).json["field"] == "since"


def test_a_trial_reports_what_the_sink_says(service: Service, hook: Receiver) -> None:
    """A preview counts what would have been sent."""
    secret = subscribe(service, hook)["secret"]
    assert ask(service, "POST", f"{PATH}/hook/test").json == {"succeeded": True, "reason": ""}
    hook.status = 500
    failed = ask(service, "POST", f"{PATH}/hook/test").json
    assert (failed["succeeded"], failed["reason"]) == (False, "HTTP 500")
    assert Webhook(secret).verify(hook.arrived[0].body.decode(), dict(hook.arrived[0].headers))
    hook.status = 200
    post(service, [*history(now_ms()), *flagged_run(now_ms(), "r1")[0]])
    hook.until(lambda arrived: len(arrived) == 3)

    found = ask(service, "POST", f"{PATH}/preview", {"filter": {"pipeline": "p"}}).json
    assert (found["days"], found["messages"], found["flags"]) == (35, 1, 1)
    assert ask(service, "POST", f"{PATH}/preview", {"filter": {"pipeline": "q"}}).json["messages"] == 0


def test_a_sink_within_this_machine_is_refused(tmp_path: Path, hook: Receiver) -> None:
    """Unless its network is allowed."""
    with embedded_service(tmp_path / "events.sqlite", alerts=AlertSettings()) as running:
        subscribe(running, hook)
        result = ask(running, "POST", f"{PATH}/hook/test").json

    assert not result["succeeded"]
    assert "alerts.allowed_networks" in result["reason"]
    assert hook.arrived == []


# Who may do what


def test_a_token_that_is_bound_sees_and_changes_its_own_alone(guarded: Service) -> None:
    """Of others it does not learn that they are there."""
    create(guarded, "root", id="of-ann")
    create(guarded, "root", id="of-bob", owner="bob")

    assert [each["id"] for each in ask(guarded, "GET", PATH, who="ann").json["subscriptions"]] == ["of-ann"]
    assert [each["id"] for each in ask(guarded, "GET", PATH, who="bob").json["subscriptions"]] == ["of-bob"]
    for method, path, body in [
        ("GET", "", None), ("PATCH", "", {"name": "m"}), ("DELETE", "", None), ("POST", "/test", None),
        ("POST", "/pause", None), ("POST", "/resume", None), ("POST", "/rotate-secret", None),
        ("GET", "/deliveries", None), ("POST", "/deliveries/1/redeliver", None),
        ("POST", "/recover", {"since": "2026-01-01T00:00:00Z"}),
    ]:  # fmt: skip
        assert ask(guarded, method, f"{PATH}/of-bob{path}", body, "ann").status == 404, (method, path)
    assert ask(guarded, "POST", PATH, draft(owner="bob"), "ann").status == 403
    assert ask(guarded, "PATCH", f"{PATH}/of-ann", {"owner": "bob"}, "ann").status == 403
    assert ask(guarded, "GET", f"{PATH}/of-bob", who="root").json["version"] == 1


def test_a_token_does_what_its_scope_says(guarded: Service) -> None:
    """Reading changes nothing, and only an administrator reads the audit log."""
    create(guarded, "root", id="s")

    for method, path, body in [
        ("POST", PATH, draft()), ("PATCH", f"{PATH}/s", {"name": "m"}), ("DELETE", f"{PATH}/s", None),
        ("POST", f"{PATH}/s/test", None), ("POST", f"{PATH}/s/pause", None),
        ("POST", f"{PATH}/s/rotate-secret", None), ("POST", f"{PATH}/s/deliveries/1/redeliver", None),
        ("POST", f"{PATH}/s/recover", {"since": "2026-01-01T00:00:00Z"}),
        ("POST", "/v1/events", {}), ("GET", "/v1/audit", None),
    ]:  # fmt: skip
        assert ask(guarded, method, path, body, "reader").status == 403, (method, path)
    assert ask(guarded, "GET", f"{PATH}/s", who="reader").status == 200
    assert ask(guarded, "GET", "/v1/verdicts", who="reader").status == 200
    assert ask(guarded, "GET", "/v1/audit", who="ann").status == 403
    entries = ask(guarded, "GET", "/v1/audit", who="root").json["entries"]
    assert [(each["who"], each["what"], each["subscription"]) for each in entries] == [("root", "create", "s")]
    for who in ("", "nobody"):
        assert ask(guarded, "GET", PATH, who=who).status == 401


def test_a_token_of_pipelines_subscribes_to_these_alone(guarded: Service, hook: Receiver) -> None:
    """Whatever its filter says; events and verdicts of all pipelines are not for it."""
    sink = {"kind": "webhook", "url": hook.url}
    made = create(guarded, "bob", id="s", owner="bob", sink=sink, delivery={"min_hold_seconds": 0})
    for pipeline in ("p", "q1"):
        for each in [*history(now_ms(), pipeline), *flagged_run(now_ms(), "r1", pipeline)[0]]:
            assert guarded.ask("POST", "/v1/events", each, {**JSON, "Authorization": "Bearer root"}).status == 201
    (arrived,) = hook.until(bool)

    assert made["filter"] == {"all": [{"pipeline": ["q*"]}]}
    assert arrived.event["data"]["pipeline"] == "q1"
    flags = ask(guarded, "GET", "/v1/flags", who="bob").json["flags"]
    assert [each["pipeline"] for each in flags] == ["q1"]
    assert len(ask(guarded, "GET", "/v1/flags?open=true", who="root").json["flags"]) == 2
    for path in ("/v1/verdicts", "/v1/should-prune?run=r1"):
        assert ask(guarded, "GET", path, who="bob").status == 403
    assert ask(guarded, "POST", "/v1/events", {}, "ann").status == 403


# Owners, and workers


def test_owners_are_subscribed_once(tmp_path: Path) -> None:
    """When their first flag is seen, and not again after they have deleted it, also after a restart."""
    owners = Owners([OwnerRule("ann", "*", address="ann@example.com"), OwnerRule("eve", "q", address="nobody")])
    settings = AlertSettings(owners=owners)
    path = tmp_path / "data" / "events.sqlite"
    with embedded_service(path, alerts=settings) as running:
        post(running, [*history(now_ms()), *flagged_run(now_ms(), "r1")[0]])
        post(running, [*history(now_ms(), "q", "eve"), *flagged_run(now_ms(), "r1", "q", "eve")[0]])
        found: list[Any] = []
        while len(running.get("/v1/flags").json["flags"]) < 2 or not found:
            found = running.get(PATH).json["subscriptions"]
        (made,) = found
        assert (made["owner"], made["sink"]["to"]) == ("ann", ["ann@example.com"])
        assert made["filter"] == {"all": [{"owner": ["ann"]}, {"not": {"ladder": ["observe"]}}]}
        assert ask(running, "DELETE", f"{PATH}/{made['id']}").status == 204
        entries = running.get("/v1/audit").json["entries"]
        assert [(each["who"], each["what"]) for each in entries] == [("everybody", "delete"), ("owners file", "create")]
    with embedded_service(path, alerts=settings) as running:
        post(running, flagged_run(now_ms(), "r2")[0])
        while len(running.get("/v1/flags").json["flags"]) < 3:
            pass
        assert running.get(PATH).json["subscriptions"] == []


def test_beside_workers_another_process_keeps_subscriptions() -> None:
    """The answer says which."""
    with relayed_service() as running:
        asked = [running.get(path) for path in (PATH, f"{PATH}/s", f"{PATH}/s/deliveries", f"{PATH}/")]
        asked += [running.get(path) for path in ("/v1/flags", "/v1/flags/stream", "/v1/audit")]
        asked += [ask(running, "POST", PATH, draft()), ask(running, "DELETE", "/v1/owners/ann")]
        for answer in asked:
            assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
            assert answer.json["detail"].startswith("beside workers stream-app notify keeps subscriptions and flags")


# The stream of flags


@contextmanager
def listening(service: Service, query: str = "", **headers: str) -> Iterator[Any]:
    """A listener of the stream; yields its response."""
    connection = HTTPConnection(service.host, service.port, timeout=20)
    connection.request("GET", f"/v1/flags/stream{query}", headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    try:
        yield response
    finally:
        connection.close()


def events(response: Any, count: int) -> list[dict[str, str]]:
    """The next events of a stream, by field; comments are left out."""
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    while len(found) < count:
        line = response.readline().decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            current[name] = value
        elif not line:
            if "data" in current:
                found.append(current)
            current = {}
    return found


def test_a_listener_gets_flags_as_they_come_and_goes_on_where_it_was(service: Service) -> None:
    """Each record once, whichever connection it is on."""
    post(service, history(now_ms()))
    with listening(service) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert [stream.readline() for _ in range(3)] == [b"retry: 2000\n", b"\n", b"id: 0\n"]
        post(service, flagged_run(now_ms(), "r1")[0])
        (first,) = events(stream, 1)
    post(service, flagged_run(now_ms(), "r2")[0])
    with listening(service, Last_Event_ID=first["id"]) as stream:
        (second,) = events(stream, 1)
    with listening(service, Last_Event_ID="0") as stream:
        both = events(stream, 2)
    with listening(service, "?pipeline=q", Last_Event_ID="0") as stream:
        post(service, [*history(now_ms(), "q"), *flagged_run(now_ms(), "r3", "q")[0]])
        (other,) = events(stream, 1)

    assert (first["event"], orjson.loads(first["data"])["subject"]) == ("raised", "p/run:r1")
    assert orjson.loads(second["data"])["subject"] == "p/run:r2"
    assert both == [first, second]
    assert orjson.loads(other["data"])["subject"] == "q/run:r3"
    assert service.ask("GET", "/v1/flags/stream", headers={"Last-Event-ID": "x"}).status == 400
    assert service.ask("HEAD", "/v1/flags/stream").status == 405


def test_listeners_are_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further one is asked to come again later."""
    monkeypatch.setattr("stream_app.alerts.feed.LISTENERS_MAX", 1)
    with listening(service) as first:
        assert first.status == 200
        with listening(service) as second:
            assert (second.status, second.headers["Retry-After"]) == (503, "30")


def test_a_quiet_stream_goes_on_beyond_the_time_of_a_request(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments show that it is there, and each prolongs it."""
    monkeypatch.setattr("stream_app.web.flag_routes.COMMENT_SECONDS", 0.05)
    monkeypatch.setattr("stream_app.web.listening.REQUEST_SECONDS", 0.5)
    with listening(service) as stream:
        lines = [stream.readline() for _ in range(60)]

    assert lines.count(b": nothing new\n") >= 25
