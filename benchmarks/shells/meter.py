"""What every shell is measured with: the same task, the same core and the same clocks."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.outputs import Output
from stream_app.core.units import DAY_MS
from stream_app.runtime import garbage
from stream_app.sources.native import decode

#: How far an event's time may be ahead of the record that carries it.
FUTURE_MS = DAY_MS


@dataclass(frozen=True)
class Task:
    """What a shell is to do, given as JSON in the first argument: read `events` events and save what they change."""

    bootstrap: str
    #: The topic of events, and the group that reads it, which is new.
    topic: str
    group: str
    partitions: int
    events: int
    #: A folder of the shell's own.
    folder: str

    @classmethod
    def given(cls) -> Task:
        return cls(**json.loads(sys.argv[1]))

    @property
    def state(self) -> Path:
        return Path(self.folder)


class Meter:
    """Clocks from the first event in the core to the last row in Kafka: wall, and CPU of all threads."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        #: Rows given to the state.
        self.rows = 0
        garbage.tune()

    def core(self, made: Detector | None = None) -> Detector:
        """A detector without models that collects rows; its first event starts the clocks."""
        detector: Any = made or Detector(Settings(), keep_rows=True)
        step = detector.step

        def first(event: Event, log_ms: int | None = None) -> list[Output]:
            del detector.step
            if self._began is None:
                self._began = time.perf_counter(), time.process_time()
            outputs: list[Output] = step(event, log_ms)
            return outputs

        detector.step = first
        return detector  # type: ignore[no-any-return]

    def end(self) -> None:
        """Stop the clocks and print what they say as a JSON line."""
        assert self._began is not None
        wall, cpu = self._began
        result = {
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "rows": self.rows,
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(result), flush=True)


def apply(detector: Detector, value: bytes, log_ms: int) -> None:
    """Decode one message and give it to the core."""
    detector.step(decode(value, log_ms + FUTURE_MS), log_ms)
