"""`stream-app serve` in a process of its own: a finding becomes webhooks, each change once, whatever happens to it."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from stream_app.alerts.opening import open_store
from stream_app.alerts.registered import register
from stream_app.alerts.saved import Changes
from stream_app.alerts.subscriptions import make_subscription
from stream_app.core.units import HOUR_MS
from stream_app.service.event_log import Entry, EventLog
from tests.support.finding_entries import END, PUSHED, finding_entries
from tests.support.receiver import receiver
from tests.web.served import Service, embedded_service
from tests.web.test_alerts_process import begun, now_ms
from tests.web.test_subscriptions import LOCAL

FINDING = "p/finding:no_push"
TYPES = ["finding.raised", "finding.revised", "finding.resolved"]


def subscribed(folder: Path, url: str) -> None:
    """Subscribes a receiver to a service that does not run."""
    given = {"id": "hook", "name": "hook", "owner": "ann", "types": TYPES, "filter": {"kind": "no_push"}}
    sink = {"sink": {"kind": "webhook", "url": url}, "delivery": {"min_hold_seconds": 0}}
    with closing(open_store(folder / "data")) as store:
        store.save(Changes(subscriptions={"hook": register(make_subscription({**given, **sink}), now_ms())}))


def logged(folder: Path, entries: list[Entry]) -> None:
    """Has entries in the log of a service that does not run, as if it had been killed before it applied them."""
    with closing(EventLog(folder / "data" / "events.sqlite")) as event_log:
        event_log.append(entries)


def fates(service: Service, number: int) -> list[tuple[str, str]]:
    """Message and fate of all deliveries, once there are so many; who arrived is told sooner than it is noted."""
    found: list[tuple[str, str]] = []
    while len(found) < number:
        listed = service.get("/v1/subscriptions/hook/deliveries").json["deliveries"]
        found = [(each["message"], each["fate"]) for each in reversed(listed)]
    return found


@pytest.mark.slow
def test_a_finding_is_raised_revised_and_resolved_over_kills(tmp_path: Path) -> None:
    """A message that was being sent is sent again under its id, and nothing else twice; flags are not asked for."""
    begin_ms = now_ms() - (END + 1) * HOUR_MS
    entries = finding_entries(begin_ms)
    raised_until, revised_until = begin_ms + 30 * HOUR_MS, begin_ms + PUSHED * HOUR_MS
    with receiver() as hook:
        subscribed(tmp_path, hook.url)
        logged(tmp_path, [each for each in entries if each.received_ms < raised_until])
        hook.release.clear()
        process = begun(tmp_path)
        (first,) = hook.until(lambda arrived: len(arrived) == 1)
        process.end(signal.SIGKILL)
        hook.release.set()
        logged(tmp_path, [each for each in entries if raised_until <= each.received_ms < revised_until])
        with embedded_service(tmp_path / "data" / "events.sqlite", alerts=LOCAL) as service:
            hook.until(lambda arrived: len(arrived) == 3)
            fates(service, 2)
            figures = service.get("/v1/fleet").json["findings"]["findings"]
        logged(tmp_path, [each for each in entries if each.received_ms >= revised_until])
        with embedded_service(tmp_path / "data" / "events.sqlite", alerts=LOCAL) as service:
            _, again, *others = hook.until(lambda arrived: len(arrived) == 4)
            deliveries = fates(service, 3)

    assert (again.id, again.body) == (first.id, first.body)
    assert first.id == f"{FINDING}#1@hook"
    assert [each["revision"] for each in figures if each["id"] == FINDING] == [2]
    assert [each.event["type"] for each in (first, *others)] == [f"stream_app.{each}" for each in TYPES]
    assert [each.event["data"]["revision"] for each in (first, *others)] == [1, 2, 3]
    with closing(connect(tmp_path / "data" / "alerts.sqlite")) as store:
        ids = [name for (name,) in store.execute("SELECT id FROM flags WHERE flag = ? ORDER BY number", (FINDING,))]
    assert ids == [f"{FINDING}#{number}" for number in (1, 2, 3)]
    assert deliveries == [(name, "sent") for name in ids]
