"""Runs many histories and keeps how far it came: `python -m tests.kafka.state.simulate FILE SEEDS`.

It may be stopped at any time and goes on where it was. A history that breaks a promise is written with its seed. A seed
is another history in another version of the simulation, so a file has results of one version only.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tests.kafka.state.simulation import VERSION, run

#: Histories between two writes of the result.
_EVERY = 500


def main(path: Path, seeds: int) -> None:
    """Runs the histories that are missing up to a number of seeds."""
    logging.disable(logging.CRITICAL)  # damaged copies are told by the thousand
    new: dict[str, Any] = {"version": VERSION, "seeds": 0, "records": 0, "removed": 0, "refused": 0, "broken": {}}
    done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else new
    if done.get("version", 1) != VERSION:
        sys.exit(
            f"{path}: is of version {done.get('version', 1)} of the simulation, this is {VERSION}: name another file"
        )
    while done["seeds"] < seeds:
        upto = min(seeds, done["seeds"] + _EVERY)
        for seed in range(done["seeds"], upto):
            try:
                world = run(seed)
            except AssertionError as error:
                done["broken"][seed] = str(error)
                continue
            done["records"] += world.cluster.end
            done["removed"] += world.cluster.removed
            done["refused"] += bool(world.refused)
        done["seeds"] = upto
        part = path.with_suffix(".part")
        part.write_text(json.dumps(done))
        part.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
