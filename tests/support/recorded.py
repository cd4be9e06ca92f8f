"""A recorded fleet and its replay, made once for all tests that only look at them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import orjson

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.rates import Rates
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.replay.replay import Replayed, replay
from stream_app.replay.sinks import Sinks
from stream_app.simulator import Fleet, FleetOptions

#: Flags need few pushes at this budget.
SETTINGS = Settings(policy=Policy(budget=0.2))
SINKS = ("verdicts", "graphlets", "outcomes", "examples", "dead_letters")


@functools.cache
def fleet_lines() -> tuple[bytes, ...]:
    """The events of six pipelines over six days, about 9,000, as lines without their ends."""
    return tuple(orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=6, days=6, seed=4)).events())


def write_lines(path: Path, lines: Sequence[bytes]) -> str:
    """Writes a file of JSON lines; returns its path."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def replayed_to(folder: Path, files: Sequence[str], settings: Settings = SETTINGS, **more: object) -> Replayed:
    """Replays files with every sink written to a folder."""
    folder.mkdir()
    sinks = Sinks(**{name: str(folder / name) for name in SINKS})
    learner = Learner(settings.policy.budgets)
    return replay(files, settings, learner, sinks, **more)  # type: ignore[arg-type]


def outputs(folder: Path) -> dict[str, bytes]:
    """What a replay wrote."""
    return {name: (folder / name).read_bytes() for name in SINKS}


def records(folder: Path, sink: str) -> list[dict[str, object]]:
    """The lines of one sink."""
    return [orjson.loads(line) for line in (folder / sink).read_bytes().splitlines()]


@functools.cache
def whole_replay(folder: Path) -> Replayed:
    """The whole fleet replayed, with a rate card; `folder` receives the sinks."""
    file = write_lines(folder.with_suffix(".jsonl"), fleet_lines())
    return replayed_to(folder, [file], attribution=Attribution(Rates(2.5, "EUR")))
