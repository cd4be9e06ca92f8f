"""T10: the changelog is compacted, emptied or cut short while a worker restores from it. The amount is the rounds."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from tests.broker.broker import JavaBroker
from tests.broker.cluster import Process
from tests.broker.scenarios import keyed
from tests.reliability.rig import RESUME_SECONDS, Rig, end_softly, events, own_broker, rig_on

NAME = "a changelog that is compacted, emptied or cut short, before and during a restore"
AMOUNT = 3


def configure(rig: Rig, **settings: str) -> None:
    given = {name.replace("_", "."): value for name, value in settings.items()}
    rig.direct.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, rig.direct.names.changelog, given)])


def compacted(rig: Rig) -> None:
    """Kafka compacts what can be compacted, while the worker reads it."""
    configure(rig, min_compaction_lag_ms="0", min_cleanable_dirty_ratio="0.01", segment_ms="100")
    time.sleep(2)
    configure(rig, min_compaction_lag_ms="3600000", min_cleanable_dirty_ratio="0.3", segment_ms="604800000")


def cut(rig: Rig) -> None:
    """Half of each partition is deleted, as a retention would do; Kafka takes that of topics with retention alone."""
    names, admin = rig.direct.names, rig.direct.admin
    ends = asyncio.run(rig.direct.ends(names.changelog, rig.direct.partitions))
    configure(rig, cleanup_policy="delete")
    halves = {TopicPartition(at.topic, at.partition): end // 2 for at, end in ends.items() if end > 1}
    admin.delete_records(halves)
    configure(rig, cleanup_policy="compact")


def emptied(rig: Rig) -> None:
    """All of it is deleted."""
    names, admin = rig.direct.names, rig.direct.admin
    ends = asyncio.run(rig.direct.ends(names.changelog, rig.direct.partitions))
    configure(rig, cleanup_policy="delete")
    admin.delete_records({TopicPartition(at.topic, at.partition): end for at, end in ends.items()})
    configure(rig, cleanup_policy="compact")


#: Fault -> how it is made, whether while the worker restores, and whether the state is whole all the same.
FAULTS: dict[str, tuple[Callable[[Rig], None], bool, bool]] = {
    "compacted before": (compacted, False, True),
    "compacted during": (compacted, True, True),
    "cut short before": (cut, False, False),
    "cut short during": (cut, True, False),
    "emptied before": (emptied, False, False),
}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each fault so many times."""
    done: dict[str, Any] = so_far.get("rounds", {})
    broken: list[str] = []
    with own_broker() as broker:
        for number in range(amount):
            for index, (name, (fault, during, whole)) in enumerate(FAULTS.items()):
                if f"{name} {number}" in done:
                    continue
                folder, group = work / f"log{number}-{index}", f"log{number}-{index}"
                try:
                    found = asyncio.run(one(broker, folder, group, number, fault, during, whole))
                    done[f"{name} {number}"] = found
                except AssertionError as error:
                    broken.append(f"{name} {number}: {error}"[:3000])
                yield {"rounds": done, "broken": broken}


async def one(
    broker: JavaBroker, folder: Path, group: str, seed: int, fault: Callable[[Rig], None], during: bool, whole: bool
) -> dict[str, Any]:
    """A worker without a local copy restores; it has the state, or it says within a minute that it is lost."""
    messages = events(seed=seed + 1)
    with rig_on(broker, folder, group) as rig:
        worker = await asyncio.to_thread(rig.worker)
        await rig.direct.produce(rig.direct.names.events, keyed(messages))
        await rig.equal(messages)
        assert end_softly(worker) == 0
        shutil.rmtree(folder / "worker0" / "state")
        begun = len(worker.log.read_text())
        began = time.monotonic()
        if not during:
            await asyncio.to_thread(fault, rig)
        worker.start()
        if during:
            await asyncio.to_thread(fault, rig)
        outcome = await asyncio.to_thread(decided, worker, begun)
        took = time.monotonic() - began
        if outcome == "open":
            # Cut while it was read, the log may have been read before it was cut.
            await rig.equal(messages)
        else:
            assert not whole, f"it did not start with a whole log: {worker.log.read_text()[begun:][-2000:]}"
        return {
            "outcome": outcome,
            "seconds": round(took, 1),
            "said": last_line(worker, begun) if outcome != "open" else "",
        }


def decided(worker: Process, begun: int) -> str:
    """Whether the worker opened its partitions, or ended; it does one of them in time."""
    end = time.monotonic() + RESUME_SECONDS
    while time.monotonic() < end:
        if not worker.running:
            return "refused"
        if "are open" in worker.log.read_text()[begun:]:
            return "open"
        time.sleep(0.2)
    raise AssertionError(f"neither within {RESUME_SECONDS:.0f} s: {worker.log.read_text()[begun:][-2000:]}")


def last_line(worker: Process, begun: int) -> str:
    found = [line for line in worker.log.read_text()[begun:].splitlines() if "Error" in line]
    assert found, worker.log.read_text()[begun:][-2000:]
    return found[-1][:400]
