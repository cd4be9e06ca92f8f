"""The Kafka transport of openlineage-python drives a real training through a worker to verdicts and outcomes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from openlineage.client import OpenLineageClient
from openlineage.client.transport.kafka import KafkaConfig, KafkaTransport

from tests.broker.cluster import Cluster
from tests.broker.test_commands import WorkerCommand
from tests.client.test_openlineage_python import check
from tests.client.training import train


def worker(cluster: Cluster, folder: Path) -> WorkerCommand:
    """A worker of the cluster as its command starts it."""
    settings = folder / "settings.toml"
    settings.write_text(
        f'[kafka]\nbootstrap_servers = "{cluster.bootstrap}"\ngroup = "{cluster.names.group}"\n'
        f'sources = ["{cluster.names.sources[0]}"]\npartitions = {cluster.partitions}\nreplication = 1\n'
        f'folder = "{folder / "state"}"\nmetrics_port = 0\n'
    )
    made = WorkerCommand(settings, folder / "worker.log")
    cluster.workers.append(made)
    made.start()
    return made


def test_a_training_told_over_kafka(cluster: Cluster, tmp_path: Path) -> None:
    """Its events bear a key of the client's choosing; the worker puts them where their pipeline belongs."""
    worker(cluster, tmp_path)
    config = KafkaConfig(config={"bootstrap.servers": cluster.bootstrap}, topic=cluster.names.sources[0], flush=True)

    trained = train(OpenLineageClient(transport=KafkaTransport(config)))

    async def outcome() -> tuple[dict[str, Any], list[Any], list[Any], list[Any]]:
        await cluster.settle()
        state = await cluster.state()
        sent = await cluster.read(cluster.names.sources[0], 4)
        said = await cluster.read(cluster.names.verdicts, 4)
        return state["graphlets"], sent, said, await cluster.read(cluster.names.dead_letters, 4)

    graphlets, sent, said, dead = asyncio.run(outcome())
    verdicts = [orjson.loads(record.value) for record in said]
    last = {verdict["graphlet"]: verdict for verdict in sorted(verdicts, key=lambda verdict: verdict["revision"])}

    check(trained, {graphlet["trainer"]: graphlet for graphlet in graphlets.values()})
    assert {record.key for record in sent} == {b"run:lab/digits"}
    assert dead == []
    assert [last[f"lab~1digits/{each.trainer}"]["stage"] for each in trained] == ["validate"] * 4 + ["preprocess"]
    assert {verdict["run"] for verdict in verdicts} == {each.run for each in trained}
