"""Ctrl-C ends every command with 130 and one line; SIGTERM ends a service with 0 and any other command at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recorded import fleet_lines

pytestmark = pytest.mark.slow


class Started:
    """A command that runs, and has printed or written something by now.

    Parameters
    ----------
    arguments
        Of `stream-app`.
    folder
        Its working directory.
    """

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", *arguments],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores it
        )  # fmt: skip

    def first_line(self, stream: str) -> bytes:
        """Waits for the first line on `stdout` or `stderr`."""
        line: bytes = getattr(self.process, stream).readline()
        return line

    def end(self, number: signal.Signals) -> tuple[int, bytes]:
        """Sends a signal; the exit code and what it still says on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate()
        return self.process.returncode, said


def reading(folder: Path) -> Started:
    """`replay` in the middle of its standard input."""
    started = Started(["replay", "-", "--verdicts", "-"], folder)
    assert started.process.stdin is not None
    started.process.stdin.write(b"".join(line + b"\n" for line in fleet_lines()[:400]))
    started.process.stdin.flush()
    assert started.first_line("stdout").startswith(b"{")
    return started


def simulating(folder: Path) -> Started:
    """`simulate` in the middle of a long fleet."""
    started = Started(["simulate", "--days", "3000", "--out", "-"], folder)
    assert started.first_line("stdout").startswith(b"{")
    return started


def demonstrating(folder: Path) -> Started:
    """`demo` in the middle of a long fleet."""
    started = Started(["demo", "--days", "3000"], folder)
    assert started.first_line("stdout")
    return started


def serving(folder: Path) -> Started:
    """`serve`, embedded."""
    started = Started(["serve", "--port", "0", "--data", "data"], folder)
    assert started.first_line("stdout").startswith(b"serving at http://")
    return started


def following(folder: Path) -> Started:
    """`follow`, while the server is away."""
    away = "http://127.0.0.1:1"
    started = Started(["follow", "mlflow", away, "--cursor", "cursor", "--url", away], folder)
    assert b"trying again" in started.first_line("stderr")
    return started


@pytest.mark.parametrize("start", [reading, simulating, demonstrating, serving, following])
def test_ctrl_c_is_130_and_one_line(start: Callable[[Path], Started], tmp_path: Path) -> None:
    """Whether it reads, writes, serves or waits."""
    code, said = start(tmp_path).end(signal.SIGINT)

    assert code == 130
    assert said.endswith(b"stream-app: interrupted\n")
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("start", "code"), [(serving, 0), (following, 0), (reading, -signal.SIGTERM), (simulating, -signal.SIGTERM)]
)
def test_sigterm_is_the_usual_end_of_a_service_only(
    start: Callable[[Path], Started], code: int, tmp_path: Path
) -> None:
    """A service finishes what it has in hand."""
    ended, said = start(tmp_path).end(signal.SIGTERM)

    assert ended == code
    assert b"Traceback" not in said
