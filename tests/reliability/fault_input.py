"""T12: hostile records on every topic that is read, and fuzzed messages. The amount is the messages that are fuzzed."""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from stream_app.errors import MalformedEvent
from stream_app.kafka.processing.partition import FUTURE_MS
from stream_app.kafka.processing.partitioner import TICK, partition_of
from stream_app.kafka.state.changelog import FENCE, OUTBOX, POSITION
from stream_app.sources import native
from tests.broker.broker import JavaBroker
from tests.broker.cluster import Cluster, Process, replay, state
from tests.reliability.hostile import Hostile, fuzzed, lineage, records
from tests.reliability.rig import Rig, end_softly, events, own_broker, rig_on, until
from tests.reliability.witness import values

NAME = "hostile records on every topic, and fuzzed messages"
AMOUNT = 100_000
#: Messages that are fuzzed in one deployment.
CHUNK = 5_000
SOURCE_PARTITIONS = 4
#: Header of the records that are written here.
MARK = "hostile"


async def write(cluster: Cluster, topic: str, hostile: list[Hostile], partition: int | None = None) -> None:
    """Write records as they are, each by itself, with a mark."""
    keyed = (cluster.names.verdicts, cluster.names.changelog)
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, max_request_size=8 << 20)
    await producer.start()
    try:
        for number, record in enumerate(hostile):
            headers = [*record.headers, (MARK, b"%d" % number)]
            # A producer sends no record with neither key nor value, and a compacted topic takes none without a key.
            key = b"" if record.key is None and (record.value is None or topic in keyed) else record.key
            await producer.send_and_wait(topic, record.value, key=key, headers=headers, partition=partition)
    finally:
        await producer.stop()


async def hostile_sources(rig: Rig, worker: Process) -> dict[str, Any]:
    """Every kind on a source topic, and valid events after it."""
    return await taken_in(rig, worker, list(records().values()), rig.direct.names.sources[0])


async def hostile_events(rig: Rig, worker: Process) -> dict[str, Any]:
    """Every kind on the topic of events, in a partition of each."""
    return await taken_in(rig, worker, list(records().values()), rig.direct.names.events)


async def taken_in(rig: Rig, worker: Process, hostile: list[Hostile], topic: str) -> dict[str, Any]:
    """Write records and valid events; each record is an event, ignored, or a dead letter with a reason."""
    cluster = rig.direct
    await write(cluster, topic, hostile)
    await cluster.produce(cluster.names.events, [(None, None, message) for message in events(pipelines=4, days=2)])
    await cluster.settle()
    assert worker.running, worker.log.read_text()[-3000:]
    found = await account(cluster, topic)
    assert sum(found.values()) == len(hostile), f"{len(hostile)} were written, and these came out: {found}"
    await equal_to_what_was_valid(cluster)
    await finite(cluster)
    assert worker.ask("/readyz")[0] == 200
    lines = worker.log.read_text()
    assert "Traceback" not in lines, lines[-3000:]
    return dict(found)


async def account(cluster: Cluster, topic: str) -> Counter[str]:
    """What became of the records of a topic, as the metrics of the worker count them."""
    metrics = cluster.workers[0].ask("/metrics")[1]
    letters = await cluster.read(cluster.names.dead_letters, SOURCE_PARTITIONS)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["reason"], letter
        assert headers["topic"], letter
        assert headers["offset"], letter
    of_topic = [letter for letter in letters if dict(letter.headers)["topic"].decode() == topic]
    if topic in cluster.names.sources:
        consumed = sum(values(metrics, "events_consumed_total"))
        ignored = sum(values(metrics, "events_ignored_total"))
        return Counter(dead_letters=len(of_topic), ignored=int(ignored), events=int(consumed - ignored - len(of_topic)))
    # One in the wrong partition is in the topic twice, and is a dead letter where it claims to be forwarded.
    misplaced = sum(b"though forwarded" in dict(letter.headers)["reason"] for letter in of_topic)
    found = await cluster.read(topic, cluster.partitions)
    valid = {dict(record.headers).get(MARK) for record in found if decoded(record) is not None} - {None}
    return Counter(dead_letters=len(of_topic), events=len(valid) - misplaced)


def decoded(record: Any) -> Any:
    """The event of a record of the topic of events; None where there is none."""
    try:
        return native.decode(record.value or b"", record.timestamp + FUTURE_MS)
    except MalformedEvent:
        return None


async def equal_to_what_was_valid(cluster: Cluster) -> None:
    """The state is that of the valid events, and of nothing else."""
    valid = []
    for record in await cluster.read(cluster.names.events, cluster.partitions):
        found = decoded(record)
        if found is not None and partition_of(found.pipeline, cluster.partitions) == record.partition:
            valid.append(record.value)
    assert await cluster.state() == state([replay(valid)[0]])


