"""What a worker says about itself while something is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.broker.cluster import Process


@dataclass(frozen=True)
class Seen:
    """Probes and metrics at one moment."""

    live: int
    ready: int
    waiting_for: str
    #: Whether a broker has answered of late.
    answers: bool
    #: The lag of each partition of which it is known.
    lags: list[float]


def figures(worker: Process) -> Seen:
    """Asks a worker."""
    live, ready = worker.ask("/livez")[0], worker.ask("/readyz?verbose")
    detail = json.loads(ready[1])
    lags = re.findall(r"^stream_app_consumer_lag_records\{.*\} (\S+)$", worker.ask("/metrics")[1], re.MULTILINE)
    return Seen(live, ready[0], detail["waiting_for"], detail["kafka_answers"], [float(lag) for lag in lags])


def is_silent(seen: Seen, log: Path) -> bool:
    """Whether nobody would have noticed: ready, without lag, and without a line above INFO."""
    quiet = not re.search(r" (WARNING|ERROR|CRITICAL) ", log.read_text())
    return seen.ready == 200 and not any(seen.lags) and quiet
