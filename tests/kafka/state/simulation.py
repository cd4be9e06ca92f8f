"""A deterministic simulation of the commit protocol: real tables, changelog and outbox over a Kafka made of lists.

Owners of one partition begin, are believed dead, work on without knowing, and die, at every point at which they wait.
The one source of chance is a seed: which waiting step is done next, what is delivered, who dies. A seed is a history.

What must hold of every history: the state counts each record of the input once and no more than its position says;
every output of an applied record was sent; an output that was sent twice was the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.state import table as table_module
from stream_app.kafka.state.changelog import ForeignAppendError
from stream_app.kafka.state.local_store import Held, Row, StorePosition
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable, Topics
from tests.support.kafka_records import record

T = TypeVar("T")

#: Records of the input, rows that fit into one record batch, and disks with local copies.
INPUT, BATCH_ROWS, DISKS = 40, 3, 3
COUNT = b"n"


class Batch:
    """A record batch of at most `BATCH_ROWS` rows."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None, tuple[tuple[str, bytes | None], ...]]] = []

    def append(self, *, key: bytes, value: bytes | None, timestamp: None, headers: Any) -> object:
        assert timestamp is None
        if len(self.rows) == BATCH_ROWS:
            return None
        self.rows.append((key, value, tuple(headers)))
        return self

    def record_count(self) -> int:
        return len(self.rows)


@dataclass
class Appended:
    offset: int


@dataclass
class World:
    """The cluster, and the steps that wait for their turn."""

    draw: random.Random
    changelog: list[ConsumerRecord[Any, Any]] = field(default_factory=list)
    #: Output id -> contents that were sent.
    outputs: dict[bytes, set[bytes]] = field(default_factory=dict)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    local: dict[int, Held] = field(default_factory=dict)
    #: Deliveries of batches, which may outlive the process that sent them; disks that a live process has locked.
    deliveries: list[asyncio.Task[None]] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)

    async def turn(self) -> None:
        """Waits until the draw falls on this step."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        await mine


class Producer:
    """Appends batches in the order in which they were sent; a dead process's may arrive or not."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent: asyncio.Queue[tuple[Batch, asyncio.Future[Appended]]] = asyncio.Queue()
        self.deliveries = asyncio.create_task(self._deliver())
        world.deliveries.append(self.deliveries)

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, _: str, *, partition: int) -> Awaitable[Appended]:
        assert partition == 0
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._sent.put_nowait((batch, done))
        return done

    async def _deliver(self) -> None:
        world = self._world
        while True:
            batch, done = await self._sent.get()
            await world.turn()
            offset = len(world.changelog)
            for key, value, headers in batch.rows:
                world.changelog.append(record(len(world.changelog), value, key=key, headers=headers))
            await world.turn()  # the acknowledgement is on its way
            if not done.done():
                done.set_result(Appended(offset))


class Reader:
    """Reads the changelog, in pieces."""

    def __init__(self, client: Mapping[str, Any], _: object) -> None:
        self._world: World = client["world"]

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def end(self) -> int:
        await self._world.turn()
        return len(self._world.changelog)

    async def read(self, start: int, end: int) -> AsyncIterator[list[ConsumerRecord[Any, Any]]]:
        while start < end:
            await self._world.turn()
            upto = min(end, start + self._world.draw.randint(1, 8))
            yield self._world.changelog[start:upto]
            start = upto


class Copy:
    """The local copy of a worker's disk, which outlives its processes."""

    def __init__(self, world: World, disk: int) -> None:
        self._world, self._disk = world, disk

    def held(self) -> Held | None:
        found = self._world.local.get(self._disk)
        return None if found is None else Held(found.position, dict(found.rows))

    def write(self, rows: list[Row], position: StorePosition) -> None:
        found = self._world.local.get(self._disk)
        kept = {} if found is None else dict(found.rows)
        for key, value in rows:
            kept.pop(key, None)
            if value is not None:
                kept[key] = value
        self._world.local[self._disk] = Held(position, kept)

    def wipe(self) -> None:
        self._world.local.pop(self._disk, None)


