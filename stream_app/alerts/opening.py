"""Opens the store of alerts in a folder, with the key that encrypts secrets."""

from __future__ import annotations

import secrets
import sqlite3
from functools import partial
from pathlib import Path

from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.errors import OptionsError
from stream_app.runtime.files import make_file, make_folder, replace_file, tighten

#: Tables of which a store that follows no log may have rows.
_CONTENT = ("subscriptions", "rows", "flags", "deliveries", "audit", "deleted")


def open_store(folder: Path, key: bytes | None = None, *, follows: bool = False) -> AlertStore:
    """Opens the store of alerts in a folder.

    Parameters
    ----------
    folder
        The folder; store and key are made for this user alone.
    key
        The key that encrypts secrets; None: that of the folder, made where there is none.
    follows
        Whether the store follows a log that is kept elsewhere, and has no entries of its own.

    Returns
    -------
    AlertStore

    Raises
    ------
    OptionsError
        It cannot be opened or written, or it is kept for the other purpose.
    """
    path = folder / "alerts.sqlite"
    try:
        make_folder(folder)
        if key is None:
            key = _own_key(folder / "alerts.key")
        make_file(path)  # SQLite gives new files beside it the same rights
        for end in ("-wal", "-shm"):
            tighten(path.with_name(path.name + end))
    except OSError as error:
        raise OptionsError(f"{path}: cannot be opened: {error.strerror}") from None
    store = AlertStore(path, Vault(key))
    try:
        store.erase(partial(_claim, path, follows))
    except AlertStoreError as error:
        store.close()
        raise OptionsError(str(error)) from None
    except OptionsError:
        store.close()
        raise
    return store


def _claim(path: Path, follows: bool, db: sqlite3.Connection) -> None:
    """Keeps a store for a log that it follows, or for entries of its own: the first page of a log deletes others."""
    names = {name for (name,) in db.execute("SELECT name FROM meta")}
    is_own = "cursor" in names or any(db.execute(f"SELECT 1 FROM {each} LIMIT 1").fetchone() for each in _CONTENT)
    kept_for = "notify" if "log" in names else "serve" if is_own else ""
    opened_by = "notify" if follows else "serve"
    if kept_for not in ("", opened_by):
        raise OptionsError(f"{path} is that of stream-app {kept_for}: give stream-app {opened_by} another folder")
    db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", ("log", " 0") if follows else ("cursor", "0"))


def _own_key(path: Path) -> bytes:
    if not path.exists():
        replace_file(path, secrets.token_urlsafe(32).encode() + b"\n")
    tighten(path)
    return path.read_bytes()
