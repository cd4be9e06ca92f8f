"""Whether the memory of `stream-app serve` is flat under a load of everything: events, queries, attacks.

python -m benchmarks.workers.serve_memory --minutes 10
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TOKEN = "benchmark-token"
#: Pipelines that send events again and again: what the detector knows does not grow.
PIPELINES = 20
_ROUNDS = 50
#: Events of a batch, and seconds between two acts of a kind: less than the detector can apply, or its queue would grow.
_BATCH, _PAUSE_SECONDS = 100, 0.2


class Target:
    """A service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "stream_app", "serve", "--data", str(folder), "--port", "0"]
        environment = {**os.environ, "STREAM_APP_SERVE_TOKEN": TOKEN}
        log = (folder.parent / "serve.log").open("wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        assert self.process.stdout is not None
        found = re.search(r"http://(.*):(\d+)", self.process.stdout.readline().decode())
        if found is None:
            raise SystemExit("the service did not start")
        self.address = found[1], int(found[2])
        self.codes: Counter[int] = Counter()

    def ask(self, path: str, body: bytes | None = None, token: str = TOKEN, **headers: str) -> None:
        """One request; its status is counted."""
        given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.address[0]}:{self.address[1]}{path}", body, given)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
                self.codes[answer.status] += 1
        except urllib.error.HTTPError as error:
            self.codes[error.code] += 1
        except OSError:
            self.codes[0] += 1

    def rss_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def event(pipeline: int, number: int) -> dict[str, object]:
    """One of few executions, as the sender reports it again."""
    run = f"r{number % _ROUNDS}"
    return {
        "time": f"2026-01-01T00:{number % 60:02}:00Z", "pipeline": f"p{pipeline}", "run": run,
        "execution": {"id": f"{run}-train", "type": "Trainer", "state": "RUNNING"},
    }  # fmt: skip


def acts(target: Target) -> list[Callable[[int], None]]:
    """What is done over and over, each by a thread of its own."""
    bomb = gzip.compress(bytes(64 << 20))

    def silent(_: int) -> None:
        with socket.create_connection(target.address) as connection, suppress(OSError):
            connection.sendall(b"GET /v1/verdicts HTTP/1.1\r\nX: ")
            connection.settimeout(1.0)
            connection.recv(1)

    def batch(number: int) -> bytes:
        return json.dumps([event(each % PIPELINES, number + each) for each in range(_BATCH)]).encode()

    return [
        lambda number: target.ask("/v1/events", json.dumps(event(number % PIPELINES, number)).encode()),
        lambda number: target.ask("/v1/events/batch", gzip.compress(batch(number), 1), Content_Encoding="gzip"),
        lambda number: target.ask(f"/v1/verdicts?run=r{number % _ROUNDS}"),
        lambda number: target.ask(f"/unknown/{number}"),
        lambda number: target.ask("/v1/verdicts", token=f"wrong-{number}"),
        lambda _: target.ask("/v1/events", bomb, Content_Encoding="gzip"),
        lambda _: target.ask("/metrics"),
        silent,
    ]


def main() -> None:
    """Runs the load, and prints samples and the slope."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    samples: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder) / "data")
        end = time.monotonic() + options.minutes * 60

        def repeat(act: Callable[[int], None]) -> None:
            number = 0
            while time.monotonic() < end:
                act(number)
                number += 1
                time.sleep(_PAUSE_SECONDS)

        threads = [threading.Thread(target=repeat, args=(act,)) for act in acts(target)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while time.monotonic() < end:
            time.sleep(min(5.0, options.minutes))
            samples.append(((time.monotonic() - began) / 60, target.rss_mib()))
        for thread in threads:
            thread.join()
        target.process.terminate()
        target.process.wait(60)
        log_bytes = (Path(folder) / "serve.log").stat().st_size
    steady = samples[len(samples) // 3 :]
    line = statistics.linear_regression(*zip(*steady, strict=True))
    print("MiB: " + " ".join(f"{rss:.0f}" for _, rss in samples))
    print(f"slope after the first third: {line.slope:+.2f} MiB/min; log: {log_bytes:,} bytes")
    print("answers: " + ", ".join(f"{code or 'none'} {count:,}" for code, count in sorted(target.codes.items())))


if __name__ == "__main__":
    main()
