"""Fleets in files."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from stream_app.simulator import Fleet, FleetOptions, summarise, write_fleet

OPTIONS = FleetOptions(pipelines=25, days=3.0, seed=9)


def lines(items: list[dict[str, object]]) -> bytes:
    return b"".join(orjson.dumps(item) + b"\n" for item in items)


def test_a_file_holds_the_events_a_line_each_and_the_truth_beside_it(tmp_path: Path) -> None:
    """The files are the fleet's events and truth, and the summary counts them."""
    fleet = Fleet(OPTIONS)
    events, truth = list(fleet.events()), list(fleet.truth())

    summary = write_fleet(OPTIONS, tmp_path / "events.jsonl", tmp_path / "truth.jsonl")

    assert (tmp_path / "events.jsonl").read_bytes() == lines(events)
    assert (tmp_path / "truth.jsonl").read_bytes() == lines(truth)
    assert summary.events == len(events)
    assert summary.trained == summarise(truth).trained == len(truth)
    assert summary.best_balanced_accuracy == summarise(truth).best_balanced_accuracy


def test_a_name_in_gz_is_gzipped_and_the_same_each_time(tmp_path: Path) -> None:
    """Neither the file's name nor the time of day is in its bytes."""
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    write_fleet(OPTIONS, first)
    write_fleet(OPTIONS, second)

    assert gzip.decompress(first.read_bytes()) == lines(list(Fleet(OPTIONS).events()))
    assert first.read_bytes() == second.read_bytes()


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Events go where a pipe can take them."""
    write_fleet(OPTIONS, "-")

    assert capfdbinary.readouterr().out == lines(list(Fleet(OPTIONS).events()))


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    """It is told the events so far and the share of the days passed, which ends at 1."""
    recorded: list[tuple[int, float]] = []
    summary = write_fleet(OPTIONS, tmp_path / "events.jsonl", progress=lambda *so_far: recorded.append(so_far))

    assert recorded == sorted(recorded)
    assert recorded[-1] == (summary.events, 1.0)
    assert len(recorded) > 1
