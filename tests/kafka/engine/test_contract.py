"""What `stream_app.kafka.engine.transport` takes for granted about Faust's private parts.

Each function it overrides, or whose way of calling an override it relies on, is known here by the hash of its
source. A new Faust fails these tests: read what changed, see that the rules in `transport` still hold, run
`tests/broker`, and only then write down the new version and hashes (`python -m tests.kafka.engine.test_contract`).
"""

from __future__ import annotations

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from faust.app.base import App
from faust.assignor.partition_assignor import PartitionAssignor
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage, Message

from stream_app.kafka.engine import transport

OVERRIDDEN = (
    Consumer.ack,
    Consumer._add_gap,
    Consumer._new_offset,
    Consumer.on_partitions_assigned,
    Consumer.perform_seek,
    driver.Consumer._new_consumer_thread,
)
CALLERS = (
    App._on_partitions_assigned,
    App._on_partitions_revoked,
    App._stop_consumer,
    App.on_rebalance_start,
    Consumer._commit_offsets,
    Consumer._drain_messages,
    Consumer._filter_committable_offsets,
    Consumer._filter_tps_with_pending_acks,
    Consumer._should_commit,
    Consumer._wait_for_ack,
    Consumer._wait_next_records,
    Consumer.getmany,
    Consumer.on_partitions_revoked,
    Consumer.wait_empty,
    ConsumerMessage.on_final_ack,
    Message.ack,
    PartitionAssignor.__init__,
    Recovery._restart_recovery.fun,
    Recovery._resume_streams,
    Recovery._wait,
    Recovery.on_rebalance,
    Stream._py_aiter,
    driver.AIOKafkaConsumerThread._commit,
    driver.AIOKafkaConsumerThread._create_worker_consumer,
    driver.AIOKafkaConsumerThread._fetch_records,
    driver.AIOKafkaConsumerThread._seek_wait,
    driver.Consumer._to_message,
    driver.ConsumerRebalanceListener.on_partitions_assigned,
    driver.ConsumerRebalanceListener.on_partitions_revoked,
)
HASHES = {
    "Consumer.ack": "5fcf41cf4515",
    "Consumer._add_gap": "4df2573ded7c",
    "Consumer._new_offset": "1d2c7ea89a7a",
    "Consumer.on_partitions_assigned": "29ce96596f05",
    "Consumer.perform_seek": "0e8c130ff4b0",
    "Consumer._new_consumer_thread": "0870ec53dea7",
    "App._on_partitions_assigned": "de932b7927db",
    "App._on_partitions_revoked": "d5c895bbe57d",
    "App._stop_consumer": "55854a5de12c",
    "App.on_rebalance_start": "5c1e23de3067",
    "Consumer._commit_offsets": "1a6979904118",
    "Consumer._drain_messages": "44a2500309e8",
    "Consumer._filter_committable_offsets": "dc5e9baf5d99",
    "Consumer._filter_tps_with_pending_acks": "f6f923977423",
    "Consumer._should_commit": "5ce941793947",
    "Consumer._wait_for_ack": "d9c9337d4af8",
    "Consumer._wait_next_records": "6218e1969a63",
    "Consumer.getmany": "4b168d84882a",
    "Consumer.on_partitions_revoked": "d04b7ae72c6f",
    "Consumer.wait_empty": "e4662fe24f09",
    "ConsumerMessage.on_final_ack": "45d670b6a8ac",
    "Message.ack": "4751b72c4ed8",
    "PartitionAssignor.__init__": "64cb8790c572",
    "Recovery._restart_recovery": "6bd8a8558a2d",
    "Recovery._resume_streams": "d986a6710c1a",
    "Recovery._wait": "ec7429b70176",
    "Recovery.on_rebalance": "aa4d997a1795",
    "Stream._py_aiter": "3a48ee257a65",
    "AIOKafkaConsumerThread._commit": "932852ce7a23",
    "AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f",
    "AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1",
    "AIOKafkaConsumerThread._seek_wait": "9d221e816d94",
    "Consumer._to_message": "7c24f6511b2f",
    "ConsumerRebalanceListener.on_partitions_assigned": "1c1f8406ad36",
    "ConsumerRebalanceListener.on_partitions_revoked": "348c3aec879f",
}


def digest(function: Any) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def test_the_version_is_the_one_that_was_read() -> None:
    """The transport overrides private names, so it is bound to one version of Faust."""
    assert version("faust-streaming") == transport.FAUST_VERSION


@pytest.mark.parametrize("function", [*OVERRIDDEN, *CALLERS], ids=lambda function: function.__qualname__)
def test_a_private_part_is_as_it_was_read(function: Any) -> None:
    """Neither what is overridden nor what calls it has changed."""
    assert HASHES[function.__qualname__] == digest(function)


@pytest.mark.parametrize("name", ["_acked", "_committed_offset", "_unacked_messages", "_waiting_for_ack"])
def test_a_private_attribute_is_still_there(name: str) -> None:
    """The consumer keeps its books under the names that the transport writes to."""
    assert f"self.{name} = " in inspect.getsource(Consumer.__init__)


if __name__ == "__main__":
    for known in (*OVERRIDDEN, *CALLERS):
        print(f'    "{known.__qualname__}": "{digest(known)}",')  # noqa: T201
