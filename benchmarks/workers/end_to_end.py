"""The worker end to end, with models, as `stream-app worker` on a real broker on the same machine."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import publish
from benchmarks.workers import catchup, memory, recovery, scaling
from benchmarks.workers.kafka import broker

Part = Callable[[argparse.Namespace, str, Path], list[str]]
PARTS: dict[str, tuple[str, Part]] = {
    "catchup": ("The worker: catching up, and latency", catchup.run),
    "scaling": ("The worker: one, two and three", scaling.run),
    "recovery": ("The worker: recovery", recovery.run),
    "memory": ("The worker: memory under a steady load", memory.run),
}
#: Small enough to be done in a minute.
QUICK = {
    "catchup": {"events": 15_000, "pipelines": 30, "seconds": 15, "most": 300, "repeats": 1},
    "scaling": {"events": 8_000, "pipelines": 60, "workers": [1, 2], "repeats": 1},
    "recovery": {"graphlets": 1_000, "repeats": 2},
    "memory": {"rate": 300, "minutes": 0.3, "warm_days": 3},
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    made = {name: parts.add_parser(name, description=part.__module__) for name, (_, part) in PARTS.items()}
    made["catchup"].add_argument("--events", type=int, default=500_000)
    made["catchup"].add_argument("--pipelines", type=int, default=200)
    made["catchup"].add_argument("--seconds", type=int, default=60, help="of load, for the latency")
    made["catchup"].add_argument("--most", type=int, default=2_000, help="events/s of that load, at most")
    made["scaling"].add_argument("--events", type=int, default=100_000)
    made["scaling"].add_argument("--pipelines", type=int, default=200)
    made["scaling"].add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    made["recovery"].add_argument("--graphlets", type=int, default=100_000)
    made["memory"].add_argument("--rate", type=int, default=600, help="events/s")
    made["memory"].add_argument("--minutes", type=float, default=10)
    made["memory"].set_defaults(warm_days=50)  # more than a record is kept after it was last touched
    for name in ("catchup", "scaling", "recovery"):
        made[name].add_argument("--repeats", type=int, default=5)
    for part in made.values():
        part.add_argument("--quick", action="store_true", help="small, and nothing written")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK[options.part])
    return options


def main() -> None:
    options = parse()
    title, part = PARTS[options.part]
    with broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        lines = part(options, bootstrap, Path(folder))
    if options.quick:
        print("\n".join(lines))
    else:
        publish(f"worker-{options.part}", title, lines)


if __name__ == "__main__":
    main()
