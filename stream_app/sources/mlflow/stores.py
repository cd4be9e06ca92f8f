"""Whole tracking stores with their registry: a server, a database, a folder `mlruns`. They are only read.

MLflow's own store creates missing tables, and the row of a default experiment, in whatever database it opens. So a
database of SQLite is copied, a folder is mirrored by links, and a session of a database server is read-only. A database
of another version of MLflow is refused, since it would have to be migrated.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson

from stream_app.errors import OptionsError
from stream_app.extras import how_to_get
from stream_app.sources import sqlite_files
from stream_app.sources.mlflow.cursor import Cursor
from stream_app.sources.mlflow.errors import TrackingUnavailable
from stream_app.sources.mlflow.follow import follow
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.sqlite_files import DamagedFileError
from stream_app.wire import event_to_dict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import URL

#: Tables that a database of MLflow has, whatever its version.
_TABLES = {"alembic_version", "experiments", "runs"}
#: What makes a session of a database server read-only: the parameter of its driver.
_READ_ONLY = {
    "postgresql": ("options", "-c default_transaction_read_only=on"),
    "mysql": ("init_command", "SET SESSION TRANSACTION READ ONLY"),
}


def is_store(address: str) -> bool:
    """Whether a database or a folder is a tracking store of MLflow.

    Parameters
    ----------
    address
        A file of SQLite, a folder, or the URL of a database.

    Returns
    -------
    bool
        False also for what cannot be opened.
    """
    path = _path(address)
    if path is None:
        return "://" in address and _tables_of_server(address) >= _TABLES
    if path.is_dir():
        return any(_is_experiment(each) for each in path.iterdir())
    return sqlite_files.tables_of(path) >= _TABLES


def messages(uri: str, rules: Rules | None = None, now_ms: int | None = None) -> Iterator[bytes]:
    """Yields every event of a store and its registry in native JSON form, in the order of their times.

    Parameters
    ----------
    uri
        The address of a tracking server, a file of SQLite or the URL of a database, or a folder `mlruns`.
    rules
        The rules; by default `Rules()`.
    now_ms
        The time in ms since 1970 UTC, after which nothing has happened; by default that of this machine.

    Yields
    ------
    bytes
        One JSON object after another.

    Raises
    ------
    OptionsError
        The store cannot be read, or there are no runs in it.
    TrackingUnavailable
        The server does not answer.
    DamagedFileError
        The database is damaged, locked or cannot be opened.
    """
    found = False
    with _opened(uri) as client:
        for event in follow(client, Cursor(), time.time_ns() // 1_000_000 if now_ms is None else now_ms, rules):
            found = True
            yield orjson.dumps(event_to_dict(event))
    if not found:
        named = ", ".join(rules.experiments) if rules is not None else ""
        is_server = uri.startswith(("http://", "https://"))
        raise OptionsError(
            f"{_shown(uri)}: there are no runs in its experiments"
            + (f" {named}; see mlflow.experiments in the settings" if named else "")
            + ("; is it the address of a tracking server?" if is_server and not named else "")
        )


@contextmanager
def _opened(uri: str) -> Iterator[MlflowClient]:
    """A client of a store that cannot change it."""
    with ExitStack() as stack:
        path = _path(uri)
        if path is not None and path.is_dir():
            address = stack.enter_context(_mirrored(path))
        elif path is not None:
            address = stack.enter_context(_copied(path, uri))
        elif urlsplit(uri).scheme in ("http", "https"):
            address = uri
        else:
            address = _read_only(uri)
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException

            client = MlflowClient(address, address)
        except ImportError as error:
            raise OptionsError(f"{_shown(uri)}: {error}: {how_to_get('mlflow')}") from None
        except MlflowException as error:
            raise OptionsError(f"{_shown(uri)}: {error.message}") from None
        try:
            yield client
        except TrackingUnavailable as error:
            if address == uri:
                raise
            raise OptionsError(f"{_shown(uri)}: {error}") from None


def _path(address: str) -> Path | None:
    """The file or folder that an address names; None when it names a server."""
    if address.startswith("sqlite:///"):
        return Path(address.removeprefix("sqlite:///").partition("?")[0])
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return None if "://" in address else Path(address)


# Folders


def _is_experiment(path: Path) -> bool:
    return (path / "meta.yaml").is_file()


@contextmanager
def _mirrored(path: Path) -> Iterator[str]:
    """The URI of a folder that has links to what is in another one, and what MLflow would create there."""
    if not any(_is_experiment(each) for each in path.iterdir()):
        raise OptionsError(f"{path}: is no folder of MLflow: no folder in it has a meta.yaml")
    with tempfile.TemporaryDirectory(prefix="stream-app-") as mirror:
        for each in path.iterdir():
            (Path(mirror) / each.name).symlink_to(each.resolve(), each.is_dir())
        uri = Path(mirror).as_uri()
        # The registry of a folder asks whatever store the environment names for logged models, by default one that it
        # creates in the working directory.
        with _environment({"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": uri}):
            yield uri


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


# Databases


@contextmanager
def _copied(path: Path, uri: str) -> Iterator[str]:
    """The URI of a copy of a file of SQLite, which is not damaged."""
    if found := sqlite_files.fault(path):
        raise OptionsError(f"{path}: {found}")
    if found := sqlite_files.truncation(path) or sqlite_files.unopened(path):
        raise DamagedFileError(f"{path}: {found}")
    if not sqlite_files.tables_of(path) >= _TABLES:
        raise OptionsError(f"{path}: is no tracking database of MLflow: it has no tables of experiments and runs")
    with tempfile.TemporaryDirectory(prefix="stream-app-") as folder:
        copy = Path(folder) / "mlflow.db"
        try:
            with closing(sqlite_files.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                found = sqlite_files.damage(target)
        except sqlite_files.ERRORS as error:
            raise DamagedFileError(f"{path}: {sqlite_files.meaning(str(error))}") from None
        if found:
            raise DamagedFileError(f"{path}: {found}")
        _check_version(f"sqlite:///{copy}", _shown(uri))
        yield f"sqlite:///{copy}"


def _tables_of_server(url: str) -> set[str]:
    try:
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.exc import SQLAlchemyError

        engine = create_engine(url)
    except Exception:  # no driver, no such dialect, no such URL: whatever it is, it is no store that can be read
        return set()
    try:
        return set(inspect(engine).get_table_names())
    except SQLAlchemyError:
        return set()
    finally:
        engine.dispose()


def _read_only(uri: str) -> str:
    """The URL of a database server, so that a session of it cannot write."""
    try:
        url = _url(uri)
    except ImportError:
        raise OptionsError(f"{_shown(uri)}: reading a database needs the package sqlalchemy") from None
    parameter = _READ_ONLY.get(url.get_backend_name())
    if parameter is None:
        raise OptionsError(
            f"{_shown(uri)}: not the address of a tracking store; expected http(s)://, sqlite:///, postgresql://, "
            "mysql:// or a folder mlruns"
        )
    key, value = parameter
    given = url.query.get(key)
    separator = "; " if key == "init_command" else " "
    combined = (
        value if given is None else f"{given if isinstance(given, str) else separator.join(given)}{separator}{value}"
    )
    address = url.update_query_dict({key: combined}).render_as_string(hide_password=False)
    _check_version(address, _shown(uri))
    return address


def _url(uri: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri)
    except ArgumentError:
        raise OptionsError(f"{_shown(uri)}: not the address of a tracking store") from None


def _check_version(address: str, shown: str) -> None:
    """Refuses a database that MLflow would have to change before it can read it. Raises OptionsError."""
    utils: Any  # what its store checks by itself, before it changes anything
    try:
        import sqlalchemy
        from mlflow.store.db import utils
    except ImportError as error:
        raise OptionsError(f"{shown}: {error}: {how_to_get('mlflow')}") from None
    try:
        engine = sqlalchemy.create_engine(address)
        try:
            found, expected = utils._get_schema_version(engine), utils._get_latest_schema_revision()
            is_whole = found == expected and utils._all_tables_exist(engine)
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise OptionsError(f"{shown}: cannot be opened: {' '.join(str(error).split())}") from None
    if not is_whole:
        raise OptionsError(
            f"{shown}: is a database of another version of MLflow (its schema is {found}; the installed one reads "
            f"{expected}). It is not migrated here: name its tracking server instead (http://...), install the version "
            "that wrote it, or run `mlflow db upgrade` on a copy and name the copy"
        )


def _shown(uri: str) -> str:
    """An address without user and password."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else uri
