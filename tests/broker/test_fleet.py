"""The figures of a fleet whose pipelines are spread over workers, one of which is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from stream_app.core.units import DAY_MS
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.cluster import PATIENCE, Cluster
from tests.broker.deleting import delete_topics
from tests.broker.scenarios import SOURCE_PARTITIONS, keyed
from tests.broker.test_relay import relayed, until
from tests.web.served import Service

PIPELINES = 4


def analyzed(folder: Path, events: list[bytes]) -> Any:
    """What `analyze` says of the events, with the retention of the workers."""
    (folder / "events.jsonl").write_bytes(b"\n".join(events))
    (folder / "settings.toml").write_text("[detector]\nretention_days = 3\nlateness_days = 1\nhorizon_days = 2\n")
    command = [sys.executable, "-m", "stream_app", "analyze", "events.jsonl", "--config", "settings.toml", "--json"]
    return without_revisions(orjson.loads(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout))


def served(service: Service) -> Any:
    """The same document from the service; None while it has none."""
    fleet, pipelines = service.get("/v1/fleet"), service.get("/v1/pipelines")
    if fleet.status != 200 or pipelines.status != 200:
        return None
    document = {name: fleet.json[name] for name in ("figures", "redundant", "findings")}
    document["pipelines"] = pipelines.json["pipelines"]
    for each in document["pipelines"]:
        del each["wasted_node_seconds"]
    return without_revisions(document)


def without_revisions(document: Any) -> Any:
    """Without how often the findings were looked at."""
    for finding in document["findings"]["findings"]:
        del finding["revision"]
    return document


def test_figures_are_those_of_analyze_although_a_worker_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    """Asked of `serve`, which was there before the topic, and has read records that are none."""
    events = [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=PIPELINES, days=9, seed=3)).events()]
    half, expected = len(events) // 2, analyzed(tmp_path, events)
    cluster.fleet_seconds = 0.1
    cluster.horizon_ms, cluster.retention_ms, cluster.lateness_ms = 2 * DAY_MS, 3 * DAY_MS, DAY_MS
    topic = cluster.names.analysis
    delete_topics(cluster.admin, [topic])

    with relayed(cluster) as service:
        missing = f"no such topic: {topic}: run `stream-app topics apply`"
        until(lambda: missing in service.get("/v1/fleet").json.get("detail", ""))
        cluster.make_topics()
        noise = [(None, b"x", value) for value in (b"nonsense", b"[]", b'{"version":2}', b'{"version":1}')]
        asyncio.run(cluster.produce(topic, noise))
        first, second = cluster.worker(), cluster.worker()
        asyncio.run(cluster.produce(cluster.names.events, keyed(events[:half])))
        until(lambda: len(asyncio.run(cluster.read(topic, SOURCE_PARTITIONS))) > len(noise), PATIENCE)
        first.kill()
        asyncio.run(cluster.produce(cluster.names.events, keyed(events[half:])))
        until(lambda: served(service) == expected, PATIENCE)
        fleet, metrics = service.get("/v1/fleet").json, service.get("/metrics").body.decode()
    of_worker = second.ask("/metrics")[1]

    assert expected["findings"]["findings"]
    assert len(expected["pipelines"]) == PIPELINES
    assert fleet["omitted"] == {}
    assert fleet["as_of"] is not None
    assert f"stream_app_fleet_pipelines {PIPELINES}.0" in metrics
    assert "stream_app_fleet_" not in of_worker
