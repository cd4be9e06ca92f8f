"""Questions about graphlets and lineage while a worker is killed: right answers, or that it cannot be told now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import orjson

from stream_app.core.detector import Detector
from stream_app.core.graphlets.description import describe
from stream_app.kafka.processing.partitioner import partition_of
from stream_app.provenance.lineage import lineage
from stream_app.wire import event_to_dict, graphlet_to_dict
from tests.broker.cluster import Cluster
from tests.broker.deleting import delete_topics
from tests.broker.test_relay import relayed, until
from tests.provenance.two_runs import NEXT, PUSHED
from tests.web.served import Service

#: One for each of the six partitions, and more.
PIPELINES = [f"pipeline-{number}" for number in range(24)]
EVENTS = [event for name in PIPELINES for event in (*PUSHED.events(name), *NEXT.events(name))]
MISSING = (404, "nobody: no such execution, artifact or run")


def expected() -> dict[str, object]:
    """The answers by a detector that has read everything."""
    detector = Detector()
    for event in EVENTS:
        detector.step(event)
    operators = detector.settings.operators
    found: dict[str, object] = {"/v1/lineage?id=nobody": MISSING}
    for name in PIPELINES:
        pipeline = detector.pipelines[name]
        record = describe(pipeline, pipeline.graphlets["r2-train"], operators)
        found[f"/v1/graphlets/{name}/r2-train"] = 200, graphlet_to_dict(record)
        walked = lineage(detector.pipelines, f"{name}/r2-train", operators)
        found[f"/v1/lineage?id={quote(name)}/r2-train"] = 200, walked["nodes"]
    return found


def asked(service: Service, path: str) -> tuple[int, object]:
    """The status of an answer, and what of it does not depend on the order of events."""
    answer = service.get(path)
    body = answer.json
    if answer.status == 200:
        return 200, body["graphlet"] if path.startswith("/v1/graphlets") else body["nodes"]
    return answer.status, body["detail"].partition("; there are, for instance, ")[0]


@contextmanager
def two_workers(cluster: Cluster) -> Iterator[Service]:
    """`serve` in front of two workers that have read everything."""
    records = [
        (partition_of(event.pipeline, 6), event.pipeline.encode(), orjson.dumps(event_to_dict(event)))
        for event in EVENTS
    ]
    asyncio.run(cluster.produce(cluster.names.events, records))
    for worker in [cluster.worker(), cluster.worker()]:
        worker.said("are open")
    with relayed(cluster) as service:
        yield service


def test_answers_are_right_while_a_worker_is_killed(cluster: Cluster) -> None:
    """In between some cannot be told, and say so; in the end all are right again."""
    answers = expected()
    assert {partition_of(name, 6) for name in PIPELINES} == set(range(6))
    with two_workers(cluster) as service:
        until(lambda: all(asked(service, path) == answer for path, answer in answers.items()))
        cluster.workers[0].kill()
        away = set[str]()

        def right() -> bool:
            found = {path: asked(service, path) for path in answers}
            wrong = {path: answer for path, answer in found.items() if answer != answers[path]}
            assert {status for status, _ in wrong.values()} <= {503}
            away.update(str(detail) for _, detail in wrong.values())
            return not wrong

        until(right, 120)

    assert all(detail.startswith("partition ") for detail in away)


def test_without_the_directory_workers_work(cluster: Cluster) -> None:
    """They say what to do, and nobody finds them."""
    delete_topics(cluster.admin, [cluster.names.directory])
    worker = cluster.worker()
    worker.said(f"topic {cluster.names.directory} does not exist: run `stream-app topics apply`, and restart")
    worker.said("are open")
    with relayed(cluster) as service:
        answer = service.get("/v1/graphlets/p/t")

    assert (answer.status, "no worker has told where it answers" in answer.json["detail"]) == (503, True)
