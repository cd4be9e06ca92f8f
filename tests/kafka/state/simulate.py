"""Runs many histories and keeps how far it came: `python -m tests.kafka.state.simulate FILE SEEDS`.

It may be stopped at any time and goes on where it was. A history that breaks a promise is written with its seed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from stream_app.kafka.state import table
from tests.kafka.state.simulation import Reader, check, history

#: Histories between two writes of the result.
_EVERY = 500


def main(path: Path, seeds: int) -> None:
    """Runs the histories that are missing up to a number of seeds."""
    table.LogReader = Reader  # type: ignore[assignment, misc]
    done = json.loads(path.read_text()) if path.exists() else {"seeds": 0, "records": 0, "broken": {}}
    while done["seeds"] < seeds:
        for seed in range(done["seeds"], min(seeds, done["seeds"] + _EVERY)):
            try:
                world = asyncio.run(history(seed))
                check(world)
                done["records"] += len(world.changelog)
            except AssertionError as error:
                done["broken"][seed] = str(error)
        done["seeds"] = min(seeds, done["seeds"] + _EVERY)
        path.write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
