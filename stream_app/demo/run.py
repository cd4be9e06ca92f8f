"""The demonstration: a simulated fleet, watched by the detector as it runs, with no broker and no network.

The fleet's days pass as fast as they are read. At the end there is a report, as of any replay.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

from stream_app.core.detector import Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.ids import run_graphlet_id
from stream_app.core.outputs import PRUNE, Example, Output, Verdict
from stream_app.core.state.ledger import Ledger
from stream_app.errors import OptionsError
from stream_app.replay.replay import Replay, Replayed
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.report.page import write_page
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

#: Runs in flight and flags remembered.
IN_FLIGHT_MAX, FLAGS_MAX = 500, 12
#: Events between two looks at the clock.
_EVENTS_EACH = 100


@dataclass(slots=True)
class Flag:
    """A flag and, once it is known, whether what it flagged was pushed."""

    verdict: Verdict
    pushed: bool | None = None


@dataclass(slots=True)
class Scene:
    """What there is to see at one moment."""

    #: Share of the fleet's days that has passed.
    passed: float = 0.0
    events: int = 0
    seconds: float = 0.0
    #: Event time in ms; 0 before the first event.
    now_ms: int = 0
    pipelines: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    #: Graphlet (or run, before its trainer is known) -> the last verdict, the newest last.
    in_flight: OrderedDict[str, Verdict] = field(default_factory=OrderedDict)
    #: The newest last.
    flags: deque[Flag] = field(default_factory=lambda: deque(maxlen=FLAGS_MAX))
    #: Flags so far, wall-clock seconds to the first, labelled pushes still missing before there may be one.
    flagged: int = 0
    first_flag_seconds: float | None = None
    missing_pushes: int = 0

    def observe(self, outputs: Iterable[Output]) -> list[Flag]:
        """Shows outputs of the detector, which the learner has learned; returns the new flags."""
        raised: list[Flag] = []
        dispatch(outputs, None, Handlers(lambda verdict: self._verdict(verdict, raised), self._example))
        self.flags.extend(raised)
        self.flagged += len(raised)
        return raised

    def _verdict(self, verdict: Verdict, raised: list[Flag]) -> None:
        before = self.in_flight.pop(verdict.graphlet, None)
        if verdict.trainer is not None and verdict.run is not None:
            before = self.in_flight.pop(run_graphlet_id(verdict.pipeline, verdict.run), None) or before
        self.in_flight[verdict.graphlet] = verdict
        if len(self.in_flight) > IN_FLIGHT_MAX:
            self.in_flight.popitem(last=False)
        if verdict.decision == PRUNE and (before is None or before.decision != PRUNE):
            raised.append(Flag(verdict))

    def _example(self, example: Example) -> None:
        self.in_flight.pop(example.graphlet, None)
        for flag in self.flags:
            if flag.verdict.graphlet == example.graphlet:
                flag.pushed = example.pushed


class View(Protocol):
    """Shows scenes; a context manager."""

    #: Wall-clock seconds between two scenes.
    every: float

    def __enter__(self) -> View: ...

    def __exit__(self, *_: object) -> None: ...

    def flag(self, flag: Flag) -> None:
        """A flag was raised."""

    def show(self, scene: Scene) -> None:
        """Some time has passed, or all is over."""


def demo(fleet_options: FleetOptions, settings: Settings, folder: str, view: View) -> tuple[Replayed, str, Scene]:
    """Runs the demonstration.

    Parameters
    ----------
    fleet_options, settings
        What fleet, and what detector.
    folder
        Where the report goes; made if it is not there.
    view
        Shown what happens.

    Returns
    -------
    tuple
        The figures, the report's path, and the last scene.

    Raises
    ------
    OptionsError
        The folder cannot be made or written to.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OptionsError(f"--out {folder}: {(error.strerror or 'cannot be made').lower()}") from None
    run = Replay(settings, settings.learner(), SinkWriter(Sinks()))
    scene = Scene(pipelines=fleet_options.pipelines)
    fleet = Fleet(fleet_options)
    began = shown = time.monotonic()
    with view:
        for count, told in enumerate(fleet.events(), 1):
            for flag in scene.observe(run.step(decode(orjson.dumps(told)))):
                if scene.first_flag_seconds is None:
                    scene.first_flag_seconds = time.monotonic() - began
                view.flag(flag)
            if count % _EVENTS_EACH == 0 and time.monotonic() - shown >= view.every:
                shown = time.monotonic()
                look(scene, run, fleet, shown - began)
                view.show(scene)
        look(scene, run, fleet, time.monotonic() - began)
        view.show(scene)
    found = replace(run.finish(), simulated=True)
    path = os.path.join(folder, "report.html")
    write_page(path, found)
    return Replayed(found, scene.seconds, found.events / max(scene.seconds, 1e-9)), path, scene


def look(scene: Scene, run: Replay, fleet: Fleet, seconds: float) -> None:
    """Brings the scene up to date with what is not said output by output."""
    scene.passed = fleet.passed
    scene.events = run.statistics.events
    scene.now_ms = run.statistics.last_ms or 0
    scene.seconds = seconds
    scene.ledger = Ledger()
    for name in run.detector.pipelines:
        scene.ledger.merge(run.detector.ledger(name))
    if run.detector.learner is not None:
        scene.missing_pushes = run.detector.learner.pushes_missing(run.settings.policy.budget)
