"""Files of SQLite, opened for reading only, and what is wrong with one that cannot be read.

SQLite has no checksums. It may return fewer rows from a damaged page and no error, so a file is checked before its rows
count: `PRAGMA integrity_check` finds pages that are not as they must be, and rows that their indexes do not know.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from stream_app.errors import StreamAppError

#: What reading raises; the second where SQLite shows a part of a damaged file in its words.
ERRORS = (sqlite3.Error, UnicodeDecodeError)
#: Seconds to wait for a writer.
BUSY_SECONDS = 5.0
#: The first bytes of a database.
MAGIC = b"SQLite format 3\0"
#: Bytes of its header.
_HEADER = 100
_REPAIR = "restore it from a backup, or save what is left with `sqlite3 FILE .recover`"
#: What SQLite says -> what that is, and what to do.
_MEANINGS = {
    "malformed": f"is damaged: {_REPAIR}",
    "file is not a database": f"is encrypted, or damaged: {_REPAIR}",
    "is locked": "is locked by another process: try again when that is done",
    "readonly database": "was left in the middle of a write: open it once with the program that wrote it, or copy it "
    "with its files -wal and -journal",
    "unable to open": "cannot be opened: its files -wal, -shm and -journal must be readable, and its folder writable "
    "where it is in WAL mode",
    "disk I/O error": "cannot be read: the disk reports an error",
    "can't decode": f"is damaged: {_REPAIR}",
    "Could not decode to UTF-8": f"is damaged, or holds texts that are not UTF-8: {_REPAIR}",
}


class DamagedFileError(StreamAppError):
    """A database is damaged, locked or cannot be opened; the message says which, and what to do. Exit code 1."""


def connect(path: str | Path) -> sqlite3.Connection:
    """A connection that cannot write, nor make a file.

    Parameters
    ----------
    path
        The file.
    """
    address = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)


def is_sqlite(path: str | Path) -> bool:
    """Whether a regular file begins as a database of SQLite; nothing is read from a pipe, which would be missing then.

    Parameters
    ----------
    path
        The file.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and _head(path).startswith(MAGIC)
    except OSError:
        return False


def fault(path: str | Path) -> str:
    """What is wrong with a file as such, before it is opened as a database.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        What it is, and what to do, after which the name of the file is missing; "" when nothing is wrong.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        return "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "cannot be read").lower()
    if stat.S_ISDIR(found.st_mode):
        return "is a folder, not a database of SQLite"
    if not stat.S_ISREG(found.st_mode):
        return "is a pipe or a device, which SQLite cannot read: copy it to a file"
    try:
        head = _head(path)
    except OSError as error:
        return (error.strerror or "cannot be read").lower()
    if not head:
        return "is an empty file (0 bytes): is it the right one, or was it being copied?"
    if not head.startswith(MAGIC):
        return f"is no database of SQLite, or its beginning is damaged: {_REPAIR}"
    return ""


def truncation(path: str | Path) -> str:
    """Whether a database is shorter than its header says.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        As of `fault`.
    """
    head, size = _head(path), os.stat(path).st_size
    page = int.from_bytes(head[16:18], "big")
    page = 65_536 if page == 1 else page
    # The number of pages counts only where the same write has set it; with a file -wal, pages may be in that.
    counts = len(head) == _HEADER and head[24:28] == head[92:96] and not _has_wal(path)
    expected = int.from_bytes(head[28:32], "big") * page if counts else _HEADER
    return f"is cut off: {size:,} of {expected:,} bytes are there: {_REPAIR}" if size < expected else ""


def meaning(text: str) -> str:
    """What an error of SQLite means to the people who read it.

    Parameters
    ----------
    text
        What SQLite says.

    Returns
    -------
    str
        As of `fault`, with what SQLite says; that alone where nothing more is known of it.
    """
    words = " ".join(text.split())
    return next((f"{told} ({words})" for part, told in _MEANINGS.items() if part in words), words)


def damage(connection: sqlite3.Connection, tables: Iterable[str] | None = None) -> str:
    """Looks for damage in a database: each table by itself, so that no lock is held for long.

    It takes 1.2 s for 100 MB, and a process that writes has to wait for the table, unless the file is in WAL mode.

    Parameters
    ----------
    connection
        An open connection, in no transaction.
    tables
        The tables that are looked at, where they exist; None: all.

    Returns
    -------
    str
        As of `fault`.
    """
    try:
        stored = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        wanted = None if tables is None else {each.lower() for each in tables}
        for name in stored:
            if wanted is None or name.lower() in wanted:
                quoted = name.replace('"', '""')
                (found,) = connection.execute(f'PRAGMA integrity_check("{quoted}")').fetchone() or ("ok",)
                if found != "ok":
                    return f"is damaged: {_REPAIR} (table {name}: {' '.join(str(found).split())[:200]})"
    except ERRORS as error:
        return meaning(str(error))
    return ""


def unopened(path: str | Path) -> str:
    """Why the tables of a database cannot be listed.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        As of `fault`.
    """
    try:
        _tables(path)
    except ERRORS as error:
        return meaning(str(error))
    return ""


def tables_of(path: str | Path) -> set[str]:
    """The names of the tables of a file; none where it cannot be read.

    Parameters
    ----------
    path
        The file.
    """
    try:
        return _tables(path) if is_sqlite(path) else set()
    except ERRORS:
        return set()


def _tables(path: str | Path) -> set[str]:
    with closing(connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def stamp(path: str | Path) -> tuple[int, ...]:
    """What changes when a database is written to: times and sizes of the file and of its WAL.

    Parameters
    ----------
    path
        The file.
    """
    found = [_stat(path), _stat(f"{path}-wal")]
    return tuple(number for each in found if each is not None for number in (each.st_mtime_ns, each.st_size))


def _stat(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _has_wal(path: str | Path) -> bool:
    found = _stat(f"{path}-wal")
    return found is not None and found.st_size > 0


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_HEADER)
