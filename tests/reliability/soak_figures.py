"""What is seen of processes over hours, and whether it is flat (I8)."""

from __future__ import annotations

import re
import statistics
import time
from collections import defaultdict
from typing import TypedDict

from benchmarks.workers.service import MIB, Process

#: Seconds of a process's life that do not count.
WARM_UP_SECONDS = 120
#: The promise: growth of memory in an hour, as a share, of processes that were watched for so many seconds.
GROWTH, WATCHED_SECONDS = 0.05, 1200
#: How much more of each there is at the end, at most: files of the local stores come and go.
MORE = {"files": 1.25, "series": 1.0}


class Sample(TypedDict):
    """One look at a process; the time is in seconds."""

    process: str
    started: float
    at: float
    mib: float
    files: int
    series: int


Samples = list[Sample]


def look(name: str, process: Process) -> Sample | None:
    """Memory, open files and series of a process; None while it starts."""
    status, body = process.ask("/metrics")
    if status != 200:
        return None
    values = dict(re.findall(r"^(process_\w+) (\S+)$", body, re.M))
    return {
        "process": name,
        "started": float(values["process_start_time_seconds"]),
        "at": round(time.time()),
        "mib": round(float(values["process_resident_memory_bytes"]) / MIB, 1),
        "files": int(float(values["process_open_fds"])),
        "series": sum(not line.startswith("#") for line in body.splitlines()),
    }


def lives(samples: Samples) -> dict[str, Samples]:
    """The samples of each process after its warm-up; one that was started again is another process."""
    found: dict[str, Samples] = defaultdict(list)
    names: dict[tuple[str, float], str] = {}
    for sample in samples:
        if sample["at"] >= sample["started"] + WARM_UP_SECONDS:
            key = sample["process"], sample["started"]
            name = names.setdefault(key, f"{key[0]} {len(names)}")
            found[name].append(sample)
    return {name: own for name, own in found.items() if len(own) > 2}


def slopes(samples: Samples) -> dict[str, dict[str, float]]:
    """Of each life: minutes seen, MiB at the median, MiB an hour (least squares), and the range of files and series."""
    found = {}
    for name, own in lives(samples).items():
        hours = [(sample["at"] - own[0]["at"]) / 3600 for sample in own]
        memory = [sample["mib"] for sample in own]
        line = statistics.linear_regression(hours, memory)
        found[name] = {
            "minutes": round(60 * hours[-1], 1),
            "mib": round(statistics.median(memory), 1),
            "mib_per_hour": round(line.slope, 1),
        } | {
            f"{kind}_{end.__name__}": end(sample[kind] for sample in own)
            for kind in ("files", "series")
            for end in (min, max)
        }
    return found


def not_flat(samples: Samples) -> list[str]:
    """What grows (I8): memory by its slope; files and series from the first third of a life to its last."""
    broken = []
    for name, figures in slopes(samples).items():
        own = lives(samples)[name]
        if 60 * figures["minutes"] < WATCHED_SECONDS:
            continue
        if figures["mib_per_hour"] > GROWTH * figures["mib"]:
            broken.append(f"I8: {name} grows by {figures['mib_per_hour']} MiB an hour, of {figures['mib']} MiB")
        third = len(own) // 3
        for kind, more in MORE.items():
            first, last = (max(sample[kind] for sample in part) for part in (own[:third], own[-third:]))
            if last > more * first:
                broken.append(f"I8: {name} has {last} {kind}, of {first} at first")
    return broken
