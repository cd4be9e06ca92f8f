"""Quix Streams with its own state, one event at a time, the core in a stateful update.

Runs in an environment of its own: only this module imports it. It says that it is done when its last checkpoint is in
Kafka and it has left its group; the latter takes a moment that the others are spared.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application

from benchmarks.shells.meter import Meter, Task, apply


def run(task: Task, meter: Meter) -> None:
    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        state_dir=task.state,
        producer_extra_config={"compression.type": "zstd"},
        loglevel="WARNING",
    )
    detector = meter.core()

    def step(value: bytes, key: Any, timestamp: int, headers: Any, state: Any) -> None:  # noqa: ARG001
        apply(detector, value, timestamp)
        for name, row in detector.take_rows():
            meter.rows += 1
            if row is None:
                state.delete(name.decode())
            else:
                state.set_bytes(name.decode(), row)

    events = app.topic(task.topic, value_deserializer="bytes", key_deserializer="bytes")
    app.dataframe(events).update(step, stateful=True, metadata=True)
    app.run(count=task.events, collect=False)
    meter.end()


if __name__ == "__main__":
    run(Task.given(), Meter())
