"""What `publish` and `dlq` do, on a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients import dead_letters
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.producer import make_producer, sender
from stream_app.kafka.clients.publishing import publish
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.processing.messages import dead_letter
from stream_app.kafka.state.outbox import Message
from tests.broker.broker import Broker
from tests.broker.cluster import Cluster, Process, replay, state
from tests.broker.scenarios import by_id
from tests.support.kafka_records import record


def test_messages_are_published_in_order_keyed_by_pipeline(cluster: Cluster, fleet: list[bytes]) -> None:
    """Within a pipeline the order of the file is the order of the partition, and all is there on return."""
    told: list[int] = []
    messages = [*fleet[:450], b"not an event"]
    written = publish(Connection(cluster.bootstrap), cluster.names, cluster.names.events, messages, told.append)
    records = asyncio.run(cluster.read(cluster.names.events, cluster.partitions))
    by_pipeline: dict[bytes | None, list[bytes]] = {}
    for found in records:
        by_pipeline.setdefault(found.key, []).append(found.value)

    assert written == 451
    assert told == [100, 200, 300, 400, 451]
    assert by_pipeline.pop(None) == [b"not an event"]
    assert sum(len(values) for values in by_pipeline.values()) == 450
    for key, values in by_pipeline.items():
        assert key is not None
        assert values == [message for message in fleet[:450] if b'"pipeline":"%s"' % key in message]


def test_dead_letters_are_listed_and_given_back_once(cluster: Cluster) -> None:
    """With their bytes and keys, to where they were; a second time only what came since is taken."""
    source = cluster.names.sources[0]
    connection = Connection(cluster.bootstrap)

    async def write(*letters: Message) -> None:
        producer = make_producer(connection)
        await producer.start()
        await sender(producer)(letters)
        await producer.stop()

    def letter(value: bytes) -> Message:
        bad = record(7, value, key=b"key", topic=source, partition=2)
        return dead_letter(cluster.names, bad, "because")

    asyncio.run(write(letter(b"one"), letter(b"two"), letter(b"x" * (5 << 20))))
    listed = asyncio.run(dead_letters.read(connection, cluster.names))
    last = asyncio.run(dead_letters.read(connection, cluster.names, limit=1))
    first = asyncio.run(dead_letters.requeue(connection, cluster.names))
    second = asyncio.run(dead_letters.requeue(connection, cluster.names))
    asyncio.run(write(letter(b"three")))
    third = asyncio.run(dead_letters.requeue(connection, cluster.names))
    back = asyncio.run(cluster.read(source, 4))

    assert {(d.value, d.reason, d.topic, d.partition, d.offset) for d in listed if not d.truncated} == {
        (value, "because", source, 2, 7) for value in (b"one", b"two")
    }
    assert last == listed[-1:]
    assert (first, second, third) == ((2, 1, ()), (0, 0, ()), (1, 0, ()))
    assert {(r.key, r.value) for r in back} == {(b"key", value) for value in (b"one", b"two", b"three")}


class WorkerCommand(Process):
    """A worker as its command starts it."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "stream_app", "worker", "--config", str(self.settings)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)


def test_the_command_line_does_all_of_it(
    broker: Broker, admin: KafkaAdminClient, prefix: str, fleet: list[bytes], tmp_path: Path
) -> None:
    """Topics are made, a file is published, a worker says verdicts of it, and what was no event is given back."""
    names = Names(prefix, (f"{prefix}-source",))
    (tmp_path / "settings.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{prefix}"\nsources = ["{names.sources[0]}"]\n'
        f'partitions = 4\nreplication = 1\nfolder = "{tmp_path / "state"}"\nmetrics_port = 0\n'
    )
    (tmp_path / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in [*fleet[:600], b"oops"]))

    missing = stream_app(tmp_path, "topics", "check", code=1)
    refused = stream_app(tmp_path, "publish", "events.jsonl", code=2)
    crowded = stream_app(tmp_path, "topics", "apply", code=1, STREAM_APP_KAFKA_REPLICATION="99")
    made = stream_app(tmp_path, "topics", "apply")
    again = stream_app(tmp_path, "topics", "apply", "--json")
    checked = stream_app(tmp_path, "topics", "check")
    published = stream_app(tmp_path, "publish", "events.jsonl", "--json")
    worker = WorkerCommand(tmp_path / "settings.toml", tmp_path / "worker.log")
    served = Cluster(broker.bootstrap, admin, tmp_path, names, partitions=4, workers=[worker])
    worker.start()
    try:
        asyncio.run(served.settle())
        ready, _ = worker.ask("/readyz")
        state_of_worker = asyncio.run(served.state())
        verdicts = by_id(asyncio.run(served.read(names.verdicts, 4)))
        listed = orjson.loads(stream_app(tmp_path, "dlq", "list", "--json"))
        shown = stream_app(tmp_path, "dlq", "list", "--last", "1")
        back = stream_app(tmp_path, "dlq", "requeue")
        asyncio.run(served.settle())
        returned = orjson.loads(stream_app(tmp_path, "dlq", "list", "--json"))
        worker.signal(signal.SIGTERM)
        ended = worker.wait()
    finally:
        served.stop()

    assert all("does not exist: run `stream-app topics apply`" in line for line in missing.splitlines())
    assert f"topic {names.sources[0]} does not exist" in refused
    assert (crowded.count("\n"), "Replication" in crowded or "replication" in crowded) == (1, True)
    assert f"created {names.events} with 4 partitions" in made
    assert (orjson.loads(again), checked) == ({"done": []}, "all topics are as they should be\n")
    assert orjson.loads(published)["written"] == 601
    assert (ready, ended) == (200, 0)
    assert state_of_worker == state([replay(fleet[:600])[0]])
    assert verdicts
    assert [(letter["message"], letter["reason"].split(":")[0]) for letter in listed] == [("oops", "not JSON")]
    assert '"oops"' in shown
    assert back == "1 dead letters written back\n"
    assert [letter["message"] for letter in returned] == ["oops", "oops"]


def stream_app(folder: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    """What a command says, which ends with that code."""
    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments, "--config", str(folder / "settings.toml")],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr
