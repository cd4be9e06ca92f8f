"""Simulated fleets for the core: their events, and a detector whose learner folds what it says at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson

from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed, Example, Output, Verdict
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from stream_app.wire import example_to_dict, verdict_to_dict

#: A large budget, so that few pushes are enough for flags.
USUAL = Settings(policy=Policy(budget=0.2))


@cache
def fleet_events(pipelines: int, days: float, seed: int, runs_per_day: float = 5.0) -> tuple[Event, ...]:
    """The events of a fleet in the order of arrival."""
    options = FleetOptions(pipelines=pipelines, days=days, seed=seed, runs_per_day=runs_per_day)
    return tuple(decode(orjson.dumps(event)) for event in Fleet(options).events())


def folding(detector: Detector, learner: Learner, events: Iterable[Event]) -> list[Output]:
    """What the detector says of the events, each example learned before the next event."""
    outputs: list[Output] = []
    for event in events:
        for output in detector.step(event):
            outputs.append(output)
            if isinstance(output, Example):
                learner.learn(output)
    return outputs


def usual_events() -> tuple[Event, ...]:
    """The events of a small fleet that gets verdicts of every kind under `USUAL`, some 3,000."""
    return fleet_events(4, 8, 5)


@cache
def usual_fleet() -> tuple[Detector, list[list[Output]]]:
    """That fleet, replayed once for all tests that only look at it: what was said at each event, and the detector."""
    learner = Learner()
    detector = Detector(USUAL, learner)
    return detector, [folding(detector, learner, [event]) for event in usual_events()]


def usual_outputs() -> list[Output]:
    """All that is said of that fleet."""
    return [output for outputs in usual_fleet()[1] for output in outputs]


def wire(output: Output) -> bytes:
    """An output as bytes."""
    if isinstance(output, Verdict):
        return orjson.dumps(verdict_to_dict(output))
    if isinstance(output, Example):
        return orjson.dumps(example_to_dict(output))
    assert isinstance(output, Closed)
    return orjson.dumps(output.graphlet)


def ledgers(detector: Detector) -> dict[str, Any]:
    """Every pipeline's ledger, as it stands."""
    return {name: detector.ledger(name) for name in sorted(detector.pipelines)}
