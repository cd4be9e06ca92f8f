"""A worker as a process of its own, for tests that kill it: `python -m tests.broker.worker_process SETTINGS`.

Its core is the real one; `learning` in the settings says whether the examples log is folded. When it was told
to stop, it leaves what its model says in a file beside the settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from functools import partial
from pathlib import Path

from stream_app.cli.query_assembly import answering_of
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.logs import quieten
from stream_app.kafka.clients.producer import make_producer
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.process import worker as module
from stream_app.kafka.process.worker import Worker, WorkerSettings
from stream_app.options import QueriesOptions


async def main(path: Path) -> int:
    given = json.loads(path.read_text())
    names = Names(given["group"], tuple(given["sources"]))
    settings = WorkerSettings(
        Connection(given["bootstrap"]),
        names,
        Path(given["folder"]),
        partitions=given["partitions"],
        replication=given["replication"],
        session_seconds=given["session_seconds"],
        tick_seconds=given["tick_seconds"],
        fleet_seconds=given["fleet_seconds"],
        learning=given["learning"],
        detector=Settings(**{name: given[name] for name in ("horizon_ms", "retention_ms", "lateness_ms")}),
        accept_loss=given["accept_loss"],
        stale_seconds=given["stale_seconds"],
        flag_age_ms=1 << 53,  # fleets of tests have lived long ago
        checkpoint_key=given["checkpoint_key"].encode() or None,
        port=0,
    )
    module.make_producer = partial(make_producer, request_timeout_ms=given["send_ms"])
    worker = Worker(settings, Detector.load)
    worker.answer_questions = answering_of(QueriesOptions())
    code = await worker.run()
    if worker.monitor.learning is not None:
        path.with_suffix(".model").write_text(json.dumps(opinions(worker.monitor.learning.learner)))
    return code


def opinions(learner: Learner) -> list[object]:
    """What a model says about made-up features, to the last bit, and how it got there."""
    said: list[object] = [learner.version]
    for stage in STAGES:
        for number in range(20):
            features = {f"feature{n}": (number * n) % 7 / 7 for n in range(5)}
            prediction = learner.predict(stage, {**features, "ingest_count": float(number)}, 0.1)
            said.append([stage, prediction.p.hex(), learner.threshold(stage, 0.05)])
    return said


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    quieten()
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
