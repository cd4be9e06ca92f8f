"""T7: a bad network between workers, a service, and their broker. The amount is the seconds of each fault."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.reliability.rig import RESUME_SECONDS, Rig, events, proxied_rig
from tests.reliability.toxiproxy import Toxiproxy, UnavailableError
from tests.reliability.witness import Account, recovery, watched

NAME = "a slow, breaking or half-open network between workers, a service, and their broker"
AMOUNT = 60


def proxy_of(rig: Rig) -> Toxiproxy:
    assert rig.proxy is not None
    return rig.proxy


def toxic(kind: str, **attributes: int) -> Callable[[Rig], Any]:
    """A fault that a toxic makes."""

    @contextmanager
    def fault(rig: Rig) -> Iterator[None]:
        proxy_of(rig).add(kind, **attributes)
        try:
            yield
        finally:
            proxy_of(rig).heal()

    return fault


@contextmanager
def resets(rig: Rig) -> Iterator[None]:
    """Every connection is reset 300 ms after it was made, again and again."""
    proxy_of(rig).add("reset_peer", timeout=300)
    try:
        yield
    finally:
        proxy_of(rig).heal()


@contextmanager
def refused(rig: Rig) -> Iterator[None]:
    """Connections are closed, and none is let in."""
    proxy_of(rig).refuse()
    try:
        yield
    finally:
        proxy_of(rig).heal()


@contextmanager
def paused(rig: Rig) -> Iterator[None]:
    """Half open: connections stay, and nobody answers."""
    proxy_of(rig).pause()
    try:
        yield
    finally:
        proxy_of(rig).resume()


@contextmanager
def dropped(rig: Rig) -> Iterator[None]:
    """Packets to the address that the broker tells are dropped: no answer and no reset, also to new connections."""
    iptables = shutil.which("iptables")
    if iptables is None:
        raise UnavailableError("dropped packets need root and iptables (`apt-get install iptables`)")
    port = rig.through.bootstrap.rpartition(":")[2]
    rules = [["-p", "tcp", side, port, "-i", "lo", "-j", "DROP"] for side in ("--dport", "--sport")]
    made = [subprocess.run([iptables, "-A", "INPUT", *rule], capture_output=True, check=False) for rule in rules]
    try:
        if any(each.returncode for each in made):
            raise UnavailableError(f"iptables refuses a rule: {made[0].stderr.decode().strip()}")
        yield
    finally:
        for rule in rules:
            subprocess.run([iptables, "-D", "INPUT", *rule], capture_output=True, check=False)


#: Fault -> how it is made, and whether Kafka cannot be reached at all while it lasts.
FAULTS: dict[str, tuple[Callable[[Rig], Any], bool]] = {
    "latency of 500 ms, jitter of 300 ms": (toxic("latency", latency=500, jitter=300), False),
    "1 kB/s": (toxic("bandwidth", rate=1), False),
    "connections reset after 300 ms": (resets, True),
    "nothing passes, closed after 5 s": (toxic("timeout", timeout=5_000), True),
    "half open, proxy holds": (toxic("timeout", timeout=0), True),
    "half open, proxy paused": (paused, True),
    "packets dropped": (dropped, True),
    "refused": (refused, True),
}

EVENT = {
    "time": "2026-01-01T00:00:00Z",
    "pipeline": "posted",
    "execution": {"id": "t", "type": "Trainer", "state": "RUNNING"},
}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each fault under load, with a worker and a service of its own deployment."""
    done: dict[str, Any] = so_far.get("faults", {})
    broken: list[str] = []
    for name, (fault, cuts_off) in FAULTS.items():
        if name in done:
            continue
        try:
            done[name] = asyncio.run(one(work / f"fault{len(done)}", fault, amount, cuts_off=cuts_off))
        except UnavailableError as error:
            done[name] = {"not tried": str(error)}
        except AssertionError as error:
            broken.append(f"{name}: {error}"[:3000])
        yield {"faults": done, "broken": broken}


async def one(folder: Path, fault: Callable[[Rig], Any], seconds: int, *, cuts_off: bool) -> dict[str, Any]:
    """One fault; what worker and service said, and the promises."""
    messages = events()
    with proxied_rig(folder, "network") as rig:
        worker = await asyncio.to_thread(rig.worker)
        service = await asyncio.to_thread(rig.service)
        async with rig.load(messages, seconds + 8):
            await asyncio.sleep(4)
            with watched(worker) as seen, watched(service) as served, fault(rig):
                began = time.monotonic()
                posted = await asyncio.to_thread(service.ask, "/v1/events", orjson.dumps(EVENT))
                answered = time.monotonic() - began
                await asyncio.sleep(max(0.0, seconds - answered))
            await asyncio.to_thread(recovery, seen)
            await asyncio.to_thread(recovery, served)
        took = await rig.equal([*messages, *(await accepted(rig))])
        kept_promises(seen, served, posted[0], cuts_off=cuts_off)
        return {
            "worker": seen.record(),
            "service": {**served.record(), "posted": posted[0], "answered_seconds": round(answered, 1)},
            "settled_seconds": round(took, 1),
        }


async def accepted(rig: Rig) -> list[bytes]:
    """What the service wrote to its topic: one that was refused may have been stored all the same."""
    records = await rig.direct.read(rig.direct.names.sources[0], 4)
    return list(dict.fromkeys(record.value for record in records))


def kept_promises(worker: Account, service: Account, posted: int, *, cuts_off: bool) -> None:
    """Raise AssertionError where one is broken."""
    for name, account in (("worker", worker), ("service", service)):
        shown = f"{name}: {account.record()}"
        assert account.ended is None, f"{name} ended with {account.ended}: {account.lines[-3:]}"
        assert all(each.live == 200 for each in account.looks), f"liveness was lost: {shown}"
        assert account.recovered is not None, f"not ready {RESUME_SECONDS:.0f} s after the fault: {shown}"
        if cuts_off:
            assert account.looks[-1].ready == 503, f"ready at the end of the fault: {shown}"
            assert account.lines, f"nothing was logged: {shown}"
    assert posted in (201, 503), f"the service answered {posted}"
    assert not worker.silent(), worker.record()
