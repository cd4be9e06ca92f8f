"""What the detector makes of a store of ML Metadata."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.sources.mlmd import Cursor, Rules, Store, follow


@dataclass(frozen=True)
class Result:
    """One graphlet; its compute in minutes of one node, by group."""

    outcome: str
    cause: str | None
    minutes: dict[str, float]
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


def events_in(path: Path, rules: Rules | None = None) -> list[Event]:
    """All events of a store, read at once."""
    with Store(str(path)) as store:
        return list(follow(store, Cursor(), rules))


def detector_of(events: Iterable[Event], rules: Rules | None = None) -> Detector:
    """A detector that was given some events, and maps types as the rules do."""
    detector = Detector(Settings(operators=(rules or Rules()).operators))
    for event in events:
        detector.step(event)
    return detector


def results(detector: Detector) -> dict[str, Result]:
    """The final graphlets by `pipeline/trainer`."""
    return {
        record["graphlet"]: Result(
            record["outcome"],
            str(record["cause"].value) if record["cause"] else None,
            {group: ms / 60_000 for group, ms in record["cost"].items()},
            tuple(record["up"]),
            tuple(record["down"]),
        )
        for record in detector.graphlets()
    }


def results_in(path: Path, rules: Rules | None = None) -> dict[str, Result]:
    """The final graphlets of a store that is read at once."""
    return results(detector_of(events_in(path, rules), rules))


def outcomes_in(path: Path, rules: Rules | None = None) -> dict[str, tuple[str, str | None]]:
    """Outcome and cause of the final graphlets of a store that is read at once."""
    return {graphlet: (result.outcome, result.cause) for graphlet, result in results_in(path, rules).items()}
