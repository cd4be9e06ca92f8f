"""The notifier on a real broker: what subscriptions cost a worker, and how long a flag takes to a webhook.

python -m benchmarks.alerts.notifier
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaProducer

from benchmarks.alerts.deliveries import quantile, receive, record
from benchmarks.results import median, publish, table, times
from benchmarks.workers.catchup import cpu
from benchmarks.workers.kafka import broker, fill, fleet
from benchmarks.workers.service import PARTITIONS, Process, Service, wait
from stream_app.alerts.records import cloud_event
from stream_app.alerts.registered import register, to_row
from stream_app.alerts.secrets import Vault
from stream_app.alerts.subscriptions import make_subscription

KEY = "a key for the benchmark"
SUBSCRIPTIONS = (0, 10, 10_000)
#: Of a thousand subscriptions to one pipeline each, the number of pipelines.
_PIPELINES = 1_000
#: Subscriptions that hear of each flag while delays are measured, and seconds at the beginning that do not count.
_HEARING, _WARM_SECONDS = 10, 5
_ALERTS = '\n[alerts]\nkey = "{key}"\nallowed_networks = ["127.0.0.0/8"]\n'


class Cost(NamedTuple):
    """Microseconds of CPU: of a worker an event, and of a notifier a flag record."""

    worker: float
    notifier: float


class Delay(NamedTuple):
    """Flag records a second that were sent, and the seconds from each to each of its receivers."""

    rate: float
    seconds: list[float]


async def subscribe(service: Service, given: Sequence[dict[str, object]]) -> None:
    """Writes subscriptions as notifiers do."""
    vault = Vault(KEY.encode())
    producer = AIOKafkaProducer(bootstrap_servers=service.bootstrap)
    await producer.start()
    for each in given:
        made = register(make_subscription({"name": "s", "owner": "o", **each}), 0)
        await producer.send(service.names.subscriptions, to_row(made, vault), str(each["id"]).encode(), partition=0)
    await producer.stop()


async def announce(service: Service, count: int, rate: float) -> dict[str, float]:
    """Writes flag records at a steady rate; when each was written, by its id."""
    producer = AIOKafkaProducer(bootstrap_servers=service.bootstrap)
    await producer.start()
    began, written = time.monotonic(), {}
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        made = record(number)
        written[made.id] = time.time()
        await producer.send(service.names.alerts, orjson.dumps(cloud_event(made)), made.flag.encode())
    await producer.stop()
    return written


def start_notifier(service: Service, subscriptions: int) -> Process:
    """A notifier that is ready and knows its subscriptions."""
    notifier = Process(service.config, service.folder / "notifier")
    service.workers.append(notifier)  # it ends with the workers
    notifier.run(
        ["notify", "--config", str(service.config), "--folder", str(notifier.folder), "--metrics-port", "0",
         "--port", "0"]
    )  # fmt: skip
    wait(lambda: notifier.metrics().get("stream_app_ready", 0.0) == 1.0)
    wait(lambda: notifier.metrics().get("stream_app_alert_subscriptions", 0.0) == subscriptions)
    return notifier


def measure_cost(bootstrap: str, folder: Path, subscriptions: int, messages: Sequence[bytes], flags: int) -> Cost:
    """A worker that catches up while a notifier with so many subscriptions reads as many flag records as there come."""
    service = Service(bootstrap, folder, _ALERTS.format(key=KEY))
    sink = {"kind": "webhook", "url": "http://127.0.0.1:9/"}
    asyncio.run(
        subscribe(
            service,
            [
                {"id": f"s{number}", "sink": sink, "filter": {"pipeline": f"p{number % _PIPELINES}"}}
                for number in range(subscriptions)
            ],
        )
    )
    worker = service.start()
    notifier = start_notifier(service, subscriptions)
    service.workers.remove(notifier)
    first, before = service.sample(), notifier.metrics()["process_cpu_seconds_total"]
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages))
    asyncio.run(announce(service, flags, 200))
    wait(lambda: notifier.metrics()["stream_app_events_consumed_total"] >= flags)
    used = notifier.metrics()["process_cpu_seconds_total"] - before
    last = service.follow(len(messages))[-1]
    notifier.stop()
    worker.stop()
    return Cost(cpu(first, last), 1e6 * used / flags)


def measure_delay(bootstrap: str, folder: Path, rate: float, count: int) -> Delay:
    """Flag records at a rate, each to some subscriptions, as signed webhooks to another process."""
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,))
    receiver.start()
    url = f"http://127.0.0.1:{ours.recv()}/ok"
    service = Service(bootstrap, folder, _ALERTS.format(key=KEY))
    sink = {"kind": "webhook", "url": url}
    delivery = {"min_hold_seconds": 0}
    given: list[dict[str, object]] = [
        {"id": f"s{number}", "sink": sink, "delivery": delivery} for number in range(_HEARING)
    ]
    asyncio.run(subscribe(service, given))
    notifier = start_notifier(service, _HEARING)
    written = asyncio.run(announce(service, count, rate))
    wait(lambda: notifier.metrics()["stream_app_alert_messages_total"] >= count * _HEARING)
    notifier.stop()
    ours.send(None)
    arrived: dict[str, float] = ours.recv()
    receiver.join()
    counts = min(written.values()) + _WARM_SECONDS
    delays = [
        at - written[name.partition("@")[0]] for name, at in arrived.items() if written[name.partition("@")[0]] > counts
    ]
    return Delay(rate, delays)


def main() -> None:
    """Measures, and publishes the section `notifier`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="that the worker catches up on")
    parser.add_argument("--flags", type=int, default=2_000, help="flag records of each run")
    parser.add_argument("--rates", type=float, nargs="+", default=[25.0, 50.0, 75.0], help="flag records/s")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    messages = fleet(options.events, 60, 30)
    with broker() as bootstrap, tempfile.TemporaryDirectory() as name:
        folder, costs, delays = Path(name), [], []
        for subscriptions in SUBSCRIPTIONS:
            runs = [
                measure_cost(bootstrap, folder, subscriptions, messages, options.flags) for _ in range(options.repeats)
            ]
            costs.append([f"{subscriptions:,}", *(median([each[part] for each in runs]) for part in range(2))])
            print(costs[-1], flush=True)
        for rate in options.rates:
            found = [measure_delay(bootstrap, folder, rate, options.flags) for _ in range(options.repeats)]
            quantiles = (median([1e3 * quantile(each.seconds, share) for each in found]) for share in (0.5, 0.99))
            delays.append([f"{rate:g}", f"{rate * _HEARING:g}", *quantiles])
            print(delays[-1], flush=True)
    publish(
        "notifier",
        "Alerts beside workers: the notifier",
        [
            f"A worker catches up on {options.events:,} events, models on, while a notifier with as many subscriptions",
            f"reads {options.flags:,} flag records; {times(options.repeats)}. Workers do not read subscriptions.",
            "",
            *table(["subscriptions", "worker, us CPU an event", "notifier, us CPU a flag record"], costs),
            "",
            f"{options.flags:,} flag records at a steady rate to {_HEARING} subscriptions each, as signed webhooks to",
            "another process, without a hold: from the append of the flag record to the arrival of each webhook.",
            "",
            *table(["flag records/s", "deliveries/s", "p50, ms", "p99, ms"], delays),
        ],
    )


if __name__ == "__main__":
    main()
