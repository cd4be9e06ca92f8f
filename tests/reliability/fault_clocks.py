"""T11: a worker whose clock is wrong, beside one whose clock is right. The amount is the seconds of each fault.

Events in any order within the lateness are `tests/core/graphlets/test_equivalence.py`; ticks are
`tests/core/test_ticks.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from tests.broker.broker import JavaBroker
from tests.broker.cluster import Process
from tests.reliability.clock import Clock
from tests.reliability.rig import Rig, events, own_broker, rig_on
from tests.reliability.toxiproxy import UnavailableError
from tests.reliability.witness import Account, recovery, values, warnings, watched

NAME = "a worker whose clock is days ahead or behind, jumps, or runs sixty times as fast"
AMOUNT = 30
#: Seconds between two ticks, many of which come in a fault.
TICK_SECONDS = 1.0

Course = Callable[[Clock, float], Awaitable[None]]


def constant(setting: str) -> Course:
    async def course(clock: Clock, seconds: float) -> None:
        clock.set(setting)
        await asyncio.sleep(seconds)

    return course


async def jumping(clock: Clock, seconds: float) -> None:
    """Days forwards and back, every two seconds, and right in the end."""
    settings = ("+20d", "-20d", "+0", "+1h", "-1h", "+400d")
    for number in range(round(seconds / 2)):
        clock.set(settings[number % len(settings)])
        await asyncio.sleep(2)
    clock.set("+0")
    await asyncio.sleep(2)


#: Clock -> how it goes, and whether the monotonic clock goes with it.
CLOCKS: dict[str, tuple[Course, bool]] = {
    "20 days ahead": (constant("+20d"), False),
    "20 days behind": (constant("-20d"), False),
    "jumps by days and hours": (jumping, False),
    "20 days ahead, the monotonic clock too": (constant("+20d"), True),
    "60 times as fast": (constant("+0 x60"), True),
}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each clock under load."""
    done: dict[str, Any] = so_far.get("clocks", {})
    broken: list[str] = []
    with own_broker() as broker:
        for number, (name, (course, with_monotonic)) in enumerate(CLOCKS.items()):
            if name in done:
                continue
            folder = work / f"clock{number}"
            try:
                done[name] = asyncio.run(one(broker, folder, f"clock{number}", course, amount, with_monotonic))
            except UnavailableError as error:
                done[name] = {"not tried": str(error)}
            except AssertionError as error:
                broken.append(f"{name}: {error}"[:3000])
            yield {"clocks": done, "broken": broken}


async def one(
    broker: JavaBroker, folder: Path, group: str, course: Course, seconds: float, with_monotonic: bool
) -> dict[str, Any]:
    """One wrong clock and one that is right; nothing is closed early, and all comes out as it must."""
    messages = events()
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(folder / "clock", with_monotonic=with_monotonic)
    with rig_on(broker, folder, group, tick_seconds=TICK_SECONDS) as rig:
        await asyncio.to_thread(rig.worker)
        with clock.installed():
            wrong = await asyncio.to_thread(rig.worker)
        async with rig.load(messages, seconds):
            with watched(wrong) as seen:
                await course(clock, seconds)
        if any("cannot continue" in line for line in seen.lines):  # it takes some seconds to stop
            seen.ended = await asyncio.to_thread(wrong.wait, 60)
        else:
            await asyncio.to_thread(recovery, seen)
        settled = await rig.equal(messages, ticking=True)
        kept_promises(rig, wrong, seen)
        return {
            "settled_seconds": round(settled, 1),
            "ended": seen.ended,
            "ticks": [int(ticks(worker)) for worker in rig.direct.workers if worker.running],
            "log": warnings(wrong.log.read_text())[:20],
        }


def kept_promises(rig: Rig, wrong: Process, seen: Account) -> None:
    """Raise AssertionError where one is broken; that no pipeline was closed early is seen by its state."""
    if seen.ended is not None:  # Kafka takes no record from an hour or more ahead; the other worker takes over
        assert seen.ended != 0, wrong.log.read_text()[-2000:]
        assert any("the clock of this machine is ahead" in line for line in seen.lines), seen.lines
        return
    assert all(look.live == 200 for look in seen.looks), f"liveness was lost: {seen.record()}"
    assert seen.recovered is not None, f"not ready after the fault: {seen.record()}"
    assert all(ticks(worker) for worker in rig.direct.workers), "a worker wrote no tick"


def ticks(worker: Process) -> float:
    return sum(values(worker.ask("/metrics")[1], "ticks_total"))
