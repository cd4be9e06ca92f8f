"""Runs a row of the matrix and keeps how far it came: `python -m tests.reliability ROW [--amount N] [--results FILE]`.

A row is a module with `NAME` (what is done, in a line), `AMOUNT` (how much, unless told otherwise; its docstring says
of what) and `run(work, so_far, amount)`, which yields its whole progress after each unit of work and goes on from the
progress that it is given. A promise that does not hold is an `AssertionError`, or a line in `broken` of the progress.
Files that must outlive an interruption are in `work`, which is deleted when the row is done.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results import machine

RESULTS = Path(__file__).with_name("results.json")
#: The rows and their modules.
ROWS = {
    "T1": "load_throughput",
    "T2": "load_burst",
    "T3": "soak",
    "T4": "kills",
    "T5": "load_restarts",
    "T6": "fault_brokers",
    "T7": "fault_network",
    "T8": "load_rebalances",
    "T9": "fault_disks",
    "T10": "fault_changelogs",
    "T11": "fault_clocks",
    "T12": "fault_input",
    "T13": "fault_sinks",
    "T14": "fault_addresses",
    "T17": "load_workers",
    "T18": "fault_secrets",
    "PROBES": "fault_probes",
}

#: Entries of a list that are shown.
LONG = 10

Progress = dict[str, Any]


def read(results: Path) -> dict[str, Progress]:
    """What is stored of all rows."""
    stored: dict[str, Progress] = json.loads(results.read_text()) if results.exists() else {}
    return stored


def write(results: Path, name: str, row: Progress) -> None:
    """Store one row; others may write theirs to the same file at the same time."""
    with results.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = {**read(results), name: row}
        partial = results.with_suffix(".partial")
        partial.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        partial.replace(results)


def start(command: str) -> Progress:
    """When, where and from what a row was started or went on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "command": command,
        "load": os.getloadavg()[0],
    }


def go_on(name: str, module: ModuleType, amount: int, results: Path, command: str) -> list[str]:
    """Do what is missing of a row; what broke."""
    row = read(results).get(name, {"starts": [], "progress": {}, "broken": []})
    row |= {
        "what": module.NAME,
        "machine": machine(),
        "amount": amount,
        "done": False,
        "starts": [*row["starts"], start(command)],
    }
    work = results.with_suffix(".work") / name
    work.mkdir(parents=True, exist_ok=True)
    try:
        for progress in module.run(work, dict(row["progress"]), amount):
            # Of what broke before an interruption, nothing is forgotten.
            row |= {"progress": progress, "broken": list(dict.fromkeys([*row["broken"], *progress.get("broken", [])]))}
            write(results, name, row)
            say(f"{name}: {json.dumps(shown(progress))}")
        row["done"] = True
        shutil.rmtree(work)
    except AssertionError as error:
        row["broken"].append(str(error)[:4000])
    write(results, name, row)
    return list(row["broken"])


def shown(progress: Progress) -> Progress:
    """Progress as a line of a log: of long lists the length and the last."""
    return {
        key: [f"{len(value)} in all", value[-1]] if isinstance(value, list) and len(value) > LONG else value
        for key, value in progress.items()
    }


def say(line: str) -> None:
    sys.stdout.write(f"{datetime.datetime.now(tz=datetime.UTC):%H:%M:%S} {line}\n")
    sys.stdout.flush()


def interrupt(*_: object) -> None:
    """Turn SIGTERM into what Ctrl-C is, so that a row stops what it started."""
    raise KeyboardInterrupt


def main() -> int:
    """Status 0: the promises hold; 1: one broke; 130: interrupted, the same command goes on."""
    known = ", ".join(ROWS)
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("row", type=str.upper, choices=ROWS, metavar="ROW", help=f"one of {known}")
    parser.add_argument("--amount", type=int, help="kills, seconds or minutes: the row's module says which")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    options = parser.parse_args()
    module = importlib.import_module(f"tests.reliability.{ROWS[options.row]}")
    amount = options.amount if options.amount is not None else module.AMOUNT
    signal.signal(signal.SIGTERM, interrupt)
    command = " ".join(["python -m tests.reliability", *sys.argv[1:]])
    try:
        broken = go_on(options.row, module, amount, options.results.resolve(), command)
    except KeyboardInterrupt:
        say(f"{options.row}: interrupted; the same command goes on")
        return 130
    for line in broken:
        say(f"{options.row}: BROKEN: {line}")
    if not broken:
        say(f"{options.row}: done, every promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
