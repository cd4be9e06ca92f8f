"""Atomic replacement of files."""

from __future__ import annotations

import os
from pathlib import Path


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


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
