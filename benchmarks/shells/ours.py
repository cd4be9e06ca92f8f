"""The worker itself, with a core that has no models."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.shells.meter import Meter, Task
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Output
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.logs import quieten
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.process.worker import Worker, WorkerSettings


@dataclass(frozen=True)
class Sharing(Names):
    """Topics of a group that reads the events of another."""

    shared: str = ""

    @property
    def events(self) -> str:
        return self.shared


async def run(task: Task, meter: Meter) -> None:
    settings = WorkerSettings(
        Connection(task.bootstrap),
        Sharing(task.group, (), shared=task.topic),
        task.state,
        partitions=task.partitions,
        replication=1,
        tick_seconds=3600.0,
        learning=False,
        port=0,
    )

    def load(given: Settings, rows: Mapping[bytes, bytes], learner: Learner) -> Detector:  # noqa: ARG001
        return meter.core(Detector.load(given, rows))

    worker = Worker(settings, load)
    counts, observe = worker.monitor.counts, worker.monitor.observe

    def saved(outputs: list[Output], log_ms: int) -> None:
        observe(outputs, log_ms)
        if counts.events == task.events:
            meter.rows = counts.rows
            meter.end()
            os._exit(0)

    worker.monitor.observe = saved  # type: ignore[method-assign]
    await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    quieten()
    asyncio.run(run(Task.given(), Meter()))
