"""`serve` beside workers: what is posted reaches them, and what they say is answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from stream_app.client import should_prune
from stream_app.kafka.connection import Connection
from stream_app.kafka.relay import Relay
from stream_app.sources import SOURCES
from stream_app.web.relayed import Said, relayed_app
from tests.broker.cluster import Cluster
from tests.sources.openlineage_events import dataset, run_event, run_id
from tests.web.served import BATCH, Service, served

GRAPHLET = f"prod/vision/{run_id('t1')}"
START = run_event("START", inputs=[dataset("data", "1")])
END = run_event("COMPLETE", time="2026-03-01T07:00:00Z", outputs=[dataset("model", "1")])


@contextmanager
def relayed(cluster: Cluster, servers: str | None = None) -> Iterator[Service]:
    """The service in front of a cluster, or of whatever answers at an address."""
    said = Said()
    relay = Relay(Connection(servers or cluster.bootstrap), cluster.names, said.verdicts.add)
    with served(relayed_app(relay, said, SOURCES, CollectorRegistry(), None)) as service:
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
    """From a client's event to the verdict on its graphlet; graphlets themselves stay where they are."""
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
        elsewhere = service.get(f"/v1/graphlets/{GRAPHLET}")

    assert verdict["graphlet"] == GRAPHLET
    assert listed == [verdict]
    assert (elsewhere.status, "kept by the workers" in elsewhere.json["detail"]) == (404, True)


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
    """What was said before the service began is known to it; what is no verdict is passed over."""

    def verdict(run: str, policy: str) -> tuple[int | None, bytes | None, bytes]:
        words = {"graphlet": f"p/run:{run}", "pipeline": "p", "run": run, "trainer": None, "decision": "prune"}
        return None, words["graphlet"].encode(), orjson.dumps({**words, "policy": policy, "id": f"p/run:{run}#1"})

    records = [verdict("a", "observe 5 %"), (None, b"x", b"nonsense"), verdict("b", "enforce 1 %")]
    asyncio.run(cluster.produce(cluster.names.verdicts, records))
    with relayed(cluster) as service:
        until(lambda: ready(service))

        assert not should_prune("a", url=service.url)
        assert should_prune("b", url=service.url, timeout=10)


def test_without_kafka_nothing_is_acknowledged(cluster: Cluster) -> None:
    """It says so, is not ready, and goes on trying; pipelines that ask go on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with relayed(cluster, f"127.0.0.1:{port}") as service:
        reason = until(lambda: "cannot reach" in (said := service.get("/readyz").json["reason"]) and said)
        answer = service.post(orjson.dumps(START))

        assert f"cannot reach Kafka at 127.0.0.1:{port}" in reason
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert service.get("/livez").status == 200
        assert not should_prune("a", url=service.url)
