"""The sidecar: its memory, what it takes while nothing happens, and what a training takes with it and alone.

python -m benchmarks.sidecar
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import median, publish, table, times

_IDLE_SECONDS = 30
#: A training that reports a hundred events and computes between them.
_TRAINING = """
import json, sys
for number in range(100):
    with open(sys.argv[1], "a") as events:
        events.write(json.dumps({
            "id": str(number), "time": "2026-01-01T00:00:00Z", "pipeline": "p",
            "execution": {"id": f"t{number}", "type": "Trainer", "state": "RUNNING"},
        }) + "\\n")
    sum(range(100_000))
"""


class Found(NamedTuple):
    """MiB at most, CPU in thousandths of a core while idle, and seconds of trainings: alone, and beside the sidecar."""

    mib: float
    idle: float
    alone: float
    beside: float


def train(folder: Path) -> float:
    """Seconds that the training takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _TRAINING, str(folder / "events.jsonl")], check=True)
    return time.perf_counter() - began


def cpu(process: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure() -> Found:
    """One sidecar that nobody takes events from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = train(folder)
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "emit", "--url", "http://127.0.0.1:9", "--port", "0", "--spool",
             str(folder / "spool"), "--tail", str(folder / "events.jsonl"), "--drain-seconds", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        beside = train(folder)
        time.sleep(5)
        before = cpu(process.pid)
        time.sleep(_IDLE_SECONDS)
        idle = 1000 * (cpu(process.pid) - before) / _IDLE_SECONDS
        status = Path(f"/proc/{process.pid}/status").read_text()
        [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        process.send_signal(signal.SIGTERM)
        process.wait()
        return Found(int(kilobytes) / 1024, idle, alone, beside)


def main() -> None:
    """Measures, and publishes the section `sidecar`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = [measure() for _ in range(options.repeats)]
    rows = [
        [
            median([each.mib for each in found]),
            median([each.idle for each in found]),
            median([1000 * each.alone for each in found]),
            median([1000 * each.beside for each in found]),
        ]
    ]
    publish(
        "sidecar",
        "The sidecar",
        [
            f"Beside a training that writes 100 events, while the service is away; {times(options.repeats)}.",
            "",
            *table(
                ["memory at most, MiB", "CPU while idle, millicores", "training alone, ms", "training beside it, ms"],
                rows,
            ),
        ],
    )


if __name__ == "__main__":
    main()
