"""`stream-app notify` beside workers, as processes on a real broker: what subscribers hear, whatever happens."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from kafka.admin import KafkaAdminClient

from stream_app.alerts.flag_acts import FlagAct
from stream_app.alerts.links import LINKS, ActLink, LinkKey
from stream_app.alerts.secrets import Vault
from stream_app.core.units import DAY_MS
from tests.broker.broker import Broker
from tests.broker.cluster import Process
from tests.broker.deleting import delete_topics
from tests.broker.notifying import DROPPED, Notifying, notifying, until
from tests.kafka.processing.test_finding_alerts import LOG, Life
from tests.support.receipts import missing, wrong
from tests.support.sinks import Sinks, sinks

HISTORY_DAYS = 30


@pytest.fixture(scope="module")
def deployment(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notifying]:
    """Two workers and two notifiers, all ready."""
    folder = tmp_path_factory.mktemp("notify")
    with notifying(broker.bootstrap, folder, f"notify{time.time_ns():x}") as made:
        for _ in range(2):
            made.notifier()
            made.worker()
        made.all_ready()
        yield made


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    """Sinks that verify what they are sent."""
    with sinks(tmp_path_factory.mktemp("sinks")) as made:
        yield made


def test_a_subscription_that_one_made_is_there_at_the_other(deployment: Notifying, receivers: Sinks) -> None:
    """As is each change of it, and one that was made of an earlier version is refused by both."""
    first, second = deployment.notifiers
    deployment.subscribe(first, "shared", receivers)
    path = "/v1/subscriptions/shared"
    found = until(lambda: (got := deployment.ask(second, "GET", path)).status == 200 and got, "it is at the other")
    tag = {"If-Match": found.headers["ETag"]}
    changed = deployment.ask(second, "PATCH", path, {"name": "changed"}, tag)
    assert changed.status == 200, changed.body
    until(lambda: deployment.ask(first, "GET", path).json["name"] == "changed", "the change is at the first")

    refused = [deployment.ask(each, "PATCH", path, {"name": "late"}, tag).status for each in (first, second)]
    assert refused == [412, 412]
    assert deployment.ask(first, "DELETE", path).status == 204
    until(lambda: deployment.ask(second, "GET", path).status == 404, "it is gone at the other")


def test_what_people_decide_at_a_notifier_reaches_the_worker(deployment: Notifying, receivers: Sinks) -> None:
    """A link is used once, whichever notifiers are asked at the same time; a word is applied as an event."""
    first, second = deployment.notifiers
    deployment.subscribe(first, "people", receivers)
    flag = deployment.flag("people-decide")
    deployment.flags.remove(flag)  # its end is not that of the others

    def record(notifier: Process) -> dict[str, Any]:
        found = deployment.ask(notifier, "GET", "/v1/flags?pipeline=people-decide").json["flags"]
        return dict(found[0]) if found else {}

    path = "/v1/subscriptions/people"
    for each in deployment.notifiers:
        until(lambda each=each: record(each), "the flag is known")
        until(lambda each=each: deployment.ask(each, "GET", path).status == 200, "the subscription is known")
    link = ActLink(flag, FlagAct.PROLONG, "people", time.time_ns() // 1_000_000 + 60_000, "once")
    token = LinkKey(Vault(b"a key for these tests only").derived(LINKS)).token(link)
    body = urlencode({"link": token, "reason": "it matters"}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with ThreadPoolExecutor(4) as pool:
        asked = [first, second, first, second]
        statuses = sorted(pool.map(lambda each: deployment.ask(each, "POST", "/v1/act", body, form).status, asked))

    assert statuses == [200, 409, 409, 409]
    kept = deployment.ask(second, "POST", f"/v1/flags/{flag}/keep", {"reason": "the launch"})
    assert kept.status == 202, kept.body
    until(lambda: record(first).get("outcome") == "overridden", "the flag is over")

    def audited() -> bool:
        entries = deployment.ask(first, "GET", "/v1/audit").json["entries"]
        return {"prolong: it matters", "keep: the launch"} <= {each["what"] for each in entries}

    until(audited, "both are in the audit log")
    assert deployment.ask(first, "DELETE", path).status == 204


def test_a_month_of_history_tells_nobody_anything(deployment: Notifying, receivers: Sinks) -> None:
    """Only the flag that is raised now is told, however much of the past is read at once."""
    deployment.subscribe(deployment.notifiers[0], "history", receivers)
    now_ms = time.time_ns() // 1_000_000
    for day in range(1, HISTORY_DAYS + 1):
        deployment.end(deployment.flag(f"past{day}", now_ms - day * DAY_MS))
    deployment.flags.clear()
    flag = deployment.flag("now")
    deployment.heard(receivers, ["history"], "raised")
    deployment.end(flag)
    deployment.heard(receivers, ["history"], "resolved")

    assert {each.flag for each in receivers.attempts() if each.name == "history"} == {flag}
    deployment.ask(deployment.notifiers[0], "DELETE", "/v1/subscriptions/history")


def test_kills_lose_and_repeat_nothing(deployment: Notifying, receivers: Sinks) -> None:
    """Every record of a flag reaches each subscription in order, under one id."""
    names = ["killed0", "killed1"]
    for name, notifier in zip(names, deployment.notifiers, strict=True):
        deployment.subscribe(notifier, name, receivers)
    deployment.flags.clear()
    for number in range(4):
        deployment.flag(f"killed{number}")
    deployment.kills(2, seed=1, patient=0.0)
    deployment.heard(receivers, names, "raised")
    for flag in deployment.flags:
        deployment.end(flag)
    deployment.notifiers[1].kill()
    deployment.notifiers[1].start()
    deployment.heard(receivers, names, "resolved")
    deployment.all_ready()

    received = [each for each in receivers.attempts() if each.name in names]
    assert wrong(received) == []
    for name in names:
        dropped = deployment.dropped(name)
        for _, record in missing(received, [name], (f"{flag}#{n}" for flag in deployment.flags for n in (1, 2, 3))):
            assert any(reason in dropped.get(record, "") for reason in DROPPED), (record, dropped.get(record))


def test_flags_that_are_raised_while_no_notifier_runs_are_told_afterwards(
    deployment: Notifying, receivers: Sinks
) -> None:
    """A restart goes on where it ended."""
    deployment.subscribe(deployment.notifiers[0], "away", receivers)
    until(
        lambda: deployment.ask(deployment.notifiers[1], "GET", "/v1/subscriptions/away").status == 200,
        "the subscription is at the other",
    )
    for notifier in deployment.notifiers:
        notifier.signal(signal.SIGTERM)
    assert [notifier.wait() for notifier in deployment.notifiers] == [0, 0]
    deployment.flags.clear()
    deployment.flag("away")
    for notifier in deployment.notifiers:
        notifier.start()
    deployment.heard(receivers, ["away"], "raised")

    assert [each.change for each in receivers.attempts() if each.name == "away"] == ["raised"]


def test_a_finding_of_a_worker_reaches_who_asks_for_it(deployment: Notifying, receivers: Sinks) -> None:
    """What a worker has sent goes the way of flags, each change once; whoever has no types hears of flags alone."""
    first, second = deployment.notifiers
    types = ["finding.raised", "finding.revised", "finding.resolved"]
    deployment.subscribe(first, "found", receivers, types=types, filter={"kind": "no_push"})
    deployment.subscribe(first, "flagged", receivers, filter={"pipeline": "p"})
    path = "/v1/subscriptions/flagged"
    until(lambda: deployment.ask(second, "GET", path).status == 200, "the subscriptions are at the other")
    worker = Life()
    worker.apply(LOG)
    raised, *later = [each for each in worker.sent if each.topic.endswith("-alerts")]
    deployment.alert([raised])
    deployment.heard(receivers, ["found"], "raised", flags=["p/finding:no_push"])
    deployment.alert(later)
    deployment.heard(receivers, ["found"], "resolved", flags=["p/finding:no_push"])

    received = [each for each in receivers.attempts() if each.name == "found"]
    assert wrong(received) == []
    assert {each.flag for each in received} == {"p/finding:no_push"}
    assert len({each.id for each in received}) == len(received)
    assert not [each for each in receivers.attempts() if each.name == "flagged" and "finding" in each.flag]


def test_a_notifier_does_not_begin_anew_where_its_state_is_lost(deployment: Notifying, admin: KafkaAdminClient) -> None:
    """It says what that would do, and does it only when it is told to. The last test: it ends what others need."""
    for notifier in deployment.notifiers:
        notifier.signal(signal.SIGTERM)
        notifier.wait()
    changelog = deployment.names.deliveries_changelog
    delete_topics(admin, [changelog])
    deployment.apply_topics()
    refused = deployment.notifiers[0]
    refused.start()

    assert refused.wait(60) == 1
    last = refused.log.read_text().splitlines()[-1]
    assert last.startswith(
        f"stream-app: {changelog} is empty, but the group {deployment.names.group}-notify has commits"
    )
    assert "--accept-loss begins anew" in last
    accepting = deployment.process("notify", 0, "--port", "0", "--accept-loss")
    deployment.ready(accepting)
    accepting.signal(signal.SIGTERM)
    assert accepting.wait() == 0
