"""The demonstration: from nothing to a report, on a terminal and off it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.core.detector import Settings
from stream_app.core.outputs import CONTINUE, PRUNE, Example, Reason, Verdict
from stream_app.demo.run import FLAGS_MAX, Flag, Scene, demo
from stream_app.simulator import FleetOptions

SMALL = ["--pipelines", "5", "--days", "3", "--seed", "4"]


def verdict(graphlet: str, decision: str, trainer: str | None = "t", run: str = "r") -> Verdict:
    """A verdict on a graphlet of pipeline p."""
    return Verdict(
        graphlet=graphlet, pipeline="p", run=run, trainer=trainer, stage="train", validator=None, p_push=0.1,
        decision=decision, threshold=0.2, score=0.1, cost=1.0, cost_left=2.0, reasons=[Reason("x", 1.0, -1.0)],
        held_back=None, withdrawn=None, pushes_missing=0, model="m", mode="observe", budget=0.05, holdout=False,
        propensity=1.0, revision=1, time_ms=1_700_000_000_000,
    )  # fmt: skip


def outcome(graphlet: str, pushed: bool) -> Example:
    """The outcome of a graphlet."""
    return Example(
        graphlet=graphlet, pipeline="p", run="r", trainer="t", owner="", pushed=pushed, cause="", time_ms=0,
        announced_ms=0, label_revision=1, stages=[],
    )  # fmt: skip


@pytest.mark.slow
def test_off_a_terminal_the_demo_prints_plain_lines_and_a_report(tmp_path: Path) -> None:
    """Flags, the summary, and where the report is; no broker, no control characters."""
    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", "demo", *SMALL, "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ran.stderr == ""
    assert re.search(r"^2026-01-\d\d \d\d:\d\d  100%  [\d,]+ events, .* node-hours wasted", ran.stdout, re.MULTILINE)
    assert "of 5 pipelines over" in ran.stdout
    assert ran.stdout.splitlines()[-1] == f"report: {os.path.join('out', 'report.html')}"
    assert "\x1b" not in ran.stdout
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_on_a_terminal_the_demo_is_redrawn_in_place(tmp_path: Path) -> None:
    """The runs in flight, the last flags and the waste so far."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "demo", *SMALL, "--out", "out"],
        cwd=tmp_path, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while part := read(ours):
        shown += part
    os.close(ours)

    assert process.wait() == 0
    for words in (b"5 simulated pipelines", b"Runs in flight", b"Last flags", b"wasted", b"report: "):
        assert words in shown
    assert b"\x1b[" in shown


def read(descriptor: int) -> bytes:
    """What is there to read; nothing when the other side is closed (Linux says EIO then)."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_a_flag_is_counted_when_it_is_raised_not_when_it_stays() -> None:
    """Also when the run's flag is taken over by its trainer."""
    scene = Scene()

    assert len(scene.observe([verdict("p/run:r", PRUNE, trainer=None)])) == 1
    assert scene.observe([verdict("p/t", PRUNE)]) == []
    assert scene.observe([verdict("p/t", CONTINUE)]) == []
    assert len(scene.observe([verdict("p/t", PRUNE)])) == 1
    assert scene.flagged == 2


def test_a_run_is_in_flight_until_its_outcome() -> None:
    """A trainer takes the place of its run; flags show what became of them."""
    scene = Scene()
    scene.observe(
        [verdict("p/run:r", CONTINUE, trainer=None), verdict("p/t", PRUNE), verdict("p/u", CONTINUE, run="s")]
    )

    assert list(scene.in_flight) == ["p/t", "p/u"]
    scene.observe([outcome("p/t", pushed=True)])
    assert list(scene.in_flight) == ["p/u"]
    assert [(flag.verdict.graphlet, flag.pushed) for flag in scene.flags] == [("p/t", True)]


def test_a_scene_does_not_grow() -> None:
    """However many flags there are."""
    scene = Scene()
    for place in range(700):
        scene.observe([verdict(f"p/{place}", PRUNE, run=str(place))])

    assert (len(scene.flags), len(scene.in_flight), scene.flagged) == (FLAGS_MAX, 500, 700)


def test_the_demo_is_a_replay_of_its_fleet(tmp_path: Path) -> None:
    """Views are told of every flag, and the last scene has every event; the folder is made."""
    told: list[Flag] = []
    shown: list[int] = []

    class Recorder:
        every = 0.0

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def flag(self, flag: Flag) -> None:
            told.append(flag)

        def show(self, scene: Scene) -> None:
            shown.append(scene.events)

    options = FleetOptions(pipelines=5, days=3, seed=4)
    found, path, scene = demo(options, Settings(), str(tmp_path / "a" / "b"), Recorder())

    assert Path(path).exists()
    assert shown == sorted(shown)
    assert shown[-1] == scene.events == found.figures.events
    assert len(told) == scene.flagged
    assert scene.passed == 1.0
