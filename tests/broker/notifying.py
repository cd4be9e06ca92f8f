"""Workers whose detectors flag each run, and notifiers that tell of it: processes on topics of their own."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
from kafka import KafkaProducer

from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.outbox import Message
from tests.broker.cluster import PATIENCE, REPOSITORY, Process
from tests.broker.scenarios import pipeline
from tests.support.receiver import flagged_run, history
from tests.support.sinks import SECRET, Sinks
from tests.web.served import JSON, Answer
from tests.web.served import Service as Client

Found = TypeVar("Found")
#: The program, whose detector flags whatever may be flagged.
PROGRAM = ("-m", "tests.web.steered_service")
CONFIG = """
[kafka]
group = "{group}"
sources = []
partitions = 4
replication = 1
session_seconds = 3
learning = false
[alerts]
key = "a key for these tests only"
allowed_networks = ["127.0.0.0/8"]
"""


#: A record that was not sent has one of these reasons.
DROPPED = ("its end is known", "before it was announced", "replaces it", "its flag was not announced")


def until(holds: Callable[[], Found | None], what: str, seconds: float = PATIENCE) -> Found:
    """Waits for something that comes about in other processes; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
    return found


@dataclass
class Notifying:
    """The deployment, and the flags that were raised in it."""

    bootstrap: str
    folder: Path
    names: Names
    producer: KafkaProducer
    workers: list[Process] = field(default_factory=list)
    notifiers: list[Process] = field(default_factory=list)
    #: The flags so far, and the events that end them.
    flags: list[str] = field(default_factory=list)
    _rest: dict[str, list[bytes]] = field(default_factory=dict)

    def command(self, name: str) -> tuple[str, ...]:
        """A command of the program, which ends before the path of the settings."""
        return (*PROGRAM, *name.split(), "--bootstrap-servers", self.bootstrap)

    def apply_topics(self) -> None:
        """Makes the topics that are missing."""
        command = [sys.executable, *self.command("topics apply"), "--config", str(self.folder / "settings.toml")]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def process(self, kind: str, number: int, *more: str) -> Process:
        """A worker or a notifier, started."""
        folder = self.folder / f"{kind}{number}"
        program = (*self.command(kind), "--folder", str(folder), "--metrics-port", "0", *more, "--config")
        made = Process(self.folder / "settings.toml", self.folder / f"{kind}{number}.log", program)
        made.start()
        return made

    def worker(self) -> None:
        """A further worker."""
        self.workers.append(self.process("worker", len(self.workers)))

    def notifier(self) -> None:
        """A further notifier."""
        self.notifiers.append(self.process("notify", len(self.notifiers), "--port", "0"))

    def ready(self, process: Process) -> None:
        """Waits until a process is ready."""

        def is_ready() -> bool:
            assert process.running, process.log.read_text()[-3_000:]
            try:
                return process.ask("/readyz")[0] == 200
            except (OSError, IndexError):  # it has no address yet
                return False

        until(is_ready, f"{process.log.stem} is ready")

    def all_ready(self) -> None:
        """Waits until all processes are ready."""
        for each in (*self.workers, *self.notifiers):
            self.ready(each)

    def stop(self) -> None:
        """Kills what runs."""
        for each in (*self.workers, *self.notifiers):
            if each.running:
                each.kill()

    def ask(
        self, notifier: Process, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request to the API of a notifier."""
        address = re.findall(rb"serving at http://(\S+):(\d+)", notifier.log.read_bytes())[-1]
        given = {**(JSON if body is not None else {}), **(headers or {})}
        content = orjson.dumps(body) if not isinstance(body, bytes | None) else body
        return Client(address[0].decode(), int(address[1])).ask(method, path, content, given)

    def subscribe(self, notifier: Process, name: str, sinks: Sinks, **more: Any) -> Answer:
        """Subscribes a sink that takes everything, at once."""
        sink = {"kind": "webhook", "url": sinks.url("ok", name), "secret": SECRET}
        given = {"id": name, "name": name, "owner": "ann", "sink": sink, "delivery": {"min_hold_seconds": 0}, **more}
        answer = self.ask(notifier, "POST", "/v1/subscriptions", given)
        assert answer.status == 201, answer.body
        return answer

    def post(self, messages: list[bytes]) -> None:
        """Writes events into the topic of events."""
        for message in messages:
            self.producer.send(self.names.events, message, key=pipeline(message))
        self.producer.flush()

    def alert(self, messages: Iterable[Message]) -> None:
        """Writes messages of a worker into the topic of alerts."""
        for each in messages:
            self.producer.send(self.names.alerts, each.value, each.key, list(each.headers))
        self.producer.flush()

    def flag(self, name: str, at_ms: int | None = None) -> str:
        """Has the run of a new pipeline flagged; its flag."""
        now_ms = at_ms if at_ms is not None else time.time_ns() // 1_000_000
        first, rest = flagged_run(now_ms, "r", name)
        self.post([*history(now_ms, name), *first])
        flag = f"{name}/run:r"
        self.flags.append(flag)
        self._rest[flag] = rest
        return flag

    def end(self, flag: str) -> None:
        """The run of a flag is pushed."""
        self.post(self._rest.pop(flag))

    def heard(
        self, sinks: Sinks, names: list[str], change: str, seconds: float = PATIENCE, flags: Sequence[str] | None = None
    ) -> None:
        """Waits until this change of each flag, or of these, has reached each of these sinks."""
        wanted = {(name, flag) for name in names for flag in (self.flags if flags is None else flags)}

        def missing() -> set[tuple[str, str]]:
            return wanted - {(each.name, each.flag) for each in sinks.attempts() if each.change == change}

        end = time.monotonic() + seconds
        while lost := missing():
            assert time.monotonic() < end, (
                f"{len(lost)} of {len(wanted)} not {change}: {sorted(lost)[:5]}\n{self.logs()}"
            )
            time.sleep(0.2)

    def logs(self) -> str:
        """The ends of the logs."""
        return "\n".join(
            f"--- {each.log.stem}\n{each.log.read_text()[-2_000:]}" for each in (*self.workers, *self.notifiers)
        )

    def dropped(self, name: str) -> dict[str, str]:
        """The records of a subscription that were not sent, with the reasons."""
        path = f"/v1/subscriptions/{name}/deliveries?limit=1000&fate=dropped"
        found: dict[str, str] = {}
        before = ""
        while True:
            answer = self.ask(self.notifiers[0], "GET", path + before).json
            found |= {each["message"]: each["reason"] for each in answer["deliveries"]}
            if answer["next"] is None:
                return found
            before = f"&before={answer['next']}"

    def kills(self, count: int, seed: int, patient: float = 0.7) -> None:
        """`kill -9` of workers and notifiers in turn at random points, each started again at once."""
        chance = random.Random(seed)
        victims = [each for pair in zip(self.workers, self.notifiers, strict=True) for each in pair]
        for number in range(count):
            time.sleep(chance.uniform(0.2, 3.0))
            victim = victims[number % len(victims)]
            assert victim.running, f"it ended by itself\n{victim.log.read_text()[-3_000:]}"
            victim.kill()
            victim.start()
            if chance.random() < patient:
                self.ready(victim)

    @contextmanager
    def meanwhile(self, step: Callable[[], bool], pause_seconds: float) -> Iterator[None]:
        """Does a step again and again, until it returns False or the block has ended."""
        done, failed = threading.Event(), list[BaseException]()

        def steps() -> None:
            try:
                while not done.wait(pause_seconds) and step():
                    pass
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=steps)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        assert not failed, failed


@contextmanager
def notifying(bootstrap: str, folder: Path, prefix: str) -> Iterator[Notifying]:
    """A deployment without processes; its topics are made by the command."""
    (folder / "settings.toml").write_text(CONFIG.replace("{group}", prefix))
    (folder / "settings.toml").chmod(0o600)
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    made = Notifying(bootstrap, folder, Names(prefix, ()), producer)
    made.apply_topics()
    try:
        yield made
    finally:
        made.stop()
        producer.close()
