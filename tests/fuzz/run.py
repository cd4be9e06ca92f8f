"""Fuzzes a target: `python -m tests.fuzz.run TARGET --seconds N`. It may be stopped, and goes on where it was.

What is found grows in `.fuzz/TARGET`; what is kept is in `tests/fuzz/corpus/TARGET`, to which `--keep` adds the part
of it that reaches more code. `tests/fuzz/results.json` has what all runs together have done.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.targets import FOLDER, TARGETS, corpus, target

ROOT = FOLDER.parents[1]
GROWING, RESULTS = ROOT / ".fuzz", FOLDER / "results.json"
#: Seconds after which results are stored, and an input that takes longer is a fault.
SLICE, HANG = 300, 120
#: Bytes of the inputs kept of one target.
KEPT_BYTES = 100_000
#: Kept inputs with this prefix once were faults.
FAULT = "fault-"
_EXECUTIONS = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")


def say(text: str) -> None:
    """Writes a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Place:
    """Where a target's inputs and results are.

    Parameters
    ----------
    name
        The target.
    growing
        The folder of what is found.
    results
        The file of what was done.
    """

    def __init__(self, name: str, growing: Path = GROWING, results: Path = RESULTS) -> None:
        self.name = name
        self.inputs = growing / name / "inputs"
        self.faults = growing / name / "faults"
        self.log = growing / name / "log"
        self._results = results
        for folder in (self.inputs, self.faults):
            folder.mkdir(parents=True, exist_ok=True)

    def engine(self) -> str:
        """The program that fuzzes the target, to which arguments of libFuzzer are given."""
        program = self.inputs.parent / "engine"
        command = f'exec {sys.executable} -m tests.fuzz.engine {self.name} "$0" "$@"'
        program.write_text(f"#!/bin/sh\ncd '{ROOT}' || exit 1\n{command}\n")
        program.chmod(0o755)
        return str(program)

    def add(self, seconds: float, executions: int) -> dict[str, Any]:
        """Adds what a run did to the results; returns them all."""
        all_results = json.loads(self._results.read_text()) if self._results.exists() else {}
        before = all_results.get(self.name, {"seconds": 0, "executions": 0})
        after = {
            "seconds": round(before["seconds"] + seconds),
            "executions": before["executions"] + executions,
        }
        all_results[self.name] = after
        written = self._results.with_suffix(".new")
        written.write_text(json.dumps(all_results, indent=2, sort_keys=True) + "\n")
        written.replace(self._results)
        return after

    def plant(self) -> None:
        """Puts the seeds among the inputs, which needs to be done once."""
        if not any(self.inputs.iterdir()):
            for seed in target(self.name).seeds():
                (self.inputs / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def arguments_of(place: Place) -> list[str]:
    """The arguments of libFuzzer that all runs of a target have."""
    module = target(place.name)
    words = FOLDER / "dictionaries" / f"{getattr(module, 'DICTIONARY', place.name)}.dict"
    limits = [f"-max_len={module.MAX_BYTES}", f"-timeout={HANG}", "-rss_limit_mb=2048"]
    return [*limits, *([f"-dict={words}"] if words.exists() else [])]


def fuzz(place: Place, seconds: int, seed: int = 0) -> bool:
    """Fuzzes for some seconds; returns whether no fault was found. A fault is written to the folder of faults."""
    place.plant()
    kept = FOLDER / "corpus" / place.name
    command = [
        *(place.engine(), *arguments_of(place)),
        *(f"-max_total_time={seconds}", f"-artifact_prefix={place.faults}/", "-print_final_stats=1"),
        *([f"-seed={seed}"] if seed else []),
        *map(str, [place.inputs, *([kept] if kept.exists() else [])]),
    ]
    before, began = set(place.faults.iterdir()), time.monotonic()
    with place.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            _report(place, time.monotonic() - began)
            raise
    _report(place, time.monotonic() - began)
    for fault in sorted(set(place.faults.iterdir()) - before):
        say(f"{place.name}: a fault; repeat it: python -m tests.fuzz.run {place.name} --repeat {fault}")
    if code:
        say(place.log.read_text(errors="replace")[-6000:])
    return code == 0


def _report(place: Place, seconds: float) -> None:
    found = _EXECUTIONS.search(place.log.read_bytes())
    done = place.add(seconds, int(found[1]) if found else 0)
    say(f"{place.name}: {done['executions']:,} executions in {done['seconds']:,} s so far")


def keep(place: Place) -> None:
    """Replaces the kept inputs by the smallest of all that reach the same code; former faults stay."""
    kept, chosen = FOLDER / "corpus" / place.name, place.inputs.parent / "chosen"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir()
    folders = [str(folder) for folder in (chosen, kept, place.inputs)]
    with place.log.open("wb") as log:
        subprocess.run([place.engine(), "-merge=1", *arguments_of(place), *folders], check=True, stdout=log, stderr=log)
    for path in corpus(place.name):
        if not path.name.startswith(FAULT):
            path.unlink()
    size = sum(path.stat().st_size for path in corpus(place.name))
    for path in sorted(chosen.iterdir(), key=lambda path: path.stat().st_size):
        size += path.stat().st_size
        if size <= KEPT_BYTES:
            shutil.copy(path, kept / path.name)
    say(f"{place.name}: {len(corpus(place.name))} inputs are kept, {len(list(chosen.iterdir()))} reach all the code")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0: another one each time")
    parser.add_argument("--folder", type=Path, help="for all that is found, and for the results; default: .fuzz")
    parser.add_argument("--repeat", type=Path, metavar="INPUT", help="check one input, without fuzzing")
    parser.add_argument("--keep", action="store_true", help="keep the inputs that reach more code, without fuzzing")
    given = parser.parse_args(arguments)
    if given.repeat is not None:
        module = target(given.target)
        getattr(module, "prepare", lambda: None)()
        module.check(given.repeat.read_bytes())
        say(f"{given.target}: {given.repeat} is as it should be")
        return 0
    if importlib.util.find_spec("atheris") is None:
        say("atheris is not installed, without which nothing is fuzzed: make test installs it on Linux on x86_64")
        return 2
    folder = given.folder
    place = Place(given.target) if folder is None else Place(given.target, folder, folder / "results.json")
    if given.keep:
        keep(place)
        return 0
    rest = given.seconds
    try:
        while rest > 0:
            if not fuzz(place, min(rest, SLICE), given.seed):
                return 1
            rest -= SLICE
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
