"""What a shell costs: the same core without models, on the same events of one real broker, under four shells.

All read the events topic from its beginning and save the same rows with a changelog in Kafka; one process each, one
after the other, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from benchmarks.results import publish, table
from benchmarks.shells.ours import Sharing
from benchmarks.workers.kafka import broker, fill, fleet, make_topics
from stream_app.kafka.clients.topics import Names

REPOSITORY = Path(__file__).parents[2]
QUIX = "quixstreams==3.28.0"
PARTITIONS = 12
#: Seconds that one shell may take.
PATIENCE = 900
NAMES = {
    "bare": "plain aiokafka loop, dict state (the limit)",
    "ours": "the worker",
    "quix": "Quix Streams 3.28",
    "faust": "stock Faust",
}
Run = dict[str, float]


def quix_python() -> str:
    """The interpreter of an environment with Quix Streams, whose requirements differ from ours; made once."""
    folder = REPOSITORY / "build" / "quixstreams"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", QUIX], check=True)
        (folder / "made").touch()
    (site,) = folder.glob("lib/python*/site-packages")
    # What the core needs comes from our own environment, after everything that Quix Streams brings.
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "core.pth").write_text("\n".join(ours) + "\n")
    return str(python)


def run(shell: str, bootstrap: str, topic: str, events: int) -> Run:
    """One shell over all events, in a process and a group of its own; it says what it took."""
    group = f"bench-{shell}-{uuid.uuid4().hex[:8]}"
    make_topics(bootstrap, Sharing(group, (), shared=topic), PARTITIONS)
    python = quix_python() if shell == "quix" else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        task = {
            "bootstrap": bootstrap,
            "topic": topic,
            "group": group,
            "partitions": PARTITIONS,
            "events": events,
            "folder": folder,
        }
        done = subprocess.run(
            [python, "-m", f"benchmarks.shells.{shell}", json.dumps(task)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
    run: Run = json.loads(done.stdout.splitlines()[-1])
    print(f"{shell}: {events / run['seconds']:,.0f} events/s, {1e6 * run['cpu_seconds'] / events:.1f} us CPU an event")
    return run


def spread(values: list[float], form: str) -> list[str]:
    """Median, and the smallest and largest."""
    return [format(statistics.median(values), form), f"{format(min(values), form)} to {format(max(values), form)}"]


def report(runs: dict[str, list[Run]], events: int) -> list[str]:
    """The table, and how ours stands to the targets."""
    cpu = {shell: [1e6 * run["cpu_seconds"] / events for run in found] for shell, found in runs.items()}
    above = {shell: [mine - bare for mine, bare in zip(cpu[shell], cpu["bare"], strict=True)] for shell in runs}
    rates = {shell: [events / run["seconds"] for run in found] for shell, found in runs.items()}
    rows = [
        [
            NAMES[shell],
            *spread(rates[shell], ",.0f"),
            *spread(cpu[shell], ".1f"),
            "" if shell == "bare" else " (".join(spread(above[shell], ".1f")) + ")",
            f"{found[0]['rows'] / events:.2f}",
        ]
        for shell, found in runs.items()
    ]
    head = ["", "events/s", "spread", "us CPU an event", "spread", "above the bare loop", "rows an event"]

    def ratio(values: dict[str, list[float]], other: str) -> list[str]:
        return spread([mine / its for mine, its in zip(values["ours"], values[other], strict=True)], ".2f")

    return [
        *table(head, rows),
        "",
        *table(
            ["the worker's, round by round", "target", "seen", "spread"],
            [
                ["rate, of the limit's", "at least 0.6", *ratio(rates, "bare")],
                ["CPU above the loop, of Quix Streams'", "at most 0.5", *ratio(above, "quix")],
                ["CPU above the loop, of stock Faust's", "at most 0.1", *ratio(above, "faust")],
            ],
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="5,000 events once, nothing written")
    options = parser.parse_args()
    if options.quick:
        options.events, options.repeats = 5_000, 1
    messages = fleet(options.events, 50, 1 + options.events / 4_000)
    runs: dict[str, list[Run]] = {shell: [] for shell in NAMES}
    with broker() as bootstrap:
        events = Names(f"bench-{uuid.uuid4().hex[:8]}", ())
        make_topics(bootstrap, events, PARTITIONS)
        asyncio.run(fill(bootstrap, events.events, PARTITIONS, messages))
        for _ in range(options.repeats):
            for shell, found in runs.items():
                found.append(run(shell, bootstrap, events.events, options.events))
    lines = [
        (
            f"{options.events:,} events of 50 pipelines, {sum(map(len, messages)) / len(messages):.0f} bytes each, in "
            f"{PARTITIONS} partitions; median of {options.repeats} rounds, each shell once a round, the broker on the "
            "same machine. The clocks run from the first event in the core to the last row in Kafka; CPU is that of "
            "the shell's process, all threads. The one-at-a-time shells write more rows, as rows of one batch are not "
            "merged there: that is part of what they cost."
        ),
        "",
        *report(runs, options.events),
    ]
    if options.quick:
        print("\n".join(lines))
    else:
        publish("shell", "The shell alone", lines)


if __name__ == "__main__":
    main()
