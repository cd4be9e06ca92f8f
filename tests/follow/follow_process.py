"""`stream-app follow` as a process; `python -m tests.follow.follow_process ...` dies where it would save its cursor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(**variables: str) -> dict[str, str]:
    """That of a command of a user who set nothing but these."""
    return {key: value for key, value in os.environ.items() if not key.startswith("STREAM_APP_")} | variables


def once(*arguments: str, killed: bool = False, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """One pass; the exit code and all of its output.

    Parameters: `killed`: the process kills itself when all is acknowledged and nothing saved.
    """
    module = "tests.follow.follow_process" if killed else "stream_app"
    ran = subprocess.run(
        [sys.executable, "-m", module, "follow", *arguments, "--once"],
        cwd=REPOSITORY,
        env=environment(**(variables or {})),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout + ran.stderr


class FollowProcess:
    """A live one."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "follow", *arguments, "--every", "0.1"],
                cwd=REPOSITORY,
                env=environment(),
                stdout=file,
                stderr=file,
            )

    def logged(self, text: str, seconds: float = 60) -> None:
        """Waits until the log contains a text."""
        end = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"never logged {text!r}\n{self.log.read_text()}"
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        """Ends it with SIGTERM; the exit code and its log."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20), self.log.read_text()

    def kill(self) -> None:
        """Ends it if it runs still."""
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    from stream_app.cli import main
    from stream_app.follow import cursor_file

    cursor_file.CursorFile.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,misc]
    main()