async def own(world: World, disk: int) -> None:
    """A process that owns the partition, as far as it knows, until another one has written."""
    producer = Producer(world)
    topics = Topics("changelog", "changelog-1", "input-1")
    table = PartitionTable(0, topics, {"world": world}, producer, Copy(world, disk))  # type: ignore[arg-type]
    try:
        restored = await table.restore()
        count = int(restored.rows.get(COUNT, b"0"))
        assert count == table.position, f"{count} of {table.position} records count"
        await send(world, restored.outbox)
        while table.position < INPUT:
            await world.turn()
            taken = range(table.position, min(INPUT, table.position + world.draw.randint(1, 6)))
            count += len(taken)
            rows: list[Row] = [(COUNT, b"%d" % count)]
            for number in taken:
                rows += [(b"row %d" % (number % 7), b"%d" % number), (b"row %d" % (number % 5 + 7), None)]
            outbox = [Message("outputs", b"%d" % number, b"of %d" % (number + 1)) for number in taken]
            await table.commit(list(dict(rows).items()), outbox, taken[-1] + 1)
            await send(world, outbox)
    except ForeignAppendError:
        pass
    finally:
        if world.draw.random() < 0.5:
            producer.deliveries.cancel()


async def send(world: World, outbox: list[Message]) -> None:
    for message in outbox:
        await world.turn()
        world.outputs.setdefault(message.key or b"", set()).add(message.value or b"")


async def history(seed: int) -> World:
    """Runs one history to its end, when an owner that nobody disturbs has read the whole input."""
    world = World(random.Random(seed))
    draw, owners = world.draw, list[asyncio.Task[None]]()
    for step in range(100_000):
        for _ in range(6):  # whatever can go on without a turn does so
            await asyncio.sleep(0)
        raise_faults(owners)
        chance = draw.random()
        disturbed = step < 600
        if not any(not owner.done() for owner in owners):
            if not disturbed and owners and state(world) == INPUT and not world.waiting:
                await asyncio.gather(*map(stopped, world.deliveries))
                return world
            begin(world, owners)
        elif disturbed and chance < 0.03:  # the group believes the owner dead
            begin(world, owners)
        elif disturbed and chance < 0.06:
            draw.choice(owners).cancel()
        elif world.waiting:
            turn = world.waiting.pop(draw.randrange(len(world.waiting)))
            if not turn.done():
                turn.set_result(None)
    raise AssertionError("the history does not end")


def begin(world: World, owners: list[asyncio.Task[None]]) -> None:
    """Starts a process on a disk that no live one has."""
    disks = [disk for disk in range(DISKS) if disk not in world.locked]
    if disks:
        disk = world.draw.choice(disks)
        world.locked.add(disk)
        owner = asyncio.create_task(own(world, disk))
        owner.add_done_callback(lambda _: world.locked.discard(disk))
        owners.append(owner)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def raise_faults(owners: list[asyncio.Task[None]]) -> None:
    for owner in owners:
        if owner.done() and not owner.cancelled() and owner.exception() is not None:
            raise owner.exception() or AssertionError


def state(world: World) -> int:
    """How far the last owner has come, by the rows of any disk that is up to date."""
    return max((held.position.position for held in world.local.values()), default=0)


def check(world: World) -> None:
    """What must hold of a history that has ended."""
    ids = {b"%d" % number for number in range(INPUT)}
    assert set(world.outputs) == ids, f"outputs that were never sent: {sorted(ids - set(world.outputs))}"
    reworded = {key: contents for key, contents in world.outputs.items() if len(contents) > 1}
    assert not reworded, reworded


def run(seed: int, monkeypatch: pytest.MonkeyPatch) -> World:
    """Runs and checks the history of a seed."""
    monkeypatch.setattr(table_module, "LogReader", Reader)
    world = asyncio.run(history(seed))
    check(world)
    return world
