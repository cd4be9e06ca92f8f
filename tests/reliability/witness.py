"""What a process says of itself while something is wrong: probes, metrics and log, as an operator would see them."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.reliability.rig import RESUME_SECONDS

#: Seconds between two looks.
_LOOK_SECONDS = 0.5
#: Lines of the log at which a person looks: with their level, and what a process says as it ends.
_LINE = re.compile(
    r"^\S+ \S+ (WARNING|ERROR|CRITICAL) (\S+?):? (.*)$|^(watchdog: .*|stream_app\.\S*Error: .*|Error: .*)$"
)
#: What the lines of one place differ by.
_VARYING = re.compile(r"\d[\d,.]*|0x[0-9a-f]+")


class Witnessed(Protocol):
    """A worker or a service."""

    log: Path

    def ask(self, path: str) -> tuple[int, str]: ...
    @property
    def running(self) -> bool: ...


@dataclass(frozen=True)
class Look:
    """What a process said at one moment; statuses are 0 where it did not answer."""

    live: int
    ready: int
    why: tuple[str, ...] = ()
    #: The largest lag of a partition; None where none is known, or there are none.
    lag: float | None = None
    fetch_age: float | None = None
    commit_age: float | None = None
    lost: float = 0
    damaged: float = 0


def look(process: Witnessed) -> Look:
    """Ask a process for its probes and metrics."""
    try:
        live = process.ask("/livez")[0]
        ready, detail = process.ask("/readyz?verbose")
        metrics = process.ask("/metrics")[1]
    except (OSError, IndexError, urllib.error.URLError):
        return Look(0, 0)
    lags = values(metrics, "consumer_lag_records")
    return Look(
        live,
        ready,
        tuple(sorted(reasons(json.loads(detail)))),
        max(lags, default=None),
        age(metrics, "last_fetch_timestamp_seconds"),
        age(metrics, "last_commit_timestamp_seconds"),
        sum(values(metrics, "records_lost_total")),
        sum(values(metrics, "local_copies_damaged_total")),
    )


def reasons(detail: dict[str, Any]) -> Iterator[str]:
    """What keeps a process from being ready, by the detail of its probe."""
    bad_if_false = {"kafka_answers", "partitions_restored", "model_caught_up"}
    for name, value in detail.items():
        if name in bad_if_false and value is False:
            yield f"not {name}"
        elif name in ("stopping", "records_lost") and value:
            yield name
        elif name in ("waiting_for", "reason") and value:
            yield str(value)[:120]


def values(metrics: str, name: str) -> list[float]:
    return [float(each) for each in re.findall(rf"^stream_app_{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)]


def age(metrics: str, name: str) -> float | None:
    """Seconds since the time that a metric holds."""
    (found,) = values(metrics, name) or [0.0]
    return time.time() - found if found else None


def warnings(text: str) -> list[str]:
    """The lines of a log at which a person looks."""
    found = (_LINE.match(line) for line in text.splitlines())
    return [f"{match[1]} {match[3]}" if match[1] else match[4] for match in found if match]


def repeated(lines: list[str]) -> dict[str, int]:
    """How often each line was said, whatever its numbers."""
    return dict(Counter(_VARYING.sub("#", line) for line in lines))


@dataclass
class Account:
    """What was seen of a process during a fault and after it."""

    process: Witnessed
    looks: list[Look] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ended: int | None = None
    #: Seconds from the end of the fault until it was ready again; None where it was not within `RESUME_SECONDS`.
    recovered: float | None = None
    after: Look | None = None
    lines_after: list[str] = field(default_factory=list)

    def silent(self) -> bool:
        """Whether at the end of the fault nothing at all pointed to it."""
        last = self.looks[-1]
        return self.ended is None and last.ready == 200 and not last.lag and not self.lines

    def record(self) -> dict[str, Any]:
        """The account as a row of the table."""
        lags = [each.lag for each in self.looks]
        return {
            "live": min(each.live for each in self.looks),
            "ready": self.looks[-1].ready,
            "why": list(self.looks[-1].why),
            "lag": "not known" if lags[-1] is None else int(lags[-1]),
            "fetch_age": rounded(self.looks[-1].fetch_age),
            "commit_age": rounded(self.looks[-1].commit_age),
            "lost": int(self.looks[-1].lost),
            "damaged": int(max(each.damaged for each in [*self.looks, self.after or self.looks[-1]])),
            "ended": self.ended,
            "log": list(repeated(self.lines)),
            "most_repeated": max(repeated(self.lines).values(), default=0),
            "recovered_seconds": rounded(self.recovered),
            "log_after": list(repeated(self.lines_after)),
        }


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


@contextmanager
def watched(process: Witnessed) -> Iterator[Account]:
    """Look at a process again and again while the block runs: the block is the fault, which is over at its end."""
    account, stop = Account(process), threading.Event()
    begun = process.log.stat().st_size

    def watch() -> None:
        while not stop.is_set():
            seen = look(process)
            if process.running:
                account.looks.append(seen)
            stop.wait(_LOOK_SECONDS)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield account
    finally:
        stop.set()
        watching.join(60)
        account.lines = warnings(process.log.read_bytes()[begun:].decode(errors="replace"))
        code = getattr(process, "process", None)
        account.ended = code.poll() if code is not None else None
        if not account.looks:
            account.looks.append(Look(0, 0))


def recovery(account: Account, healthy: Callable[[Look], bool] | None = None) -> None:
    """Look at a process after the fault until it is ready again."""
    begun, began = account.process.log.stat().st_size, time.monotonic()
    is_healthy = healthy or (lambda seen: seen.ready == 200)
    while time.monotonic() - began < RESUME_SECONDS:
        account.after = look(account.process)
        if is_healthy(account.after):
            account.recovered = time.monotonic() - began
            break
        time.sleep(_LOOK_SECONDS)
    account.lines_after = warnings(account.process.log.read_bytes()[begun:].decode(errors="replace"))
