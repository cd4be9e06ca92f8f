"""All that a notifier exports, and when it is ready."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read

from stream_app.alerts.messages import Fate
from stream_app.alerts.registered import register
from stream_app.alerts.subscriptions import make_subscription
from stream_app.kafka.clients.flow import notifier_flow
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.process.notifier_monitor import NotifierMonitor
from tests.alerts.records import NOW
from tests.metrics.exported import catalogued, exported, generalised

PARTITIONS = 12
TOPICS = ("stream-app-alerts", "stream-app-deliveries")


def subscription(name: str, state: str) -> Any:
    given = {"id": name, "name": name, "owner": "ann", "sink": {"kind": "kafka", "topic": name}, "state": state}
    return register(make_subscription(given), NOW)


@pytest.fixture
def monitor() -> NotifierMonitor:
    """That of a notifier in which everything that can have a value has one."""
    mailbox = SimpleNamespace(messages={"a": None, "b": None})
    partition = SimpleNamespace(
        table=SimpleNamespace(position=0, remaining=5, measure=lambda: (10, 2_000)),
        notifier=SimpleNamespace(mailboxes={"s": mailbox}),
    )
    made = NotifierMonitor(notifier_flow(Names()))
    made.assignment = SimpleNamespace(  # type: ignore[assignment]
        partitions=dict.fromkeys(range(PARTITIONS), partition),
        opening=partition,
        complete=True,
        rebalances=3,
        last_fetch=time.time,
        lags=lambda: {(topic, number): number for topic in TOPICS for number in range(PARTITIONS)},
    )
    made.subscriptions = SimpleNamespace(  # type: ignore[assignment]
        log=SimpleNamespace(caught_up=True),
        registered={"s": subscription("s", "active"), "t": subscription("t", "paused")},
    )
    made.alert_log = SimpleNamespace(  # type: ignore[assignment]
        log=SimpleNamespace(caught_up=True), unavailable_reason="", feed=range(4)
    )
    made.counts.malformed = 6
    made.alerts.attempt("webhook", 0.2)
    made.alerts.messages([Fate.SENT.value, Fate.DEAD.value])
    made.alerts.warning("owner")
    made.refresh()
    made.measure()
    return made


@pytest.mark.parametrize("form", ["text", "OpenMetrics"])
def test_a_notifier_exports_what_the_catalogue_says(monitor: NotifierMonitor, form: str) -> None:
    """Names, types, help, labels and all their values: no more and no less. Those of requests come with the API."""
    if form == "text":
        families = list(read(generate_latest(monitor.registry).decode()))
    else:
        families = list(read_open_metrics(open_metrics(monitor.registry).decode()))

    of_requests = {name for name in catalogued("notify") if name.startswith("stream_app_http_")}
    assert of_requests == {name for name in catalogued("serve") if name.startswith("stream_app_http_")}
    assert generalised(exported(families)) == {
        name: shape for name, shape in catalogued("notify").items() if name not in of_requests
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("consumer_assigned_partitions", {}, PARTITIONS),
        ("consumer_lag_records", {"topic": "stream-app-alerts", "partition": "7"}, 7),
        ("rebalances_total", {}, 3),
        ("table_recovery_remaining_records", {}, 5),
        ("table_keys", {}, 10 * PARTITIONS),
        ("alert_records_malformed_total", {}, 6),
        ("ready", {}, 1),
    ],
)
def test_what_was_measured_is_exported(
    monitor: NotifierMonitor, name: str, labels: dict[str, str], value: float
) -> None:
    """Sums over the partitions held."""
    assert monitor.registry.get_sample_value(f"stream_app_{name}", labels) == value


def test_subscriptions_and_waiting_messages_are_exported(monitor: NotifierMonitor) -> None:
    """Subscriptions of the group by state, messages of the partitions held, and listeners."""
    page = generate_latest(monitor.registry).decode()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in page.splitlines() if line[0] != "#"}

    def of(part: str) -> list[float]:
        return [value for name, value in values.items() if part in name]

    assert of('state="active"') == of('state="paused"') == [1]
    assert 2 * PARTITIONS in values.values()
    assert 4 in values.values()


@pytest.mark.parametrize(
    ("place", "value", "detail"),
    [
        ("subscriptions.log.caught_up", False, "subscriptions_caught_up"),
        ("alert_log.log.caught_up", False, "alert_log_caught_up"),
        ("alert_log.unavailable_reason", "the disk is full", "alert_log_stored"),
        ("assignment.complete", False, "partitions_restored"),
    ],
)
def test_it_is_not_ready_before_it_has_read_all(
    monitor: NotifierMonitor, place: str, value: object, detail: str
) -> None:
    """Nor while what it reads cannot be stored."""
    assert monitor.ready().ok
    *steps, last = place.split(".")
    owner: Any = monitor
    for step in steps:
        owner = getattr(owner, step)
    setattr(owner, last, value)

    assert (monitor.ready().ok, monitor.ready().detail[detail]) == (False, False)


def test_at_the_start_nothing_is_ready() -> None:
    """And asking is no error."""
    made = NotifierMonitor(notifier_flow(Names()))
    made.refresh()

    assert not made.ready().ok
    assert made.caught_up() == {
        "subscriptions_caught_up": False,
        "alert_log_caught_up": False,
        "alert_log_stored": False,
    }
