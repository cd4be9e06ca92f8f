"""Processes under a clock that is wrong, or jumps while they run: libfaketime, installed where it is missing."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.reliability.toxiproxy import UnavailableError

HELP = "wrong clocks need libfaketime: `apt-get install faketime libfaketime`"
#: The variables that a process under such a clock has.
_NAMES = ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_CACHE_DURATION", "FAKETIME_DONT_FAKE_MONOTONIC")


def library() -> str:
    """The library that is loaded before all others."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        command = ["apt-get", "install", "-y", "--no-install-recommends", "faketime", "libfaketime"]
        subprocess.run(command, capture_output=True, check=False)
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise UnavailableError(HELP)
    return found[0]


class Clock:
    """A clock that is set while processes run.

    Parameters
    ----------
    file
        Holds what it is set to, such as `+3d` or `+0 x60`; processes look every second.
    with_monotonic
        Whether the monotonic clock is wrong as well, as in a machine whose processor keeps time badly.
    """

    def __init__(self, file: Path, *, with_monotonic: bool = False) -> None:
        self._file = file
        self._with_monotonic = with_monotonic
        self.set("+0")

    def set(self, setting: str) -> None:
        partial = self._file.with_suffix(".partial")
        partial.write_text(setting)
        partial.replace(self._file)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Processes that are started in the block have this clock."""
        before = {name: os.environ.get(name) for name in _NAMES}
        given = dict(zip(_NAMES, (library(), str(self._file), "1", "0" if self._with_monotonic else "1"), strict=True))
        os.environ.update(given)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
