"""Ends a process that hangs, so that its supervisor restarts it.

A worker that hangs keeps its partitions and produces nothing. Two signs: the event loop has not turned for a while, or
there is input and no progress although Kafka accepts connections. During an outage of Kafka a worker does not hang.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: Exit code of a process that the watchdog ended (EX_SOFTWARE).
EXIT_CODE = 70
_CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a worker has come.

    Parameters
    ----------
    busy
        Whether there is something to do, or may be: partitions that are not read yet may hold anything.
    done
        A value that differs from the last one when something was done.
    """

    busy: bool
    done: object


class Watchdog:
    """A thread that watches the process.

    Parameters
    ----------
    progress
        Returns how far the worker has come. It is called from the thread and must not block.
    servers
        Kafka's addresses, as `host:port`.
    loop_seconds
        Seconds without a turn of the event loop after which the process ends.
    stall_seconds
        Seconds of input without progress after which the process ends, while Kafka accepts connections.
    end
        Ends the process for a reason; None: `end_process`.
    """

    def __init__(
        self,
        progress: Callable[[], Progress],
        servers: list[str],
        *,
        loop_seconds: float = 60.0,
        stall_seconds: float = 180.0,
        end: Callable[[str], None] | None = None,
    ) -> None:
        self._progress = progress
        self._servers = servers
        self._loop_seconds = loop_seconds
        self._stall_seconds = stall_seconds
        self._end = end or end_process
        self._stopped = threading.Event()
        self._turned = self._moved = time.monotonic()
        self._last: object = None

    def turn(self) -> None:
        """Report that the event loop turns; call this from it every second."""
        self._turned = time.monotonic()

    @property
    def loop_lag_seconds(self) -> float:
        """Seconds since the last turn of the event loop."""
        return time.monotonic() - self._turned

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_CHECK_SECONDS):
            try:
                reason = self.check()
            except Exception:  # no error may leave the process without a watchdog
                log.exception("the watchdog could not check; it checks again")
                continue
            if reason is not None:
                self._end(reason)
                return

    def check(self) -> str | None:
        """Return why the process should end; None when all is well."""
        if self.loop_lag_seconds > self._loop_seconds:
            return f"the event loop has not turned for {self.loop_lag_seconds:.0f} s"
        progress, now = self._progress(), time.monotonic()
        if not progress.busy or progress.done != self._last:
            self._last, self._moved = progress.done, now
        elif now - self._moved > self._stall_seconds:
            if any(accepts(server) for server in self._servers):
                return f"there is input, Kafka is up, and nothing was done for {now - self._moved:.0f} s"
            self._moved = now
        return None


def accepts(server: str) -> bool:
    """Whether `host:port` accepts connections."""
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 2.0).close()
    except OSError:
        return False
    return True


def end_process(reason: str) -> None:
    """Print the reason and the stacks of all threads, and exit at once with `EXIT_CODE`."""
    sys.stderr.write(f"watchdog: {reason}; ending the process\n")
    faulthandler.dump_traceback(all_threads=True)
    sys.stderr.flush()
    os._exit(EXIT_CODE)
