"""`stream-app serve` whose writes to the log block while a file exists: the first argument."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from stream_app.cli.main import main
from stream_app.service import availability, event_log


class Hanging(event_log.EventLog):
    """A log whose transactions do not end while the file exists."""

    def _transact(self, write: object) -> None:
        super()._transact(lambda: (self._wait(), write()))  # type: ignore[operator]

    @staticmethod
    def _wait() -> None:
        while FILE.exists():
            threading.Event().wait(0.02)


if __name__ == "__main__":
    FILE = Path(sys.argv.pop(1))
    availability.HANGING_SECONDS = availability.STOP_SECONDS = 1.0
    from stream_app.web import serving

    serving.EventLog = Hanging  # type: ignore[misc]
    main()
