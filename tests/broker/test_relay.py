"""`serve` beside workers: what is posted reaches them, and what they say is answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka.admin import KafkaAdminClient
from prometheus_client import CollectorRegistry

from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.client.pruning import should_prune
from stream_app.kafka.clients import relay
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.relay import Relay
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.queries.worker_directory import WorkerDirectory
from stream_app.sources import SOURCES
from stream_app.web.relayed import relayed_app
from stream_app.web.worker_keepers import WorkerKeepers
from tests.broker.broker import start_java
from tests.broker.certificates import make_authority
from tests.broker.cluster import Cluster
from tests.broker.conftest import MakeTopic
from tests.broker.deleting import delete_topics
from tests.sources.openlineage_events import dataset, run_event, run_id
from tests.support.nobody import nobody
from tests.web.served import BATCH, Service, served, verdict_record

GRAPHLET = f"prod~1vision/{run_id('t1')}"
START = run_event("START", inputs=[dataset("data", "1")])
END = run_event("COMPLETE", time="2026-03-01T07:00:00Z", outputs=[dataset("model", "1")])


@contextmanager
def relayed(cluster: Cluster, connection: Connection | None = None) -> Iterator[Service]:
    """The service in front of a cluster, or of whatever a connection leads to."""
    reached, fleet = connection or Connection(cluster.bootstrap), PublishedFleet()
    keepers = WorkerKeepers(WorkerDirectory(reached, cluster.names))
    workers = Relay(reached, cluster.names, keepers.verdicts.add, fleet=fleet)
    with served(relayed_app(workers, keepers, fleet, SOURCES, CollectorRegistry(), None)) as service:
        yield service


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    """Waits for something that comes about in other processes; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def ready(service: Service) -> bool:
    return service.get("/readyz").status == 200


def test_what_is_posted_reaches_the_workers_and_their_words_come_back(cluster: Cluster) -> None:
    """From a client's event to the verdict on its graphlet, and to the graphlet, for which the worker is asked."""
    cluster.worker()
    with relayed(cluster) as service:
        until(lambda: ready(service))
        assert service.post(orjson.dumps(START)).status == 201
        batch = service.post(orjson.dumps([END, {"eventType": 7}]), BATCH).json
        assert batch["summary"] == {"received": 2, "successful": 1, "failed": 1}

        def trained() -> Any:
            answer = service.get(f"/v1/verdicts/{GRAPHLET}")
            return answer.json if answer.status == 200 and answer.json["stage"] == "train" else None

        verdict = until(trained)
        listed = service.get("/v1/verdicts?pipeline=prod/vision").json["verdicts"]
        graphlet = until(lambda: (found := service.get(f"/v1/graphlets/{GRAPHLET}")).status == 200 and found.json)

    assert verdict["graphlet"] == GRAPHLET
    assert listed == [verdict]
    assert graphlet["graphlet"]["trainer"] == run_id("t1")
    assert graphlet["verdict"] == {key: value for key, value in verdict.items() if key != "nearest"}


def test_events_of_a_pipeline_keep_their_order(cluster: Cluster) -> None:
    """They have one key, hence one partition, and are there before they are acknowledged."""
    with relayed(cluster) as service:
        until(lambda: ready(service))
        posted = [run_event("RUNNING", run=f"t{n}") for n in range(20)]
        for event in posted:
            assert service.post(orjson.dumps(event)).status == 201
        records = asyncio.run(cluster.read(cluster.names.sources[0], 4))

    assert [orjson.loads(record.value) for record in records] == posted
    assert {(record.key, record.partition) for record in records} == {(b"prod/vision", records[0].partition)}


