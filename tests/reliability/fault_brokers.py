"""T6: the broker stops, cleanly and hard, and is away for minutes. The amount is the stops of each kind.

The long outage is of five minutes, or of as many seconds as there are stops where those are fewer than ten.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.broker.broker import JavaBroker
from tests.broker.cluster import Process
from tests.reliability.rig import RESUME_SECONDS, events, own_broker, rig_on
from tests.reliability.witness import Account, look, recovery, watched

NAME = "the broker stops cleanly and hard under load, and is away for five minutes"
AMOUNT = 10
KINDS = ("clean", "hard")
#: Seconds of a stop, longer than the session of the group or shorter, and of the outage.
STOPPED_SECONDS, OUTAGE_SECONDS = (0.0, 8.0), 300


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Stops of both kinds in turn, each on a deployment of its own, then the outage."""
    stops: dict[str, Any] = so_far.get("stops", {})
    broken: list[str] = []
    outage = OUTAGE_SECONDS if amount >= AMOUNT else amount
    wanted = [(f"{kind} {number}", kind, number, None) for number in range(amount) for kind in KINDS]
    wanted.append((f"outage of {outage} s", "hard", amount, outage))
    missing = [each for each in wanted if each[0] not in stops]
    if not missing:
        return
    with own_broker() as broker:
        for name, kind, number, seconds in missing:
            away = seconds or random.Random(f"{kind}{number}").uniform(*STOPPED_SECONDS)
            try:
                one = stop(broker, work / name.replace(" ", "-"), f"stop-{kind}-{number}", kind, away, number)
                stops[name] = asyncio.run(one)
            except AssertionError as error:
                broken.append(f"{name}: {error}"[:3000])
            yield {"stops": stops, "broken": broken}


async def stop(broker: JavaBroker, folder: Path, group: str, kind: str, away: float, seed: int) -> dict[str, Any]:
    """Stop the broker for some seconds under load; how long it took until work went on."""
    messages = events(seed=seed + 1)
    with rig_on(broker, folder, group) as rig:
        worker = await asyncio.to_thread(rig.worker)
        service = await asyncio.to_thread(rig.service)
        async with rig.load(messages, 8):
            await asyncio.sleep(random.Random(seed).uniform(1, 6))
            with watched(worker) as seen, watched(service) as served:
                await asyncio.to_thread(end, broker, kind)
                await asyncio.sleep(away)
            await asyncio.to_thread(broker.start)
            resumed = await asyncio.to_thread(resume, worker, seen, served)
        settled = await rig.equal(messages)
        kept_promises(seen, served, away)
        return {
            "away_seconds": round(away, 1),
            "resumed_seconds": round(resumed, 1),
            "settled_seconds": round(settled, 1),
            "most_repeated": max(seen.record()["most_repeated"], served.record()["most_repeated"]),
        }


def end(broker: JavaBroker, kind: str) -> None:
    """Stop a broker cleanly, or as a power failure does to a process."""
    assert broker.process is not None
    if kind == "clean":
        broker.stop()
    else:
        broker.process.send_signal(signal.SIGKILL)
        broker.process.wait(60)


def resume(worker: Process, seen: Account, served: Account) -> float:
    """Wait until worker and service are ready and the worker has committed something; the seconds that it took."""
    began = time.monotonic()
    recovery(seen)
    recovery(served)
    while time.monotonic() - began < RESUME_SECONDS:
        age = look(worker).commit_age
        if age is not None and age < time.monotonic() - began:
            return time.monotonic() - began
        time.sleep(0.5)
    raise AssertionError(f"nothing was committed {RESUME_SECONDS:.0f} s after the broker was back")


def kept_promises(worker: Account, service: Account, away: float) -> None:
    """Raise AssertionError where one is broken."""
    for name, account in (("worker", worker), ("service", service)):
        assert account.ended is None, f"{name} ended with {account.ended}: {account.lines[-3:]}"
        assert all(each.live == 200 for each in account.looks), f"{name}: liveness was lost: {account.record()}"
        assert account.recovered is not None, f"{name} was not ready in time: {account.record()}"
    if away > RESUME_SECONDS / 2:
        assert worker.looks[-1].ready == 503, worker.record()
        assert worker.lines, worker.record()
        assert service.looks[-1].ready == 503, service.record()
