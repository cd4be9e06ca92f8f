"""`stream-app emit` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.web.served import Service

REPOSITORY = Path(__file__).resolve().parents[2]
#: Runs the command with a limit on the bytes of any file that it writes: for it the disk is full.
_FULL_DISK = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY));"
    "from stream_app.cli import main; main()"
)


class Emitting:
    """One that is live; waits until it listens."""

    def __init__(self, folder: Path, *flags: str, full_disk: bool = False, port: int = 0) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._program = [sys.executable, *(("-c", _FULL_DISK) if full_disk else ("-m", "stream_app"))]
        self._flags = ["--spool", str(folder / "spool"), *flags]
        self.log = ""
        self._start(port)

    def _start(self, port: int) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAM_APP_")}
        # A pipe takes its log: a file would have the limit of the disk.
        self.process = subprocess.Popen(
            [*self._program, "emit", *self._flags, "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | {"PYTHONPATH": str(REPOSITORY)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("taking events at http://"):
            raise AssertionError(f"{line}{self.process.communicate()[1].decode()}")
        self.service = Service("127.0.0.1", int(line.rpartition(":")[2]))

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.log += self.process.communicate()[1].decode()

    def restart(self) -> None:
        """Starts it again at the same port, as an orchestrator does."""
        self._start(self.service.port)

    def end(self) -> int:
        """Ends it with SIGTERM, after which it delivers what it can; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.log += self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode

    def metric(self, name: str, **labels: str) -> float:
        """A metric of it."""
        shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
        start = f"stream_app_{name}{{{shown}}} " if labels else f"stream_app_{name} "
        lines = self.service.get("/metrics").body.decode().splitlines()
        [found] = [line.removeprefix(start) for line in lines if line.startswith(start)]
        return float(found)

    def wait_for(self, name: str, value: float, **labels: str) -> None:
        """Waits until a metric has reached a value."""
        end = time.monotonic() + 60
        while self.metric(name, **labels) < value:
            assert time.monotonic() < end, f"{name} never reached {value}"
            time.sleep(0.05)

    @property
    def peak_mib(self) -> float:
        """The most memory that it has used."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(kilobytes) / 1024