async def finite(cluster: Cluster) -> None:
    """Every number of every verdict is a number."""
    for record in await cluster.read(cluster.names.verdicts, SOURCE_PARTITIONS):
        for name, value in orjson.loads(record.value).items():
            if isinstance(value, float):
                assert math.isfinite(value), f"{name} of {record.value!r}"
        assert b"NaN" not in record.value
        assert b"Infinity" not in record.value


async def forged_ticks(rig: Rig, worker: Process) -> dict[str, Any]:
    """Records with the header of a tick, by somebody who is no worker."""
    cluster = rig.direct
    before = events(pipelines=4, days=2)
    await cluster.produce(cluster.names.events, [(None, None, message) for message in before])
    await cluster.settle()
    forged = [
        Hostile(value, key, ((TICK, header), *more))
        for value in (None, b"", b"tick", b"\xff" * 1_000, before[0])
        for key in (None, b"k", b"\xff")
        for header in (b"", b"1", b"\xff" * 500)
        for more in ((), ((TICK, b"x"),))
        if (value, key) != (None, None)
    ]
    for partition in range(cluster.partitions):
        await write(cluster, cluster.names.events, forged, partition)
    await cluster.settle()
    assert worker.running, worker.log.read_text()[-3000:]
    assert await cluster.state() == state([replay(before)[0]]), "a forged tick changed the state"
    return {"forged": len(forged) * cluster.partitions}


def nothing_of(kind: str) -> list[Hostile]:
    """Records that are no verdict, no example, no row: all kinds of messages, and near misses."""
    near: list[Any] = [
        {"id": "x"}, {"graphlet": None}, {"graphlet": "a", "pipeline": 7}, {"format": 99}, {"version": -1}, [], 1e308,
        {"graphlet": "a/b", "trainer": "b", "pipeline": "a", "pushed": "yes", "stages": "none", "time": "never"},
        {"graphlet": "a/b", "stages": [{"stage": "train", "p": 1e308, "features": {"x": 1e308}}], "pushed": True},
        {"graphlet": "a/b", "pipeline": "a", "run": {}, "stage": "train", "decision": "prune", "policy": "enforce"},
    ]  # fmt: skip
    return [*records().values(), *(Hostile(orjson.dumps(each), kind.encode()) for each in near)]


async def hostile_verdicts(rig: Rig, worker: Process) -> dict[str, Any]:
    """On the topic of verdicts, which a service in front of workers reads from its beginning."""
    cluster = rig.direct
    service = await asyncio.to_thread(rig.service)
    written = nothing_of("verdict")
    await write(cluster, cluster.names.verdicts, written)
    again = await asyncio.to_thread(rig.service)
    message = orjson.dumps(lineage(eventType="START"))
    for each in (service, again):
        assert each.ask("/api/v1/lineage", message)[0] == 201
        until(lambda each=each: each.ask("/v1/verdicts?pipeline=hostile")[0] == 200, "verdicts are answered", 60)
        assert each.ask("/readyz")[0] == 200
        assert "Traceback" not in each.log.read_text(), each.log.read_text()[-3000:]
    assert worker.running
    return {"written": len(written)}


async def hostile_examples(rig: Rig, worker: Process) -> dict[str, Any]:
    """On the topic of examples, which every worker learns from."""
    cluster = rig.direct
    written = nothing_of("example")
    await write(cluster, cluster.names.examples, written, 0)
    until(lambda: learned(worker) >= len(written), "the worker has read the examples", 120)
    metrics = worker.ask("/metrics")[1]
    skipped = sum(values(metrics, "examples_skipped_total"))
    await cluster.produce(cluster.names.events, [(None, None, message) for message in events(pipelines=4, days=2)])
    await cluster.settle()
    await finite(cluster)
    assert worker.running, worker.log.read_text()[-3000:]
    assert skipped == len(written), f"{skipped:.0f} of {len(written)} were skipped"
    assert end_softly(worker) == 0
    worker.start()
    await asyncio.to_thread(worker.said, "are open")
    return {"skipped": int(skipped)}


def learned(worker: Process) -> float:
    return sum(values(worker.ask("/metrics")[1], "examples_position"))


