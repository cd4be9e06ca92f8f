"""An embedded detector in a process of its own, which is killed at once after it has saved records."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from stream_app.service import detector_thread
from stream_app.service.event_log import Changes, EventLog


def apply_until_killed(module: str, path: Path, saves: int) -> None:
    """Applies the entries of a log, until the process is killed after so many saves with records.

    Parameters
    ----------
    module
        A module of tests whose `detector_of` makes the detector of a log.
    path
        The log.
    saves
        How many.
    """
    command = [sys.executable, "-m", __name__, module, str(path), str(saves)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL


def main(module: str, path: str, saves: int) -> None:
    """What that process does. It saves after each entry."""
    save, left = EventLog.save, saves

    def counted(self: EventLog, changes: Changes) -> None:
        nonlocal left
        save(self, changes)
        left -= bool(changes.flags)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    EventLog.save = counted  # type: ignore[method-assign]
    detector_thread._SLICE = detector_thread._SAVE_FLAGS = 0.0
    made = importlib.import_module(module).detector_of(EventLog(Path(path)))
    made.start()
    made.failed.result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
