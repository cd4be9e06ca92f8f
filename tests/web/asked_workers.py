"""Workers that are asked, in this process: detectors of partitions behind real endpoints, and their directory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.operators import Operators
from stream_app.core.outputs import Example, Verdict
from stream_app.core.state.pipeline import Pipeline
from stream_app.kafka.clients.placement import partition_of_key
from stream_app.metrics.registry import make_registry
from stream_app.provenance.nearest import PastStage, PastStages
from stream_app.web.worker_routes import worker_app
from stream_app.wire import verdict_to_dict
from tests.web.served import Service, relayed_service, served

PARTITIONS = 5


class Place(NamedTuple):
    """Where a worker is asked."""

    address: str
    instance: str


@dataclass
class State:
    """The partitions of one worker."""

    detectors: dict[int, Detector]
    instance: str = "first"
    partitions: int = PARTITIONS
    operators: Operators = field(default_factory=Operators)
    restoring: bool = False

    def pipelines(self, number: int) -> Mapping[str, Pipeline] | None:
        return self.detectors[number].pipelines if number in self.detectors else None


@dataclass
class Directory:
    """A directory that the test writes."""

    partitions: int = PARTITIONS
    places: dict[int, Place] = field(default_factory=dict)
    stages: PastStages = field(default_factory=PastStages)

    def place(self, number: int) -> Place | None:
        return self.places.get(number)

    async def changed(self) -> None:
        """Never: whoever asks looks again by itself."""
        await asyncio.Event().wait()

    def partition_of(self, pipeline: str) -> int:
        return partition_of_key(pipeline.encode(), self.partitions)

    def past(self, groups: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[PastStage]]:
        return {group: self.stages.of(*group) for group in groups}

    async def run(self) -> None:
        """There is nothing to read."""
        await asyncio.Event().wait()


@dataclass
class Fleet:
    """What workers with one learner have made of a log."""

    settings: Settings = field(default_factory=Settings)
    detectors: dict[int, Detector] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    directory: Directory = field(default_factory=Directory)

    def __post_init__(self) -> None:
        self._learner = self.settings.learner()
        self.detectors = {number: Detector(self.settings, self._learner) for number in range(PARTITIONS)}

    def read(self, events: Sequence[Event]) -> Fleet:
        """Reads events in their order, each in the partition of its pipeline."""
        for event in events:
            for output in self.detectors[self.directory.partition_of(event.pipeline)].step(event):
                if isinstance(output, Example):
                    self._learner.learn(output)
                    self.directory.stages.learn(output)
                elif isinstance(output, Verdict):
                    self.verdicts.append(output)
        return self

    def state(self, worker: int, workers: int) -> State:
        """What one of several workers has."""
        own = {number: each for number, each in self.detectors.items() if number % workers == worker}
        return State(own, f"life-{worker}", operators=self.settings.operators)


@contextmanager
def worker(state: State, directory: Directory | None = None, token: str | None = None) -> Iterator[Service]:
    """The endpoint of a worker, which is in the directory."""
    with served(worker_app(state, make_registry(), token)) as service:
        for number in state.detectors if directory is not None else ():
            directory.places[number] = place_of(service, state)
        yield service


def place_of(service: Service, state: State) -> Place:
    """Where a worker is asked."""
    return Place(f"{service.host}:{service.port}", state.instance)


@contextmanager
def beside_workers(fleet: Fleet, workers: int, token: str | None = None, seconds: float = 60.0) -> Iterator[Service]:
    """`serve` beside so many workers; it asks again for some seconds, and they apply what it writes."""

    async def write(events: Sequence[Event]) -> None:
        fleet.read(events)

    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(worker(fleet.state(number, workers), fleet.directory, token))
        service = stack.enter_context(relayed_service(fleet.directory, token, seconds, write))
        for order, verdict in enumerate(fleet.verdicts):
            service.verdicts.add(verdict_to_dict(verdict), order)
        yield service
