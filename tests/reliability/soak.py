"""T3: mixed load with a kill each five minutes, two workers and a serve beside them; the amount is minutes.

The unit is a segment of five minutes. Kafka's data and the workers' folders outlive an interruption; the segment that
was interrupted begins again, so that some of its events come twice. The first worker is killed; the other and `serve`
live on, so that their memory can be watched for as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from kafka.admin import KafkaAdminClient

from benchmarks.workers.catchup import VERDICT_PARTITIONS
from benchmarks.workers.kafka import fill
from benchmarks.workers.service import PARTITIONS, Service, wait
from benchmarks.workers.service import Process as Command
from stream_app import wire
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Verdict
from stream_app.web.worker_keepers import VERDICTS_MAX
from tests.broker.broker import JavaBroker, start_java
from tests.broker.cluster import Cluster, replay
from tests.reliability.deployment import fleet
from tests.reliability.invariants import check_alerts, check_dead_letters, check_offsets
from tests.reliability.soak_figures import Samples, not_flat, slopes
from tests.reliability.soak_load import RATE, Load, bad_records
from tests.reliability.steady import OPTIONS, WARM, check_steady, steady_fleet

NAME = "an hour of mixed load with kills, two workers and serve"
AMOUNT = 60
SEGMENT_MINUTES = 5


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    if so_far.get("checked"):
        return
    assert so_far.get("amount", amount) == amount, f"this soak was begun for {so_far['amount']} minutes"
    messages = steady_fleet(60 * RATE * amount)
    with kafka(so_far.get("broker")) as broker:
        service = Service(broker.bootstrap, work, OPTIONS, sources=True, group=so_far.get("group"))
        if not so_far:
            asyncio.run(fill(broker.bootstrap, service.names.events, PARTITIONS, messages[:WARM]))
            so_far = {
                "amount": amount,
                "broker": {"bootstrap": broker.bootstrap, "folder": str(broker.folder)},
                "group": service.names.group,
                "minutes": 0,
                "samples": [],
            }
            yield so_far
        with beside(service, fresh=not so_far["samples"]) as serve:
            while (minutes := so_far["minutes"]) < amount:
                more = min(SEGMENT_MINUTES, amount - minutes)
                begin = WARM + 60 * RATE * minutes
                samples = segment(service, serve, messages[begin : begin + 60 * RATE * more], more, minutes)
                so_far = {**so_far, "minutes": minutes + more, "samples": [*so_far["samples"], *samples]}
                so_far["slopes"] = slopes(so_far["samples"])
                yield so_far
            compared = asyncio.run(check(service, messages, bad_records(60 * amount)))
        broken = not_flat(so_far["samples"])
    broker.close()
    yield {**so_far, "checked": True, "graphlets_compared": compared, "broken": broken}


def former_verdicts() -> list[bytes]:
    """As many verdicts as `serve` keeps, so that it too forgets as much as it learns."""
    verdict = next(output for output in replay(fleet(1_000, seed=3), Learner())[1] if isinstance(output, Verdict))
    record = wire.verdict_to_dict(verdict)
    names = [f"former{number}" for number in range(VERDICTS_MAX)]
    return [orjson.dumps({**record, "graphlet": f"{name}/t", "pipeline": name, "run": name}) for name in names]


@contextmanager
def kafka(stopped: dict[str, str] | None) -> Iterator[JavaBroker]:
    """A broker whose data remain when it is stopped; the one of a soak that was interrupted goes on."""
    if stopped is None:
        broker = start_java()
    else:
        broker = JavaBroker(stopped["bootstrap"], folder=Path(stopped["folder"]))
        broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def beside(service: Service, fresh: bool) -> Iterator[Command]:
    """Two workers and a `serve` in front of them, which are ready and warm."""
    try:
        service.start(2)
        if fresh:
            service.follow(WARM)
            # Not before: workers refuse to begin where there are verdicts and no state.
            verdicts = former_verdicts()
            asyncio.run(fill(service.bootstrap, service.names.verdicts, VERDICT_PARTITIONS, verdicts))
        serve = Command(service.config, service.folder / "serve")
        settings = ["--config", str(service.config), "--bootstrap-servers", service.bootstrap]
        serve.run(["serve", *settings, "--port", "0"])
        try:
            serve.ready_after()
            yield serve
        finally:
            serve.stop()
    finally:
        service.stop()


def segment(service: Service, serve: Command, messages: list[bytes], minutes: int, begun: int) -> Samples:
    """The load of some minutes, in the middle of which the first worker is killed; what was seen of each process."""
    victim, survivor = service.workers
    load = Load(service, serve, messages, bad_records(60 * minutes, 60 * begun))
    asyncio.run(load.run({"victim": victim, "survivor": survivor, "serve": serve}, victim))
    wait(lambda: victim.ask("/readyz")[0] == 200)
    return load.samples


async def check(service: Service, messages: list[bytes], bad: list[bytes]) -> int:
    """The invariants, once all is applied; how many graphlets were compared with the oracle."""
    admin = KafkaAdminClient(bootstrap_servers=service.bootstrap)
    cluster = Cluster(service.bootstrap, admin, service.folder, service.names, PARTITIONS)
    await cluster.settle()
    await check_offsets(cluster)
    await check_dead_letters(cluster, bad)
    await check_alerts(cluster)
    rows = await cluster.rows_of_core()
    admin.close()
    return check_steady(rows, messages)
