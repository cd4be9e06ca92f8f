"""Recorded OpenLineage events (`tests/recordings`): what they say of runs, and what a replay makes of them.

What is expected is computed from the recorded times with nothing of the package.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stream_app.analysis.figures import Figures
from stream_app.core.detector import Settings
from stream_app.replay.replay import replay
from stream_app.replay.sinks import Sinks

FOLDER = Path(__file__).parent.parent / "recordings"
_ENDS = ("COMPLETE", "FAIL", "ABORT")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class JobRun:
    """One run of a job, as its events tell: times in ms since 1970 UTC; the end is None without one."""

    id: str
    job: str
    start_ms: int
    end_ms: int | None
    end: str
    outputs: frozenset[str]


@dataclass(frozen=True)
class Recording:
    """The events of a file, in the order in which they were received."""

    name: str
    lines: tuple[bytes, ...]

    def runs(self, job: str) -> list[JobRun]:
        """The runs of a job by their starts."""
        events: dict[str, list[dict[str, Any]]] = {}
        for event in map(json.loads, self.lines):
            if event["job"]["name"] == job:
                events.setdefault(event["run"]["runId"], []).append(event)
        return sorted((_job_run(job, each) for each in events.values()), key=lambda run: run.start_ms)

    def run(self, job: str) -> JobRun:
        """The only run of a job."""
        (run,) = self.runs(job)
        return run


def recording(name: str) -> Recording:
    """Reads a recording, such as `airflow/training`."""
    lines = gzip.decompress((FOLDER / f"{name}.jsonl.gz").read_bytes()).splitlines()
    return Recording(name, tuple(lines))


def node_ms(*runs: JobRun) -> int:
    """What runs on one node took, each by itself."""
    return sum((run.end_ms or run.start_ms) - run.start_ms for run in runs)


@dataclass(frozen=True)
class Found:
    """What a replay made of events."""

    #: By trainer.
    graphlets: dict[str, dict[str, Any]]
    figures: Figures

    def compute_ms(self, name: str) -> int:
        """Compute of a class, or `total`, in node-ms."""
        return round(1000 * getattr(self.figures.compute, name))


def replayed(lines: Iterable[bytes], folder: Path) -> Found:
    """Replays events from a file in a folder."""
    path, graphlets = folder / "events.jsonl", folder / "graphlets.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    result = replay([str(path)], Settings(), None, Sinks(graphlets=str(graphlets)))
    assert result.figures.dead_letters == []
    records = [json.loads(line) for line in graphlets.read_bytes().splitlines()]
    found = {record["trainer"]: record for record in records}
    assert len(found) == len(records)
    return Found(found, result.figures)


def cost_ms(graphlet: dict[str, Any], groups: Sequence[str] | None = None) -> int:
    """What a graphlet cost, in node-ms; only of some operator groups if they are given."""
    return round(1000 * sum(cost for group, cost in graphlet["cost"].items() if groups is None or group in groups))


def _job_run(job: str, events: list[dict[str, Any]]) -> JobRun:
    times = [_ms(event["eventTime"]) for event in events]
    ends = [event for event in events if event["eventType"] in _ENDS]
    end = max(ends, key=lambda event: _ms(event["eventTime"]), default=None)
    outputs = frozenset(_dataset(each) for event in events for each in event.get("outputs") or ())
    run_id = events[0]["run"]["runId"]
    return JobRun(
        run_id, job, min(times), _ms(end["eventTime"]) if end else None, end["eventType"] if end else "", outputs
    )


def _dataset(dataset: dict[str, Any]) -> str:
    version = dataset.get("facets", {}).get("version", {}).get("datasetVersion")
    return dataset["name"] if version is None else f"{dataset['name']}@{version}"


def _ms(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
