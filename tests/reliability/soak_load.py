"""The mixed load of a soak: three ways in, what is no event, events that come twice, and readers of verdicts."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping

import orjson
from aiokafka import AIOKafkaProducer

from benchmarks.workers.service import Process, Service
from tests.broker.scenarios import pipeline
from tests.reliability.soak_figures import Samples, look

#: Events a second.
RATE = 200
#: Seconds between two looks at a process.
LOOK_SECONDS = 5
#: Of so many pipelines, one comes through a source topic and one over HTTP; the others come directly.
WAYS = 6
#: One event of so many comes twice.
TWICE = 50


def bad_records(count: int, begin: int = 0) -> list[bytes]:
    """What is no event, one record a second."""
    return [b'{"pipeline": "p", "number": %d' % number for number in range(begin, begin + count)]


class Load:
    """Writes a second's events each second.

    Parameters
    ----------
    service, serve
        The workers and the HTTP service in front of them.
    messages, bad
        The events, and what is no event, a record a second.
    """

    def __init__(self, service: Service, serve: Process, messages: list[bytes], bad: list[bytes]) -> None:
        self._service, self._serve = service, serve
        self._messages, self._bad = messages, bad
        self.samples: Samples = []

    async def run(self, processes: Mapping[str, Process], victim: Process) -> None:
        """Write all; in the middle the victim is killed and started again."""
        producer = AIOKafkaProducer(bootstrap_servers=self._service.bootstrap, compression_type="zstd")
        await producer.start()
        began = time.monotonic()
        try:
            for second, bad in enumerate(self._bad):
                await asyncio.sleep(began + second - time.monotonic())
                await self._write(producer, self._messages[RATE * second : RATE * (second + 1)], bad)
                if second == len(self._bad) // 2:
                    await asyncio.to_thread(victim.kill)
                    victim.start()
                if second % LOOK_SECONDS == 0:
                    seen = [await asyncio.to_thread(look, name, process) for name, process in processes.items()]
                    self.samples += [sample for sample in seen if sample is not None]
        finally:
            await producer.stop()

    async def _write(self, producer: AIOKafkaProducer, messages: list[bytes], bad: bytes) -> None:
        """The events of a second, and a record that is none; verdicts are read meanwhile."""
        names = self._service.names
        posted = []
        for number, message in enumerate(messages):
            name = pipeline(message)
            way = sum(name) % WAYS
            if way == 0:
                posted.append(orjson.loads(message))
                continue
            for _ in range(2 if number % TWICE == 0 else 1):
                await producer.send(names.sources[0] if way == 1 else names.events, message, key=name)
        await producer.send(names.sources[0], bad)
        await asyncio.to_thread(self._post, posted)

    def _post(self, events: list[object]) -> None:
        """Post events to the service, which takes each of them; then ask for the newest verdicts."""
        url = self._serve.url()
        headers = {"Content-Type": "application/json"}
        if events:
            request = urllib.request.Request(f"{url}/v1/events/batch", orjson.dumps(events), headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                summary = orjson.loads(answer.read())["summary"]
            assert summary["successful"] == len(events), f"I1: of {len(events)} events posted, serve took {summary}"
        with urllib.request.urlopen(f"{url}/v1/verdicts?limit=100", timeout=60) as answer:
            assert answer.status == 200
