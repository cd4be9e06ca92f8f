"""Opens the store of alerts in a folder, with the key that encrypts secrets."""

from __future__ import annotations

import secrets
from pathlib import Path

from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.errors import OptionsError
from stream_app.runtime.files import make_file, make_folder, replace_file, tighten


def open_store(folder: Path, key: bytes | None = None) -> AlertStore:
    """Opens the store of alerts in a folder.

    Parameters
    ----------
    folder
        The folder; store and key are made for this user alone.
    key
        The key that encrypts secrets; None: that of the folder, made where there is none.

    Returns
    -------
    AlertStore

    Raises
    ------
    OptionsError
        It cannot be opened.
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
    return AlertStore(path, Vault(key))


def _own_key(path: Path) -> bytes:
    if not path.exists():
        replace_file(path, secrets.token_urlsafe(32).encode() + b"\n")
    tighten(path)
    return path.read_bytes()
