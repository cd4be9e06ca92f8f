"""All that is written for the program itself: files and folders for its user alone, and their atomic replacement.

Reports, and what `stream-app replay` writes, belong to whoever asked for them, and follow the umask.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from stream_app.errors import OptionsError

log = logging.getLogger(__name__)

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of a file, or create it, atomically and durably.

    The content is written to `<name>.part` beside the file and renamed over it; file and folder are synced to disk.
    After a crash the file has either its old or its new content. Only the owner can read it (mode 0600).

    Parameters
    ----------
    path
        The file. Only one process and thread may replace it at a time.
    content
        Its new content.

    Raises
    ------
    OSError
        The file cannot be written; the old content is still there.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    # O_EXCL: never write through a symbolic link, nor into a file that somebody else can read.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for this user alone (mode 0700).

    Parameters
    ----------
    folder
        The folder. One that is there stays as it is; see `warn_of_rights`.

    Raises
    ------
    OSError
        It cannot be created.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        with contextlib.suppress(FileExistsError):
            missing.mkdir(mode=0o700)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def make_file(path: Path) -> None:
    """Create a file for this user alone (mode 0600), and take all rights of others from one that is there.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        It cannot be created.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    tighten(path)


def tighten(path: Path) -> None:
    """Take all rights of others from a file, or from a folder and all that is in it.

    Parameters
    ----------
    path
        A file or a folder of this program alone, or nothing. Symbolic links within a folder are left as they are, and
        so is what belongs to another user.
    """
    found = (path, *path.rglob("*")) if path.is_dir() else (path,)
    for each in found:
        with contextlib.suppress(OSError):  # it may be deleted meanwhile
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & 0o077 and (each == path or not each.is_symlink()):
                each.chmod(mode & 0o700)


def warn_of_rights(folder: Path) -> None:
    """Log a warning if others have rights to a folder that was there before: it may be theirs too, so it stays.

    Parameters
    ----------
    folder
        The folder.
    """
    status = folder.stat()
    others = status.st_mode & (0o077 if status.st_uid == os.geteuid() else stat.S_IWOTH)
    if others and not status.st_mode & stat.S_ISVTX:
        log.warning(
            "others have rights to the folder %s (mode %o), though not to the files: chmod 700 it, or name a folder "
            "below it",
            folder,
            stat.S_IMODE(status.st_mode),
        )


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let everything that this process creates meanwhile be its user's alone: files 0600, folders 0700.

    This includes what libraries create, such as RocksDB and SQLite.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def read_secret_file(path: Path) -> bytes:
    """Read a file that holds a secret, such as a key or a password.

    Symbolic links are followed. Files that others can read are accepted: mounted secrets often are such, and belong to
    the system. A file that belongs to a user and that others can read is warned about.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    OptionsError
        Others can write to it, or to its folder, and so choose the secret.
    OSError
        It cannot be read.
    """
    check_secret_file(path)
    return path.read_bytes()


def check_secret_file(path: Path) -> None:
    """Refuse a file whose content others can choose; see `read_secret_file`.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OptionsError
        Others can write to it or to its folder.
    OSError
        It cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return  # a pipe is its maker's alone
    real = path.resolve()
    if mode & _OTHERS_WRITE:
        raise OptionsError(
            f"{real}: others can write to it, and it holds a secret: chmod go-w {shlex.quote(str(real))}"
        )
    for folder in dict.fromkeys((path.absolute().parent, real.parent)):
        rights = folder.stat().st_mode
        if rights & _OTHERS_WRITE and not rights & stat.S_ISVTX:
            raise OptionsError(
                f"{path}: others can write to its folder, and so replace it, and it holds a secret: "
                f"chmod go-w {shlex.quote(str(folder))}"
            )
    if mode & 0o044 and real.stat().st_uid:
        log.warning("%s holds a secret and others can read it: chmod 600 %s", path, shlex.quote(str(real)))


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
