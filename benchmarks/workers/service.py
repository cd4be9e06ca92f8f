"""Workers as they are run by anybody: `stream-app worker` processes, watched through their metrics."""

from __future__ import annotations

import atexit
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.workers.kafka import make_topics
from stream_app.kafka.clients.topics import Names

PARTITIONS = 12
#: Seconds between two looks.
LOOK_SECONDS = 0.5
MIB = 1 << 20


class Sample(NamedTuple):
    """What one or several workers have come to."""

    #: Monotonic clock, seconds.
    at: float
    events: float
    cpu_seconds: float
    rss_bytes: float


class Process:
    """One worker; `folder` holds its local copies and its log."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config = config
        self.folder = folder
        self._log = folder.with_suffix(".log")

    def start(self) -> None:
        command = ["worker", "--config", str(self._config), "--folder", str(self.folder), "--metrics-port", "0"]
        self.run(command)

    def run(self, command: list[str]) -> None:
        """Starts a command of `stream-app`."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "stream_app", *command], stdout=log, stderr=log)

    def kill(self) -> None:
        """Ends it at once, as a crash does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Sends SIGTERM and waits for the end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    def url(self) -> str:
        """The address of its probes and metrics; "" while there is none."""
        found = re.findall(r"(?:probes and metrics are|serving) at (\S+)", self._log.read_text())
        return found[-1] if found else ""

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of an endpoint; (0, "") while there is none."""
        url = self.url()
        if not url:
            self.check()
            return 0, ""
        try:
            with urllib.request.urlopen(url + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:  # also where it ends while it answers
            self.check()
            return 0, ""

    def check(self) -> None:
        if self._process.poll() is not None:
            raise SystemExit(f"the worker ended with {self._process.returncode}:\n{self._log.read_text()[-2000:]}")

    def metrics(self) -> dict[str, float]:
        """All metrics by name, summed over their labels."""
        sums: dict[str, float] = defaultdict(float)
        for name, value in re.findall(r"^(\w+)(?:{.*})? (\S+)$", self.ask("/metrics")[1], re.M):
            sums[name] += float(value)
        return sums

    def ready_after(self) -> float:
        """Wait until the worker is ready; seconds since this call."""
        began = time.monotonic()
        wait(lambda: self.ask("/readyz")[0] == 200, 0.1)
        return time.monotonic() - began


class Service:
    """The topics and the workers of a deployment of its own.

    Parameters
    ----------
    bootstrap, folder
        The address of the broker, and where its own folder is made.
    settings
        Further lines of the file of settings.
    sources
        Whether there is a topic of a source.
    group
        The name of the deployment, where it goes on.
    """

    def __init__(
        self, bootstrap: str, folder: Path, settings: str = "", *, sources: bool = False, group: str | None = None
    ) -> None:
        self.bootstrap = bootstrap
        group = group or f"bench-{uuid.uuid4().hex[:8]}"
        self.names = Names(group, (f"{group}-source",) if sources else ())
        self.folder = folder / self.names.group
        self.folder.mkdir(exist_ok=True)
        make_topics(bootstrap, self.names, PARTITIONS)
        self.config = self.folder / "stream-app.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{bootstrap}"\ngroup = "{self.names.group}"\n'
            f"sources = {list(self.names.sources)}\npartitions = {PARTITIONS}\nreplication = 1\n{settings}"
        )
        self.workers: list[Process] = []
        atexit.register(self.stop)  # whatever ends the benchmark, no worker outlives it

    def start(self, workers: int = 1) -> Process:
        """Start workers and wait until they hold all partitions between them; returns the last."""
        for _ in range(workers):
            self.workers.append(Process(self.config, self.folder / f"worker{len(self.workers)}"))
            self.workers[-1].start()
        held = "stream_app_consumer_assigned_partitions"

        def settled() -> bool:
            found = [worker.metrics() for worker in self.workers]
            shares = [metrics.get(held, 0) for metrics in found]
            return all(shares) and sum(shares) == PARTITIONS and all(metrics["stream_app_ready"] for metrics in found)

        wait(settled)
        return self.workers[-1]

    def sample(self) -> Sample:
        """The sums over all workers."""
        found = [worker.metrics() for worker in self.workers]

        def total(name: str) -> float:
            return sum(metrics.get(name, 0.0) for metrics in found)

        return Sample(
            time.monotonic(),
            total("stream_app_events_processed_total"),
            total("process_cpu_seconds_total"),
            total("process_resident_memory_bytes"),
        )

    def follow(self, events: float) -> list[Sample]:
        """Watch until the workers have applied that many events; the first sample is the last without a new one."""
        samples = [self.sample()]
        while samples[-1].events < events:
            time.sleep(LOOK_SECONDS)
            newest = self.sample()
            if newest.events == samples[0].events:
                samples.clear()
            samples.append(newest)
        return samples

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def wait(done: Callable[[], bool], step: float = LOOK_SECONDS, patience: float = 600) -> None:
    """Return when something is so; ends the benchmark when it never is."""
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"nothing came of it in {patience:.0f} s")
        time.sleep(step)
