"""An assignment between two rebalances, and what it says of itself when Faust is not ready to be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from faust.types import TP

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.engine.app import make_app
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.transport import BatchConsumer
from stream_app.kafka.processing.partition import Partition
from stream_app.kafka.records import Batch

FLOW = worker_flow(Names("g"))


def no_partition(number: int) -> Partition:
    raise AssertionError(f"partition {number} is asked for")


def test_lags_are_not_known_before_the_consumer_has_started(tmp_path: Path) -> None:
    """Metrics are brought up to date from the first second, and must not end a worker that starts slowly."""

    async def lags() -> dict[tuple[str, int], int | None]:
        app = make_app(
            Connection("127.0.0.1:9"),
            FLOW,
            tmp_path,
            dict,
            print,
            session_seconds=10,
            instance_id=None,
        )
        return Assignment(app, "g-events", no_partition).lags()

    assert asyncio.run(lags()) == {}


def test_the_lag_of_what_a_rebalance_takes_away_is_not_known(tmp_path: Path) -> None:
    """The watchdog asks from its own thread, while partitions come and go."""

    class Consumer(BatchConsumer):
        def __init__(self) -> None:
            """Without a transport."""

        def lag(self, tp: TP) -> int | None:
            raise AssertionError(f"Partition is not assigned: {tp}")

    async def lag() -> int | None:
        app = make_app(
            Connection("127.0.0.1:9"),
            FLOW,
            tmp_path,
            dict,
            print,
            session_seconds=10,
            instance_id=None,
        )
        assignment = Assignment(app, "g-events", no_partition)
        assignment._app = SimpleNamespace(consumer=Consumer())  # type: ignore[assignment]
        return assignment.lag(3)

    assert asyncio.run(lag()) is None


def test_a_rebalance_in_the_middle_of_another_leaves_nothing_complete() -> None:
    """Kafka is away while the last partition is restored, and the next rebalance begins before it is back."""
    group = SimpleNamespace(
        conf=SimpleNamespace(broker_heartbeat_interval=1),
        consumer=SimpleNamespace(assignment=lambda: {TP("g-events", 3)}),
        consumer_generation_id=1,
    )

    async def rebalanced() -> None:
        group.consumer_generation_id = 2
        raise KafkaConnectionError("away")

    partition = SimpleNamespace(open=rebalanced, close=lambda: None)
    assignment = Assignment(group, "g-events", lambda _: partition)  # type: ignore
    asyncio.run(assignment.take())

    assert not assignment.complete
    assert assignment.partitions == {}


def test_a_batch_of_a_partition_that_was_taken_away_is_left_to_its_owner() -> None:
    """It came in while a rebalance was under way; while the partition is ours, it has to be open."""
    app = SimpleNamespace(conf=SimpleNamespace(broker_heartbeat_interval=1))
    assignment = Assignment(app, "g-events", no_partition)  # type: ignore[arg-type]
    batch = Batch([])
    asyncio.run(assignment.apply(3, batch, lambda: False))

    assert not batch.done
    with pytest.raises(AssertionError, match="partition 3 is read and not open"):
        asyncio.run(assignment.apply(3, batch, lambda: True))


@pytest.mark.parametrize("owned", [True, False], ids=["ours all the time", "a rebalance meanwhile"])
def test_what_could_not_be_saved_is_restored_before_it_goes_on(owned: bool) -> None:
    """A partition that failed to save is ahead of its changelog; that nobody else wrote does not make it good."""
    made: list[Any] = []

    async def nothing() -> None:
        pass

    async def unowned() -> bool:
        return True

    def make(number: int) -> Any:
        async def fail(*_: object) -> None:
            if len(made) == 1:
                raise KafkaTimeoutError

        table = SimpleNamespace(still_owned=unowned)
        made.append(
            SimpleNamespace(
                number=number, table=table, needs_restore=False, open=nothing, apply=fail, close=lambda: None
            )
        )
        return made[-1]

    async def body() -> Assignment:
        group = SimpleNamespace(
            conf=SimpleNamespace(broker_heartbeat_interval=0),
            consumer=SimpleNamespace(assignment=lambda: {TP("g-events", 3)}),
            consumer_generation_id=1,
        )
        assignment = Assignment(group, "g-events", make)  # type: ignore[arg-type]
        await assignment.take()
        await assignment.apply(3, Batch([]), lambda: owned)
        await assignment.take()
        return assignment

    assert asyncio.run(body()).partitions == {3: made[1]}
    assert len(made) == 2
