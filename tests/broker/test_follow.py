"""`stream-app follow` into the topic of events on a real broker, and from there through a worker."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import orjson

from stream_app.kafka.processing.partitioner import partition_of
from tests.broker.cluster import Cluster
from tests.broker.test_openlineage_kafka import worker
from tests.follow.follow_process import FollowProcess, once
from tests.sources.final_graphlets import graphlets, native, shape
from tests.sources.history import history
from tests.sources.mlmd_store import StoreWriter, names, write_history
from tests.support.nobody import nobody

KEPT = ("pipeline", "run", "outcome", "cause")


def test_a_store_becomes_the_graphlets_of_native_events(cluster: Cluster, tmp_path: Path) -> None:
    """Killed when Kafka has all and the cursor is not saved, it loses nothing; what is sent twice changes nothing."""
    store, cursor = tmp_path / "store.sqlite", tmp_path / "cursor"
    with StoreWriter(store) as writer:
        write_history(writer, history())
    worker(cluster, tmp_path)
    arguments = ("mlmd", str(store), "--cursor", str(cursor), "--config", str(tmp_path / "settings.toml"))

    killed, _ = once(*arguments, killed=True)
    without_a_cursor = not cursor.exists()
    sent = once(*arguments)
    idle = once(*arguments)
    asyncio.run(cluster.settle())
    state = asyncio.run(cluster.state())["graphlets"]
    records = asyncio.run(cluster.read(cluster.names.events, cluster.partitions))
    judged = {orjson.loads(r.value)["trainer"] for r in asyncio.run(cluster.read(cluster.names.verdicts, 4))}
    called, values = names(store), [record.value for record in records]
    found = {
        called[each["trainer"]]: {key: each[key] for key in KEPT}
        | {kind: sorted(called[one] for one in each[kind]) for kind in ("up", "down", "side")}
        for each in state.values()
    }

    assert (killed, without_a_cursor) == (-signal.SIGKILL, True)
    assert sent == (0, f"{len(records) // 2} events sent to {cluster.names.events}\n")
    assert idle == (0, f"0 events sent to {cluster.names.events}\n")
    assert values[: len(values) // 2] == values[len(values) // 2 :]
    assert {record.key for record in records} == {b"digits"}
    assert {record.partition for record in records} == {partition_of("digits", cluster.partitions)}
    assert found == shape(graphlets(native(history())))
    never_ran = {"canceled/train"}  # as far as a store says
    assert {called[trainer] for trainer in judged if trainer is not None} == found.keys() - never_ran


def test_a_broker_that_is_away_is_one_line_and_is_asked_again(cluster: Cluster, tmp_path: Path) -> None:
    """And with one pass only a failure; SIGTERM ends it at once while it waits."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        writer.execution(0, "Trainer")
    arguments = ("mlmd", str(tmp_path / "store.sqlite"), "--cursor", str(tmp_path / "cursor"))
    with nobody() as away:
        follower = FollowProcess(tmp_path / "log", *arguments, "--bootstrap-servers", away)
        try:
            follower.logged("trying again every 2 s")
            code, log = follower.end()
        finally:
            follower.kill()
        failed = once(*arguments, "--bootstrap-servers", away)
    no_topic = once(
        *arguments, "--bootstrap-servers", cluster.bootstrap, variables={"STREAM_APP_KAFKA_GROUP": "nobody"}
    )

    assert (code, log.count("\n")) == (0, 1)
    assert f"cannot reach Kafka at {away}: Connection refused; trying again every 2 s" in log
    assert failed == (1, f"stream-app: cannot reach Kafka at {away}: Connection refused\n")
    assert no_topic[0] == 2
    assert "topic nobody-events does not exist: run `stream-app topics apply`" in no_topic[1]
    assert not (tmp_path / "cursor").exists()
