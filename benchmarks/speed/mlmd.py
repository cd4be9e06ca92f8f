"""A store of ML Metadata caught up from nothing, and the pass over it when nothing changed."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.results import publish, table
from stream_app.sources.mlmd import Cursor, Store, follow
from tests.sources.history import history
from tests.sources.mlmd_store import StoreWriter, write_history

#: Minutes between the beginnings of two histories in the store.
SPACING = 30.0


def fill(path: Path, executions: int) -> int:
    """Writes histories of about 32 executions until there are enough; returns how many there are."""
    count = copy = 0
    with StoreWriter(path) as writer:
        writer.sql("BEGIN")
        while count < executions:
            steps = history()
            for step in steps:
                step.name, step.run = f"{copy}/{step.name}", f"{copy}/{step.run}"
                step.start += SPACING * copy
                step.end = None if step.end is None else step.end + SPACING * copy
                for index in range(20):  # as many properties as an execution of TFX has
                    step.properties[f"setting {index}"] = f"value {index} of {step.name}"
                for artifact in step.writes:
                    artifact.name = (
                        artifact.name if artifact.name.startswith("copy") else f"copy {copy} {artifact.name}"
                    )
            write_history(writer, steps)
            count += len(steps)
            copy += 1
        writer.sql("COMMIT")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        executions = fill(path, options.executions)
        size = path.stat().st_size / 1e6
        rates, idle, events = [], [], 0
        for _ in range(options.repeats):
            cursor = Cursor()
            with Store(str(path)) as store:
                started = time.process_time()
                events = sum(1 for _ in follow(store, cursor))
                rates.append(executions / (time.process_time() - started))
                for _ in range(20):
                    started = time.process_time()
                    assert not list(follow(store, cursor))
                    idle.append(1000 * (time.process_time() - started))
    idle.sort()
    lines = [
        (
            f"A SQLite store of {executions:,} executions ({size:.0f} MB, 20 properties each): {events:,} events, "
            f"median of {options.repeats} runs; one process, CPU time."
        ),
        "",
        *table(
            ["", "seen", "spread"],
            [
                [
                    "caught up, executions/s",
                    f"{statistics.median(rates):,.0f}",
                    f"{min(rates):,.0f} to {max(rates):,.0f}",
                ],
                [
                    "idle pass, ms",
                    f"{statistics.median(idle):.1f}",
                    f"{idle[0]:.1f} to {idle[-1]:.1f}",
                ],
            ],
        ),
    ]
    publish("mlmd", "Following a store of ML Metadata", lines)


if __name__ == "__main__":
    main()
