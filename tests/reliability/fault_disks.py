"""T9: full, read-only and emptied volumes, and damaged checkpoints. The amount is the damages of a checkpoint.

The damages of the local copies of the state are `tests/kafka/state/chaos.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.checkpoint import Checkpoint
from tests.broker.broker import JavaBroker
from tests.broker.worker_process import opinions
from tests.reliability.rig import Rig, Service, events, own_broker, rig_on, until
from tests.reliability.toxiproxy import UnavailableError
from tests.reliability.witness import Account, watched

NAME = "full, read-only and emptied volumes, and damaged checkpoints of the model"
AMOUNT = 1_000
#: MiB of the volume, and seconds of a fault.
VOLUME_MB, SECONDS = 48, 12
TIME = "2026-01-01T00:00:00Z"


@contextmanager
def volume(folder: Path) -> Iterator[None]:
    """A small volume of its own at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise UnavailableError("small volumes need the right to mount one: run this as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing more fits on the volume."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The volume takes no write; files that are open for writing keep a kernel from that, so a worker comes later."""
    remounted = remount(folder, "ro")
    if not remounted:
        subprocess.run(["mount", "-o", "remount,ro", "-f", str(folder)], capture_output=True, check=False)
    try:
        yield
    finally:
        remount(folder, "rw")


def remount(folder: Path, mode: str) -> bool:
    command = ["mount", "-o", f"remount,{mode}", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Somebody deletes what is in the folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    yield


Fault = Callable[[Path], contextlib.AbstractContextManager[None]]
FAULTS: dict[str, tuple[Fault, bool]] = {
    "full volume, worker": (full, False),
    "read-only volume at the start, worker": (read_only, True),
    "state folder deleted, worker": (emptied, False),
}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """The faults of a worker, of the service, and the checkpoint."""
    done: dict[str, Any] = so_far.get("faults", {})
    broken: list[str] = []
    with own_broker() as broker:
        for number, (name, (fault, at_start)) in enumerate(FAULTS.items()):
            if name not in done:
                folder = work / f"disk{number}"
                attempt(done, broken, name, lambda f=fault, s=at_start, d=folder: asyncio.run(worker(broker, d, f, s)))
                yield {"faults": done, "broken": broken}
    if "full volume, service" not in done:
        attempt(done, broken, "full volume, service", lambda: service(work / "service"))
        yield {"faults": done, "broken": broken}
    if "damaged checkpoint" not in done:
        attempt(done, broken, "damaged checkpoint", lambda: checkpoints(work / "checkpoint", amount))
        yield {"faults": done, "broken": broken}


def attempt(done: dict[str, Any], broken: list[str], name: str, body: Callable[[], dict[str, Any]]) -> None:
    try:
        done[name] = body()
    except UnavailableError as error:
        done[name] = {"not tried": str(error)}
    except AssertionError as error:
        broken.append(f"{name}: {error}"[:3000])


async def worker(broker: JavaBroker, folder: Path, fault: Fault, at_start: bool) -> dict[str, Any]:
    """A fault of the folder of a worker under load: it goes on, or ends with a line; after it, nothing is missing."""
    messages, state = events(), folder / "worker0"
    with volume(state), rig_on(broker, folder, folder.name) as rig:
        if at_start:
            with fault(state):
                said = refused(rig)
            rig.direct.workers[0].start()
            rig.direct.workers[0].said("are open")
        made = rig.direct.workers[0] if at_start else await asyncio.to_thread(rig.worker)
        async with rig.load(messages, SECONDS):
            await asyncio.sleep(3)
            if not at_start:
                with watched(made) as seen, fault(state):
                    await asyncio.sleep(SECONDS - 4)
                said = told(seen, made.log)
            if not made.running:
                made.start()
                made.said("are open")
        settled = await rig.equal(messages)
        assert made.running, made.log.read_text()[-3000:]
        return {**said, "settled_seconds": round(settled, 1)}


def refused(rig: Rig) -> dict[str, Any]:
    """A worker that is started while the fault lasts ends with one line."""
    made = rig.through.worker()
    rig.direct.workers.append(made)
    code = made.wait(60)
    lines = made.log.read_text()
    assert code != 0, lines[-2000:]
    assert "OptionsError" in lines or "Error:" in lines, lines[-2000:]
    return {"ended": code, "log": [line for line in lines.splitlines() if "Error" in line][-1:]}


def told(seen: Account, log: Path) -> dict[str, Any]:
    """What a worker said: nothing is only right where nothing is wrong with it."""
    if seen.ended is not None:
        assert seen.ended != 0, log.read_text()[-2000:]
        assert seen.lines, f"it ended without a line: {log.read_text()[-2000:]}"
    return seen.record()


def service(folder: Path) -> dict[str, Any]:
    """The embedded service on a full volume: what it acknowledged it has, and what it cannot store it refuses."""
    with volume(folder):
        made = Service(folder.parent / "service.log", ["--data", str(folder / "data")])
        made.start()
        try:
            until(lambda: made.ask("/readyz")[0] == 200, "the service is ready")
            acknowledged = post(made, 0, 5)
            with watched(made) as seen, full(folder):
                during = post(made, 5, 400)
                until(lambda: made.ask("/readyz")[0] == 503 or None, "it is not ready", 30)
            until(lambda: made.ask("/readyz")[0] == 200, "the service is ready again", 60)
            acknowledged += during + post(made, 400, 405)
            assert made.ask("/livez")[0] == 200
            made.stop()  # by SIGKILL: what was acknowledged is on the disk
            made.start()
            found = until(lambda: graphlets(made, acknowledged), "what was acknowledged is there", 60)
            return {**seen.record(), "acknowledged": len(acknowledged), "found": found}
        finally:
            made.stop()


def post(made: Service, begin: int, end: int) -> list[int]:
    """Post trainings, one each; the numbers of those that were acknowledged."""
    acknowledged = []
    for number in range(begin, end):
        execution = {"id": "t", "type": "Trainer", "state": "RUNNING"}
        large = {f"p{n}": "x" * 8_000 for n in range(20)}
        event = {
            "time": "2026-01-01T00:00:00Z",
            "pipeline": f"disk{number}",
            "execution": execution,
            "properties": large,
        }
        status = made.ask("/v1/events", orjson.dumps(event))[0]
        assert status in (201, 503), status
        acknowledged += [number] if status == 201 else []
    return acknowledged


def graphlets(made: Service, numbers: list[int]) -> int:
    """The number of graphlets, once all are there."""
    there = [made.ask(f"/v1/graphlets/disk{number}/t")[0] == 200 for number in numbers]
    return sum(there) if all(there) else 0


def checkpoints(folder: Path, amount: int) -> dict[str, Any]:
    """Damages of a checkpoint: dropped and counted, or what was written; never another model."""
    logging.getLogger("stream_app.kafka.model.checkpoint").setLevel(logging.ERROR)  # a line for each damage
    learner, counts = Learner(), Counts()
    whole = Checkpoint(folder, None, "topic", Settings(), counts)
    whole.write(learner, 10)
    path = folder / "model.checkpoint"
    content, said = path.read_bytes(), opinions(learner)
    assert whole.read(10) is not None
    dropped = 0
    for number in range(amount):
        chance = random.Random(number)
        path.write_bytes(damage(content, chance))
        counts.checkpoints_dropped = 0
        found = Checkpoint(folder, None, "topic", Settings(), counts).read(10)
        if found is None:
            dropped += 1
            assert counts.checkpoints_dropped == 1, f"damage {number} was not counted"
        else:
            assert opinions(found.learner) == said, f"damage {number} made another model"
    return {"damages": amount, "dropped": dropped}


def damage(content: bytes, chance: random.Random) -> bytes:
    """A bit flipped, a block zeroed, or the end cut."""
    body, at = bytearray(content), chance.randrange(len(content))
    kind = chance.randrange(4)
    if kind < 2:
        body[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        body[at : at + 512] = bytes(len(body[at : at + 512]))
    else:
        del body[at:]
    return bytes(body)
