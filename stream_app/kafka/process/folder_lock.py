"""The lock of a worker's folder: two workers that wrote to one folder would spoil each other's copies of the state."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_app.errors import OptionsError
from stream_app.runtime.files import make_file, make_folder, warn_of_rights

log = logging.getLogger(__name__)

#: The file that is locked. It stays: only the lock counts, which the system releases when the process ends in any way.
NAME = "worker.lock"
#: Errors of file systems that have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which is created if it does not exist.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    OptionsError
        Another process holds the lock, or the folder cannot be written to.
    """
    try:
        make_folder(folder)
        warn_of_rights(folder)
        make_file(folder / NAME)
        file = os.open(folder / NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise OptionsError(f"kafka.folder {folder}: {(error.strerror or 'cannot be written to').lower()}") from None
    try:
        _lock(file, folder)
        yield
    finally:
        os.close(file)


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 20, 0).decode(errors="replace").strip()
        raise OptionsError(
            f"kafka.folder {folder} is in use by another worker (process {holder or 'unknown'}): "
            "give each worker a folder of its own (--folder)"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        log.warning("kafka.folder %s is on a file system without locks: no other worker may use it", folder)
        return
    os.ftruncate(file, 0)
    os.pwrite(file, b"%d\n" % os.getpid(), 0)
