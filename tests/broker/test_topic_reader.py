"""A topic is read from its beginning to its present end, in the order of time, and nothing of it stays in Kafka."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from stream_app.errors import OptionsError
from stream_app.kafka.clients import topic_reader
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topic_reader import messages
from stream_app.kafka.processing.partitioner import TICK
from tests.broker.broker import Broker
from tests.broker.conftest import MakeTopic

T0 = 1_700_000_000_000


def write(broker: Broker, topic: str, *records: tuple[int, int, bytes | None], header: str = "") -> None:
    """Writes (partition, ms after `T0`, value), each batch by itself."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for partition, time_ms, value in records:
        headers = [(header, b"")] if header else []
        producer.send(topic, value, key=b"k", partition=partition, timestamp_ms=T0 + time_ms, headers=headers)
        producer.flush()
    producer.close()


def read(broker: Broker, topic: str) -> list[bytes]:
    return list(messages(Connection(broker.bootstrap), topic, TICK))


def test_partitions_are_merged_by_time(broker: Broker, topic: MakeTopic) -> None:
    """So that the clocks of pipelines move as they did, whatever partition is fetched first."""
    name = topic("events", partitions=3)
    records = [(number % 3, number, b"%d" % number) for number in range(60)]
    shuffled = sorted(records, key=lambda record: (random.Random(record[0]).random(), record[1]))
    write(broker, name, *shuffled)

    assert read(broker, name) == [value for _, _, value in records]


def test_partitions_that_hold_more_than_one_fetch_are_read_to_their_ends(
    broker: Broker, topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for others again and again, since the times of some are far behind."""
    monkeypatch.setattr(topic_reader, "_SILENCE_S", 5.0)
    name = topic("events", partitions=4)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=50)
    for number in range(24_000):
        partition = number % 4
        time_ms = T0 + number * (1, 1, 3, 7)[partition]
        producer.send(name, b"%d" % number + b"." * 300, partition=partition, timestamp_ms=time_ms)
    producer.close()

    assert len(read(broker, name)) == 24_000


def test_what_is_no_message_is_left_out(broker: Broker, topic: MakeTopic) -> None:
    """Tombstones, and the ticks of workers; also at the end, where the position is behind them."""
    name = topic("events", partitions=2)
    write(broker, name, (0, 0, b"a"), (0, 1, None), (1, 2, b"b"), (1, 3, None))
    write(broker, name, (0, 4, b"tick"), (1, 5, b"tick"), header=TICK)

    assert read(broker, name) == [b"a", b"b"]


def test_it_ends_at_the_present_end(broker: Broker, topic: MakeTopic) -> None:
    """What is written while it reads is for the next time."""
    name = topic("events")
    write(broker, name, (0, 0, b"a"), (0, 1, b"b"))
    reading = messages(Connection(broker.bootstrap), name, TICK)

    first = next(reading)
    write(broker, name, (0, 2, b"c"))

    assert (first, list(reading)) == (b"a", [b"b"])


def test_an_empty_topic_has_no_messages(broker: Broker, topic: MakeTopic) -> None:
    """It does not wait for any."""
    assert read(broker, topic("events", partitions=3)) == []


def test_a_topic_that_is_not_there_is_one_line(broker: Broker, prefix: str) -> None:
    """It is not created by being read."""
    with pytest.raises(OptionsError, match=f"topic {prefix}-none does not exist"):
        read(broker, f"{prefix}-none")


@pytest.mark.parametrize("command", ["check", "replay", "explain p/t"])
def test_commands_read_a_topic_and_leave_no_group(
    command: str, broker: Broker, topic: MakeTopic, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    """By its address."""
    name = topic("events", partitions=2)
    model = [{"id": "m", "type": "Model"}]
    events: list[dict[str, object]] = [
        {"outputs": model, "execution": {"id": "t", "type": "Trainer", "state": "COMPLETE"}},
        {"inputs": model, "execution": {"id": "d", "type": "Pusher", "state": "COMPLETE"}},
    ]
    for hour, event in enumerate(events):
        event |= {"time": f"2026-03-01T0{hour}:00:00Z", "pipeline": "p"}
    write(broker, name, *((n, n, orjson.dumps(event)) for n, event in enumerate(events)))
    groups = admin.list_groups()

    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", *command.split(), f"kafka://{broker.bootstrap}/{name}"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "pushed" in ran.stdout
    assert admin.list_groups() == groups
