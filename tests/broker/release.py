"""An earlier release as a program: its wheel in `tests/releases`, unpacked; its dependencies are the installed ones."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.broker.cluster import REPOSITORY

LAST = "stream_app-0.1.0-py3-none-any.whl"


@dataclass(frozen=True)
class Release:
    """A release whose wheel is unpacked in `folder`."""

    folder: Path

    @property
    def python_path(self) -> str:
        """The value of `PYTHONPATH` under which `python -m stream_app` is this release, in any folder but a checkout.

        The folder also holds the `.dist-info`, so the release finds its own version.
        """
        return str(self.folder)

    def run(self, cwd: Path, *arguments: str) -> str:
        """Run Python with the arguments in `cwd`; returns what it prints."""
        environment = {**os.environ, "PYTHONPATH": self.python_path}
        ran = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


def unpack(folder: Path, wheel: str = LAST) -> Release:
    """Unpack a wheel of `tests/releases` into `folder`."""
    with zipfile.ZipFile(REPOSITORY / "tests" / "releases" / wheel) as packed:
        packed.extractall(folder)
    return Release(folder)
