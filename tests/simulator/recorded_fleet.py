"""What a fleet told, arranged so that tests can look things up in it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from stream_app.simulator import Fleet, FleetOptions
from stream_app.times import text_to_time

Json = dict[str, Any]
ENDS = ("COMPLETE", "FAILED", "CANCELED", "CACHED")


class RecordedFleet:
    """The events of a fleet in order of arrival, its truth, and its executions."""

    def __init__(self, options: FleetOptions) -> None:
        fleet = Fleet(options)
        self.options = options
        self.events = list(fleet.events())
        self.truth = list(fleet.truth())
        #: (pipeline, execution id) -> its events in order of arrival.
        self.executions: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for event in self.events:
            self.executions[event["pipeline"], event["execution"]["id"]].append(event)

    def of_type(self, operator: str) -> list[list[Json]]:
        """The executions of an operator."""
        return [events for events in self.executions.values() if events[0]["execution"]["type"] == operator]

    def with_state(self, state: str) -> list[Json]:
        """The events with that execution state."""
        return [event for event in self.events if event["execution"]["state"] == state]


def state(events: list[Json]) -> str:
    """How an execution ended, or the last that was told of it."""
    states = [event["execution"]["state"] for event in events]
    return next((end for end in states if end in ENDS), states[-1])


def inputs(events: list[Json], kind: str) -> list[str]:
    """Ids of the artifacts of a type that an execution read."""
    return sorted({a["id"] for e in events for a in e.get("inputs", ()) if a["type"] == kind})


def outputs(events: list[Json], kind: str) -> list[str]:
    """Ids of the artifacts of a type that an execution wrote."""
    return sorted({a["id"] for e in events for a in e.get("outputs", ()) if a["type"] == kind})


def output_property(events: list[Json], kind: str, name: str) -> Any:
    """A property of an execution's output of that type, or None."""
    found = (a for e in events for a in e.get("outputs", ()) if a["type"] == kind)
    return next((a["properties"][name] for a in found if name in a.get("properties", {})), None)


def time_ms(event: Json) -> int:
    """An event's own time."""
    return text_to_time(event["time"])


def cost(events: list[Json]) -> float:
    """The largest cost told of an execution, in node-seconds."""
    return max((e["cost"]["node_seconds"] for e in events if "cost" in e), default=0.0)
