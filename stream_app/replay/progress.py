"""How far a long command is, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from stream_app.replay.reading import MessageReader

#: Seconds between two plain lines.
_EVERY = 10.0
#: What the bar counts to: shares are cut to so many parts.
_PARTS = 1000


class Progress:
    """Shows the share done, the rate and the time left; a context manager.

    Parameters
    ----------
    quiet
        Show nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._began = self._said = time.monotonic()
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if not quiet and sys.stderr.isatty():
            self._bar = Bar(
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[words]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None, words="")
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, events: int, reading: MessageReader) -> None:
        """So many events were read; how far that is, the bytes tell."""
        total = reading.bytes_total
        self._show(events, min(1.0, reading.bytes_read / total) if total else None)

    def share(self, events: int, done: float) -> None:
        """So many events, and a share of the whole."""
        self._show(events, done)

    def _show(self, events: int, done: float | None) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        seconds = max(now - self._began, 1e-6)
        words = f"{events:,} events, {events / seconds:,.0f}/s"
        if self._bar is not None:
            total = _PARTS if done is not None else None
            self._bar.update(self._task, total=total, completed=int((done or 0) * _PARTS), words=words)
        elif now - self._said >= _EVERY:
            self._said = now
            if done:
                left = int(seconds / done - seconds)
                words = f"{done:4.0%}  {words}, {left // 60}:{left % 60:02} left"
            print(words, file=sys.stderr, flush=True)  # noqa: T201