def test_only_a_worker_that_enforces_stops_a_run(cluster: Cluster) -> None:
    """Verdicts from before its start are known to it; records that are not verdicts are ignored."""

    def verdict(run: str, mode: str) -> tuple[int | None, bytes | None, bytes]:
        record = verdict_record("prune", run, mode=mode)
        return None, record["graphlet"].encode(), orjson.dumps(record)

    records = [verdict("a", "observe"), (None, b"x", b"nonsense"), verdict("b", "enforce")]
    asyncio.run(cluster.produce(cluster.names.verdicts, records))
    with relayed(cluster) as service:
        until(lambda: ready(service))

        assert not should_prune("a", pipeline="p", url=service.url)
        assert should_prune("b", pipeline="p", url=service.url, timeout=10)


def test_without_kafka_nothing_is_acknowledged(cluster: Cluster) -> None:
    """It says so, is not ready, and goes on trying; pipelines that ask go on."""
    with nobody() as address, relayed(cluster, Connection(address)) as service:
        reason = until(lambda: "cannot reach" in (reason := service.get("/readyz?verbose").json["reason"]) and reason)
        answer = service.post(orjson.dumps(START))

        assert f"cannot reach Kafka at {address}" in reason
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert service.get("/livez").status == 200
        assert not should_prune("a", url=service.url)


def why_not(service: Service, words: str) -> Any:
    """Why the service is not ready, once these words are in it."""
    return until(lambda: words in (reason := service.get("/readyz?verbose").json["reason"]) and reason)


def test_certificates_that_cannot_be_read_are_told_and_tried_again(cluster: Cluster, tmp_path: Path) -> None:
    """A file that is being replaced is there again a moment later."""
    ca_file = tmp_path / "ca.pem"
    with relayed(cluster, Connection(cluster.bootstrap, "SSL", ca_file)) as service:
        why_not(service, "cannot read the certificates")
        make_authority(tmp_path)
        reason = why_not(service, "no TLS there")

    assert "cannot reach Kafka" in reason


def test_a_refused_event_stops_nobody_else(cluster: Cluster, topic: MakeTopic) -> None:
    """What Kafka refuses for ever uses up a number that the producer counts by: it takes a new one."""
    small = topic("small", **{"max.message.bytes": "5000"})
    cluster.names = replace(cluster.names, sources=(small,))
    large = run_event(run_facets={"errorMessage": {"message": random.Random(1).randbytes(20_000).hex()}})
    with relayed(cluster) as service:
        until(lambda: ready(service))
        assert service.post(orjson.dumps(START)).status == 201
        refused = service.post(orjson.dumps(large))
        assert (refused.status, "max.message.bytes" in refused.json["detail"]) == (413, True)

        until(lambda: service.post(orjson.dumps(END)).status == 201)


def test_what_waits_for_a_topic_is_sent_when_it_is_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a request may take; until then the service is not ready."""
    monkeypatch.setattr(relay, "_REQUEST_MS", 1_000)
    with relayed(cluster) as service, ThreadPoolExecutor(1) as pool:
        until(lambda: ready(service))
        delete_topics(cluster.admin, [cluster.names.sources[0]])
        posted = pool.submit(service.post, orjson.dumps(START))
        why_not(service, cluster.names.sources[0])
        cluster.make_topics()

        assert posted.result().status == 201
        until(lambda: ready(service))


def test_an_outage_is_told_and_passes(tmp_path: Path, prefix: str) -> None:
    """Not ready while it lasts, ready when it is over; and it keeps nobody from stopping the service."""
    with closing(start_java()) as broker, ThreadPoolExecutor(1) as pool:
        with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
            cluster = Cluster(broker.bootstrap, admin, tmp_path, Names(prefix, (f"{prefix}-source",)))
            cluster.make_topics()
        with relayed(cluster) as service:
            until(lambda: ready(service))
            broker.stop()
            why_not(service, "cannot reach")
            broker.start()
            until(lambda: ready(service))
            assert service.post(orjson.dumps(START)).status == 201

            broker.stop()
            waiting = pool.submit(service.post, orjson.dumps(END))
            why_not(service, "cannot reach")

    assert waiting.exception() is not None or waiting.result().status == 503
