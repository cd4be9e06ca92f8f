"""The progress of a long command on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from stream_app.replay.reading import MessageReader

#: Seconds between two lines.
_INTERVAL = 10.0
#: The total of the bar.
_PARTS = 1000


class Progress:
    """Shows the share done, the rate and the time left; a context manager.

    Parameters
    ----------
    quiet
        Whether nothing is shown.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        #: Files that break off, where and why, as far as they were read.
        self.faults: list[str] = []
        self._quiet = quiet
        self._began = self._shown = time.monotonic()
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if not quiet and sys.stderr.isatty():
            self._bar = Bar(
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[text]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None, text="")
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, events: int, reading: MessageReader) -> None:
        """Shows the progress of reading files, by their bytes.

        Parameters
        ----------
        events
            How many were read.
        reading
            The files.
        """
        self.faults = reading.faults
        total = reading.bytes_total
        self._show(events, min(1.0, reading.bytes_read / total) if total else None)

    def share(self, events: int, done: float) -> None:
        """Shows a progress that is known as a share.

        Parameters
        ----------
        events
            How many there are so far.
        done
            Share of the whole, from 0 to 1.
        """
        self._show(events, done)

    def _show(self, events: int, done: float | None) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        seconds = max(now - self._began, 1e-6)
        text = f"{events:,} events, {events / seconds:,.0f}/s"
        if self._bar is not None:
            total = _PARTS if done is not None else None
            self._bar.update(self._task, total=total, completed=int((done or 0) * _PARTS), text=text)
        elif now - self._shown >= _INTERVAL:
            self._shown = now
            if done:
                left = int(seconds / done - seconds)
                text = f"{done:4.0%}  {text}, {left // 60}:{left % 60:02} left"
            print(text, file=sys.stderr, flush=True)  # noqa: T201
