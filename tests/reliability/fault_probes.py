"""PROBES: what worker and service say of each fault. The amount is the seconds of each.

The table of docs/reliability.md is made from the results: `python -m tests.reliability.fault_probes RESULTS DOCUMENT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import TopicPartition

from tests.broker.deleting import delete_topics
from tests.reliability.fault_disks import emptied
from tests.reliability.fault_network import dropped, paused, refused, resets, toxic
from tests.reliability.hostile import records
from tests.reliability.rig import RESUME_SECONDS, Rig, events, proxied_rig
from tests.reliability.toxiproxy import UnavailableError
from tests.reliability.witness import Account, recovery, watched

NAME = "what probes, metrics and log say of each fault"
AMOUNT = 20
MARKS = "<!-- probes: made by tests.reliability.fault_probes -->", "<!-- end of probes -->"


@contextmanager
def stopped(rig: Rig) -> Iterator[None]:
    rig.broker.stop()
    try:
        yield
    finally:
        rig.broker.start()


@contextmanager
def suspended(rig: Rig) -> Iterator[None]:
    """The broker's process stands still: connections stay, new ones are accepted by the kernel, nobody answers."""
    assert rig.broker.process is not None
    rig.broker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        rig.broker.process.send_signal(signal.SIGCONT)


@contextmanager
def source_deleted(rig: Rig) -> Iterator[None]:
    delete_topics(rig.direct.admin, list(rig.direct.names.sources))
    try:
        yield
    finally:
        rig.direct.make_topics()


@contextmanager
def too_old(rig: Rig) -> Iterator[None]:
    """Records are deleted while the worker stands still, and before it has read them."""
    (worker,) = rig.through.workers
    name = rig.direct.names.sources[0]
    worker.signal(signal.SIGSTOP)
    asyncio.run(rig.direct.produce(name, [(0, None, message) for message in events(pipelines=3, days=1)[:200]]))
    rig.direct.admin.delete_records({TopicPartition(name, 0): 150})
    worker.signal(signal.SIGCONT)
    yield


@contextmanager
def hostile(rig: Rig) -> Iterator[None]:
    messages = [(0, None, record.value or b"") for record in records().values()]
    asyncio.run(rig.direct.produce(rig.direct.names.sources[0], messages))
    yield


@contextmanager
def state_deleted(rig: Rig) -> Iterator[None]:
    with emptied(rig.direct.folder / "worker0"):
        yield


Fault = Callable[[Rig], contextlib.AbstractContextManager[None]]
#: Fault -> how it is made, and whether nothing is wrong with the process itself while it lasts.
FAULTS: dict[str, Fault] = {
    "broker stopped": stopped,
    "broker suspended": suspended,
    "connections refused": refused,
    "connections reset": resets,
    "half open": paused,
    "packets dropped": dropped,
    "latency 500 ms": toxic("latency", latency=500, jitter=300),
    "1 kB/s": toxic("bandwidth", rate=1),
    "source topic deleted": source_deleted,
    "records deleted unread": too_old,
    "hostile records": hostile,
    "state folder deleted": state_deleted,
}
#: Faults of data, which say nothing about the process: it is ready, and counts what it met.
COUNTED = {"hostile records", "state folder deleted"}


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each fault with a worker and a service."""
    done: dict[str, Any] = so_far.get("faults", {})
    broken: list[str] = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        if name in done:
            continue
        try:
            with proxied_rig(work / f"probe{number}", "probes") as rig:
                done[name] = witnessed(rig, fault, amount)
                promised(name, done[name])
        except UnavailableError as error:
            done[name] = {"not tried": str(error)}
        except AssertionError as error:
            broken.append(f"{name}: {error}"[:3000])
        yield {"faults": done, "broken": broken}


def witnessed(rig: Rig, fault: Fault, seconds: float, *, until_told: bool = False) -> dict[str, Any]:
    """What worker and service said during a fault under a light load, and after it.

    The fault lasts for some seconds, and where it is to be told also until both are not ready.
    """
    worker = rig.worker()
    service = rig.service()

    async def body() -> tuple[Account, Account]:
        async with rig.load(events(pipelines=3, days=2), seconds + 4):
            await asyncio.sleep(2)
            with watched(worker) as seen, watched(service) as served:
                entered = fault(rig)
                await asyncio.to_thread(entered.__enter__)  # some faults feed Kafka themselves
                try:
                    await asyncio.sleep(seconds)
                    while until_told and not all(map(is_unready, (seen, served))):
                        await asyncio.sleep(0.5)
                except BaseException:
                    entered.__exit__(None, None, None)
                    raise
            await asyncio.to_thread(entered.__exit__, None, None, None)
            if not (seen.looks[-1].lost or seen.ended is not None):
                await asyncio.to_thread(recovery, seen)
            await asyncio.to_thread(recovery, served)
        return seen, served

    seen, served = asyncio.run(body())
    return {"worker": {**seen.record(), "silent": seen.silent()}, "service": served.record()}


def is_unready(account: Account) -> bool:
    return bool(account.looks) and account.looks[-1].ready == 503


def promised(name: str, found: dict[str, Any]) -> None:
    """Raise AssertionError where a promise is broken."""
    for process in ("worker", "service"):
        account = found[process]
        assert account["ended"] is None or account["log"], f"{process} ended without a line: {account}"
        if account["ended"] is None:
            assert account["live"] == 200, f"{process}: liveness was lost: {account}"
            unready = account["lost"]  # for five minutes
            assert unready or account["recovered_seconds"] is not None, (
                f"{process}: not ready {RESUME_SECONDS:.0f} s after: {account}"
            )
    assert name in COUNTED or not found["worker"]["silent"], f"ready, no lag and no line: {found['worker']}"


def table(found: dict[str, Any]) -> str:
    """The table of the document."""
    lines = ["| fault | process | live | ready | lag | last fetch, s | lost, damaged | log | ready again, s |"]
    lines.append("|" + " --- |" * 9)
    for name, accounts in found.items():
        for process in ("worker", "service"):
            one = accounts.get(process)
            if one is None:
                lines += [f"| {name} | not tried: {accounts['not tried']} |" + " |" * 7] if process == "worker" else []
                continue
            ready = f"{one['ready']}: {'; '.join(one['why'])}" if one["why"] else one["ready"]
            worker = process == "worker"
            measured = [one["lag"], one["fetch_age"], f"{one['lost']}, {one['damaged']}"] if worker else [""] * 3
            cells = [name, process, one["live"], ready, *measured, own_lines(one["log"]), one["recovered_seconds"]]
            lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def own_lines(lines: list[str]) -> str:
    """The line that says most, and how many others there were: those of the clients come by the dozen."""
    ours = [
        line for line in lines if "Kafka has not" in line or "cannot" in line or "gone" in line or "deleted" in line
    ]
    first = (ours or lines or ["nothing"])[0][:110].replace("|", "/")
    return first if len(lines) < 2 else f"{first} (and {len(lines) - 1} others)"


def main(results: Path, document: Path) -> None:
    """Put the table between the marks of a document."""
    found = json.loads(results.read_text())["PROBES"]["progress"]["faults"]
    before, _, rest = document.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    document.write_text(f"{before}{MARKS[0]}\n\n{table(found)}\n\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