async def strangers_rows(rig: Rig, worker: Process) -> dict[str, Any]:
    """In the changelog, which nobody but a worker should be able to write: told, and the state stays right."""
    cluster = rig.direct
    messages = events(pipelines=4, days=2)
    half = len(messages) // 2
    await cluster.produce(cluster.names.events, [(None, None, message) for message in messages[:half]])
    await cluster.settle()
    keys = (b"", b"x", b"\xff", POSITION, FENCE, OUTBOX, b"\x00alert/\xff")
    strange = [Hostile(value, key, headers) for key in keys for value in (None, b"", b"{}", b"\xff")
               for headers in ((), (("rank", b""),), (("rank", b"\xff" * 5),))]  # fmt: skip
    for partition in range(cluster.partitions):
        await write(cluster, cluster.names.changelog, strange, partition)
    await cluster.produce(cluster.names.events, [(None, None, message) for message in messages[half:]])
    await settle_or_end(cluster, worker)
    assert worker.running, f"the worker ended: {worker.log.read_text()[-1500:]}"
    assert end_softly(worker) == 0
    shutil.rmtree(cluster.folder / "worker0" / "state")
    worker.start()
    await asyncio.to_thread(worker.said, "are open", 60)
    await equal_to_what_was_valid(cluster)
    return {"written": len(strange) * cluster.partitions}


async def settle_or_end(cluster: Cluster, worker: Process) -> None:
    """Wait until all is applied, or the worker has ended."""
    settling = asyncio.create_task(cluster.settle(120))
    while not settling.done() and worker.running:
        await asyncio.sleep(0.5)
    if settling.done():
        await settling
    settling.cancel()


async def hostile_letters(rig: Rig, worker: Process) -> dict[str, Any]:
    """Among the dead letters, which people list and write back."""
    cluster = rig.direct
    odd = [Hostile(b"x", b"k", (("reason", b"\xff"), ("topic", b"\xff"), ("partition", b"x"), ("offset", b"")))]
    written = [*records().values(), *odd]
    await write(cluster, cluster.names.dead_letters, written)
    settings = cluster.folder / "dlq.toml"
    kafka = {"bootstrap_servers": cluster.bootstrap, "group": cluster.names.group}
    lines = [f'{name} = "{value}"' for name, value in kafka.items()]
    settings.write_text("\n".join(["[kafka]", *lines, f'sources = ["{cluster.names.sources[0]}"]', ""]))
    ended = {}
    for command in ("list", "requeue"):
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "dlq", command, "--config", str(settings)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in ran.stderr, f"dlq {command}: {ran.stderr[-1500:]}"
        ended[command] = ran.returncode
    assert worker.running
    return ended


TOPICS: dict[str, Callable[[Rig, Process], Awaitable[dict[str, Any]]]] = {
    "sources": hostile_sources,
    "events": hostile_events,
    "ticks": forged_ticks,
    "verdicts": hostile_verdicts,
    "examples": hostile_examples,
    "changelog": strangers_rows,
    "dead letters": hostile_letters,
}


async def fuzz(rig: Rig, worker: Process, number: int, count: int) -> dict[str, Any]:
    """Fuzzed messages of a number on a source topic."""
    seeds = [*events(pipelines=3, days=1, seed=number)[:200], orjson.dumps(lineage())]
    hostile = [(None, None, message) for message in fuzzed(seeds, number, count)]
    cluster = rig.direct
    await cluster.produce(cluster.names.sources[0], hostile)
    await cluster.settle()
    assert worker.running, worker.log.read_text()[-3000:]
    found = await account(cluster, cluster.names.sources[0])
    assert sum(found.values()) == count, f"{count} were written, and these came out: {found}"
    await equal_to_what_was_valid(cluster)
    await finite(cluster)
    assert "Traceback" not in worker.log.read_text(), worker.log.read_text()[-3000:]
    return dict(found)


async def on_its_own(
    broker: JavaBroker, folder: Path, name: str, body: Callable[[Rig, Process], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Run a body with a worker on a deployment of its own."""
    with rig_on(broker, folder, name, learning=True) as rig:
        return await body(rig, await asyncio.to_thread(rig.worker))


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Every topic, then the fuzzed messages."""
    topics, total = so_far.get("topics", {}), so_far.get("fuzzed", {"messages": 0})
    broken: list[str] = []
    with own_broker() as broker:
        for name, body in TOPICS.items():
            if name not in topics:
                folder = work / name.replace(" ", "-")
                try:
                    topics[name] = asyncio.run(on_its_own(broker, folder, f"hostile-{len(topics)}", body))
                except AssertionError as error:
                    broken.append(f"{name}: {error}"[:3000])
                yield {"kinds": len(records()), "topics": topics, "fuzzed": total, "broken": broken}
        while total["messages"] < amount:
            begin = total["messages"]
            count = min(CHUNK, amount - begin)

            async def body(rig: Rig, worker: Process, begin: int = begin, count: int = count) -> dict[str, Any]:
                return await fuzz(rig, worker, begin, count)

            found = asyncio.run(on_its_own(broker, work / f"fuzz-{begin}", f"fuzz-{begin}", body))
            total = dict(Counter(total) + Counter(found) + Counter(messages=count))
            yield {"kinds": len(records()), "topics": topics, "fuzzed": total, "broken": broken}
