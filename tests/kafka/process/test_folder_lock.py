"""A folder has one worker."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.kafka.process import folder_lock
from stream_app.kafka.process.folder_lock import NAME, locked


def test_a_second_worker_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    """With what to do; when the first has ended, the folder is free."""
    with locked(tmp_path / "a"):
        with pytest.raises(OptionsError) as refused, locked(tmp_path / "a"):
            pass
        with locked(tmp_path / "b"):
            pass
    with locked(tmp_path / "a"):
        pass

    assert str(refused.value) == (
        f"kafka.folder {tmp_path / 'a'} is in use by another worker (process {os.getpid()}): "
        "give each worker a folder of its own (--folder)"
    )


def test_the_lock_of_a_killed_worker_is_no_lock(tmp_path: Path) -> None:
    """Its file is still there, with its number."""
    program = f"""
import time
from pathlib import Path
from stream_app.kafka.process.folder_lock import locked
with locked(Path({str(tmp_path)!r})):
    print("locked", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(OptionsError, match=f"process {other.pid}"), locked(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    assert (tmp_path / NAME).read_text() == f"{other.pid}\n"

    with locked(tmp_path):
        assert (tmp_path / NAME).read_text() == f"{os.getpid()}\n"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OptionsError, match=r"kafka.folder .*: not a directory"), locked(tmp_path / "file" / "folder"):
        pass


def test_where_there_are_no_locks_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some network file systems have none; the log says what that means."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
    with locked(tmp_path), locked(tmp_path):
        pass

    assert "without locks" in caplog.text
