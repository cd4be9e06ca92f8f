"""The kill switch beside workers: one turn holds for all, and whoever cannot read it stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.kafka.alerting.switch_log import GroupSwitch
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.relay import Relay
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.queries.worker_directory import WorkerDirectory
from stream_app.sources import SOURCES
from stream_app.web.relayed import relayed_app
from stream_app.web.worker_keepers import WorkerKeepers
from tests.broker.broker import Broker
from tests.broker.notifying import notifying, until
from tests.support.nobody import nobody
from tests.web.served import JSON, Service, served, verdict_record

ACTING = "/v1/acting"


@contextmanager
def relayed(bootstrap: str, names: Names) -> Iterator[Service]:
    """`serve` in front of workers, as its command makes it; a run of pipeline `ads` is flagged."""
    connection, fleet = Connection(bootstrap), PublishedFleet()
    keepers = WorkerKeepers(WorkerDirectory(connection, names))
    keepers.verdicts.add(verdict_record("prune", "r", pipeline="ads"))
    workers, switch = Relay(connection, names, keepers.verdicts.add, fleet=fleet), GroupSwitch(connection, names)
    app = relayed_app(
        workers, keepers, fleet, SOURCES, CollectorRegistry(), None, shared_switch=switch
    )  # fmt: skip
    with served(app) as service:
        yield service


def asked(service: Service) -> Any:
    return service.get("/v1/should-prune?pipeline=ads&run=r").json


def why_not(service: Service) -> str:
    found = asked(service)["why_not"]
    return found["reason"] if found is not None else ""


def test_one_turn_holds_for_all(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """By whomever it is asked, within moments; it is audited, and whoever begins later knows it."""
    with (
        notifying(broker.bootstrap, tmp_path, prefix) as group,
        relayed(broker.bootstrap, group.names) as first,
        relayed(broker.bootstrap, group.names) as second,
    ):
        group.notifier()
        group.all_ready()
        (notifier,) = group.notifiers
        until(lambda: asked(first)["prune"] and asked(second)["prune"], "the switch is read")

        body = orjson.dumps({"acting": False, "pipeline": "a*", "reason": "an outage"})
        turned = first.ask("PUT", ACTING, body, JSON)
        assert (turned.status, why_not(first)) == (200, "switched_off")
        until(lambda: why_not(second) == "switched_off", "the other serve knows it")
        until(lambda: group.ask(notifier, "GET", ACTING).json["off"], "the notifier knows it")
        with relayed(broker.bootstrap, group.names) as late:
            assert why_not(late) in ("switch_unknown", "switched_off")
            until(lambda: why_not(late) == "switched_off", "a later serve knows it")

        on = {"acting": True, "pipeline": "a*", "reason": "it is over"}
        assert group.ask(notifier, "PUT", ACTING, on).json == {"acting": True, "off": [], "detail": None}
        until(lambda: asked(first)["prune"] and asked(second)["prune"], "they know that it is on again")

        def audited() -> list[Any]:
            entries = group.ask(notifier, "GET", "/v1/audit").json["entries"]
            return [each["what"] for each in entries if each["subscription"] == "acting:a*"]

        until(lambda: len(audited()) == 2, "both are audited")
        assert audited() == ["acting on: it is over", "acting off: an outage"]


def test_whoever_cannot_read_the_switch_stops_nothing(broker: Broker, prefix: str) -> None:
    """Kafka is away, or there is no such topic; a turn is refused."""
    body = orjson.dumps({"acting": True, "reason": "x"})
    with nobody() as address, relayed(address, Names(prefix)) as service:
        assert why_not(service) == "switch_unknown"
        assert service.ask("PUT", ACTING, body, JSON).status == 503
    with relayed(broker.bootstrap, Names(prefix)) as service:

        def missing() -> bool:
            return "run `stream-app topics apply`" in asked(service)["why_not"]["detail"]

        until(missing, "it says what to do")
        assert service.get(ACTING).json["acting"] is False
