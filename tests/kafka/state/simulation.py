"""A deterministic simulation of the commit protocol: real tables and local copies over a Kafka and disks in memory.

Owners of one partition begin, are believed dead, work on without knowing, and die, at every point at which they wait;
batches and outputs are delivered late, twice or not at all; the log is compacted; disks fill, lose their tail, and
change what is on them; clocks are wrong; hours and days pass. The one source of chance is a seed. A seed is a history.

What must hold of every history is checked without the code under test, from what owners asked for and were given. Each
commit is known by its number, which its rows and outputs have in them:

- What an owner is given is exactly what one commit left: its rows, its outputs, its position.
- That commit follows all commits that were acknowledged or given to an owner before, one upon another. It may be under
  them if it was taken over before them in the log, and its owner learns of it late.
- Each output of each of these commits is sent, and no output of another commit.
- An owner may refuse the log (`StateError`) only in a history with outages: hours in which nobody has the partition,
  after a group that was not acknowledged. Other histories let hours pass only when the last group was. A restore that
  takes longer than `delete.retention.ms` may refuse what it read, in any history; one that begins later must not.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaConnectionError

from stream_app.errors import StateError
from stream_app.kafka.state import local_store
from stream_app.kafka.state import table as table_module
from stream_app.kafka.state.changelog import ForeignAppendError
from stream_app.kafka.state.local_store import DamagedCopyError, Row
from stream_app.kafka.state.outbox import Message
from stream_app.kafka.state.table import PartitionTable, Topics
from tests.kafka.state.simulated_disk import Disk, DiskFullError, Store, stand_ins
from tests.kafka.state.simulated_kafka import DELETE_MS, LAG_MS, SKEW, Cluster, Producer, Reader

#: Of the histories: a change of what is drawn makes another history of each seed. Version 1 had no compaction. In
#: version 2 records of the changelog had the times of their writers.
VERSION = 3
#: Records of the input, disks with local copies, and steps in which something may go wrong.
INPUT, DISKS, DISTURBED = 30, 3, 500
NUMBER = b"number"
HOUR_MS = 3_600_000


@dataclass(frozen=True, eq=False)
class Commit:
    """What an owner asked for, upon what it was given."""

    number: int
    base: Commit | None
    position: int
    rows: dict[bytes, bytes]
    outbox: list[Message]

    def line(self) -> Iterator[Commit]:
        """This commit and those that it was made upon."""
        at: Commit | None = self
        while at is not None:
            yield at
            at = at.base


@dataclass
class World:
    """The cluster, the disks, and what owners asked for and were given."""

    cluster: Cluster
    disks: list[Disk]
    #: Whether time may pass at any moment, or only while the last group of the log is acknowledged.
    outages: bool
    commits: list[Commit] = field(default_factory=lambda: [Commit(0, None, 0, {}, [])])
    #: The last commit that was acknowledged, or that an owner was given.
    head: Commit = field(init=False)
    #: The end of the last group in the log that was acknowledged.
    settled: int = 0
    #: Output id -> contents that were sent.
    outputs: dict[bytes, set[bytes]] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)
    refused: str = ""
    #: Whether an owner has read the whole input and sent all outputs.
    finished: bool = False
    #: What happened how often.
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.head = self.commits[0]

    def given(self, rows: dict[bytes, bytes], outbox: list[Message], position: int, end: int) -> Commit:
        """Checks what an owner was given, and finds the commit that left it; its group ends at `end`."""
        commit = self.commits[int(rows.get(NUMBER, b"0"))]
        assert rows == commit.rows, f"rows of commit {commit.number} are wrong: {differing(rows, commit.rows)}"
        assert (outbox, position) == (commit.outbox, commit.position), (
            f"of commit {commit.number}: {position}, {outbox}"
        )
        if end < self.settled:  # it was replaced before it learned that it had taken over
            assert commit in self.head.line(), (
                f"commit {self.head.number} is not upon {commit.number}, taken over before"
            )
            return commit
        assert self.head in commit.line(), f"commit {self.head.number} was acknowledged; {commit.number} lacks it"
        self.head, self.settled = commit, end
        return commit

    def acknowledged(self, commit: Commit) -> None:
        """Checks that a commit that was acknowledged is upon the others, or under what an owner was given since."""
        if commit not in self.head.line():
            assert self.head in commit.line(), f"commit {commit.number} was acknowledged, and {self.head.number} before"
            self.head = commit


def differing(rows: dict[bytes, bytes], wanted: dict[bytes, bytes]) -> dict[bytes, tuple[bytes | None, bytes | None]]:
    """The rows that are not as wanted."""
    pairs = {key: (rows.get(key), wanted.get(key)) for key in rows.keys() | wanted.keys()}
    return {key: pair for key, pair in sorted(pairs.items()) if pair[0] != pair[1]}


async def own(world: World, disk: int) -> None:
    """A process that owns the partition, as far as it knows."""
    draw = world.cluster.draw
    SKEW.set(draw.choice([0, 0, draw.randint(-12, 12) * HOUR_MS]))
    producer = Producer(world.cluster)
    try:
        for _ in range(4):
            began = world.cluster.now
            try:
                await work(world, producer, Store(world.disks[disk]))
                world.finished = True
                return
            except (ForeignAppendError, DamagedCopyError, KafkaConnectionError) as error:
                world.seen[type(error).__name__] += 1
                await world.cluster.turn()  # two heartbeats
                if draw.random() < 0.5:
                    return  # it has learned that it lost the partition
    except DiskFullError as error:
        world.seen[type(error).__name__] += 1
        world.disks[disk].full = draw.random() < 0.5
    except StateError as error:
        if world.cluster.now - began < DELETE_MS:
            world.refused = str(error)
        world.seen["slow restores"] += not world.refused
    finally:
        if draw.random() < 0.5:
            producer.deliveries.cancel()


async def work(world: World, producer: Producer, store: Store) -> None:
    """Takes the partition over and applies the input."""
    cluster, draw = world.cluster, world.cluster.draw
    topics = Topics("changelog", "changelog-1", "input-1")
    table = PartitionTable(0, topics, {"cluster": cluster}, producer, store)
    try:
        restored = await table.restore()
    finally:
        world.seen["damaged copies"] += table.damaged
    base = world.given(restored.rows, restored.outbox, table.position, table._end)
    await send(world, restored.outbox)
    while base.position < INPUT:
        await cluster.turn()
        upto = min(INPUT, base.position + draw.randint(1, 4))
        commit, changed = next_commit(world, base, upto)
        await table.commit(changed, commit.outbox, commit.position)
        world.settled = max(world.settled, table._end)
        world.acknowledged(commit)
        await send(world, commit.outbox)
        base = commit


def next_commit(world: World, base: Commit, upto: int) -> tuple[Commit, list[Row]]:
    """What is to be committed next: the number of the commit, rows that stay, and rows written and deleted once."""
    number = len(world.commits)
    changed: dict[bytes, bytes | None] = {NUMBER: b"%d" % number}
    outbox = []
    for each in range(base.position, upto):
        changed[b"row %d" % (each % 5)] = b"%d in %d" % (each, number)
        changed[b"once %d" % each] = b"in %d" % number
        changed[b"once %d" % (each - 3)] = None
        outbox.append(Message("outputs", b"%d" % each, b"of %d" % number))
    rows = {key: value for key, value in {**base.rows, **changed}.items() if value is not None}
    commit = Commit(number, base, upto, rows, outbox)
    world.commits.append(commit)
    return commit, list(changed.items())


async def send(world: World, outbox: list[Message]) -> None:
    """Sends outputs at once; those of a dead process may arrive or not, and late."""
    sent = [asyncio.create_task(deliver(world, message)) for message in outbox]
    world.cluster.deliveries += sent
    try:
        await asyncio.gather(*map(asyncio.shield, sent))
    except asyncio.CancelledError:
        for each in sent:
            if world.cluster.draw.random() < 0.5:
                each.cancel()
        raise


async def deliver(world: World, message: Message) -> None:
    await world.cluster.turn()
    world.outputs.setdefault(message.key or b"", set()).add(message.value or b"")
    if world.cluster.draw.random() < 0.01:
        raise KafkaConnectionError("it is not known what Kafka has")


async def history(seed: int, *, outages: bool = True) -> World:
    """Runs one history to its end: an owner that nobody disturbs has read the whole input, or one refuses the log."""
    draw = random.Random(seed)
    cluster = Cluster(draw, batch_rows=draw.choice([3, 5, 1000]))
    world = World(cluster, [Disk(cluster) for _ in range(DISKS)], outages=draw.random() < 0.5 and outages)
    owners = list[asyncio.Task[None]]()
    with in_place(stand_ins(cluster)):
        for step in range(100_000):
            for _ in range(6):  # whatever can go on without a turn does so
                await asyncio.sleep(0)
            raise_faults(owners)
            live = any(not owner.done() for owner in owners)
            if world.refused or (world.finished and not live and step > DISTURBED):
                for task in (*owners, *cluster.deliveries):
                    await stopped(task)
                return world
            if not live:
                world.finished = False
                begin(world, owners)
            elif step > DISTURBED or not disturb(world, owners):
                take_turn(cluster)
    raise AssertionError("the history does not end")


def take_turn(cluster: Cluster) -> None:
    if cluster.waiting:
        turn = cluster.waiting.pop(cluster.draw.randrange(len(cluster.waiting)))
        if not turn.done():
            turn.set_result(None)


def disturb(world: World, owners: list[asyncio.Task[None]]) -> bool:
    """Something goes wrong, or time passes, or neither."""
    cluster, draw = world.cluster, world.cluster.draw
    chance = draw.random()
    if chance < 0.03:  # the group believes the owner dead
        begin(world, owners)
    elif chance < 0.055:
        draw.choice(owners).cancel()
    elif chance < 0.075:
        if world.outages or cluster.end == world.settled:
            days = draw.random() < 0.2
            cluster.now += draw.randint(1, 9 * 24) * HOUR_MS if days else draw.randint(1, 2 * LAG_MS)
            world.seen["times"] += 1
            if world.outages and draw.random() < 0.5:  # nobody is there
                for owner in owners:
                    owner.cancel()
                for task in cluster.deliveries:
                    task.cancel()
                cluster.compact()
    elif chance < 0.11:
        cluster.compact()
    elif chance < 0.12:
        disk = draw.choice(world.disks)
        match draw.randrange(3):
            case 0 if disk not in [world.disks[number] for number in world.locked]:
                disk.lose_tail(draw)
            case 1:
                disk.damage(draw)
            case 2:
                disk.full = not disk.full
    else:
        return False
    return True


def begin(world: World, owners: list[asyncio.Task[None]]) -> None:
    """Starts a process on a disk that no live one has."""
    disks = [disk for disk in range(DISKS) if disk not in world.locked]
    if disks:
        disk = world.cluster.draw.choice(disks)
        world.locked.add(disk)
        owner = asyncio.create_task(own(world, disk))
        owner.add_done_callback(lambda _: world.locked.discard(disk))
        owners.append(owner)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, KafkaConnectionError):
        await task


def raise_faults(owners: list[asyncio.Task[None]]) -> None:
    for owner in owners:
        if owner.done() and not owner.cancelled() and owner.exception() is not None:
            raise owner.exception() or AssertionError


@contextmanager
def in_place(names: dict[str, object]) -> Iterator[None]:
    """Puts stand-ins in place of names of the local copy's module, and of the table's reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_module, "LogReader", Reader)
        for name, value in names.items():
            patch.setattr(local_store, name, value)
        yield


def check(world: World) -> None:
    """What must hold of a history that has ended."""
    assert world.outages or not world.refused, f"refused without an outage: {world.refused}"
    wanted = {message.key or b"": {message.value} for commit in world.head.line() for message in commit.outbox}
    if world.refused:  # what it had not sent yet is not sent
        wanted = {key: contents for key, contents in wanted.items() if key in world.outputs}
    wrong = sorted(key for key in wanted.keys() | world.outputs.keys() if wanted.get(key) != world.outputs.get(key))
    assert not wrong, {key: (world.outputs.get(key), wanted.get(key)) for key in wrong}


def run(seed: int, *, outages: bool = True) -> World:
    """Runs and checks the history of a seed; `outages` says whether there may be any."""
    world = asyncio.run(history(seed, outages=outages))
    check(world)
    return world
