"""A store of ML Metadata, opened for reading: its documented tables, through SQLAlchemy.

The library `ml-metadata` pins versions of protobuf and attrs that conflict with most other packages
(docs/decisions/0030-mlmd-tables.md). A store is only read, in short transactions: in SQLite a long one would keep its
pipelines from writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from sqlalchemy import Connection, Engine, column, create_engine, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool

from stream_app.errors import OptionsError, StreamAppError

#: Versions of the schema that are read. Before 8 there are unknown tables; 9 adds external ids, which are not used; 10
#: adds `bool_value` and `proto_value`.
SCHEMAS = range(8, 11)
#: Seconds to wait for a writer of a SQLite store.
_BUSY_S = 5.0

#: MySQL's error codes of a login that is wrong or may not read, which a retry does not solve.
_DENIED = frozenset((1044, 1045, 1142, 1143))

_ENVIRONMENT = table("MLMDEnv", column("schema_version"))


class StoreUnavailable(StreamAppError):  # noqa: N818 - it names a state, which may pass
    """The store does not answer now: it is locked, or its server is down. The cursor has not moved; try again."""


class Store:
    """An open store; a context manager.

    Parameters
    ----------
    url
        A SQLite file, or a URL as SQLAlchemy takes it: `sqlite:///store.sqlite`, `mysql+pymysql://user@host/mlmd`.

    Raises
    ------
    OptionsError
        There is no such store, it may not be read, it is not of ML Metadata, or its schema is of a version that is not
        read.
    StoreUnavailable
        The store does not answer.
    """

    def __init__(self, url: str) -> None:
        #: Its name in messages, without a password.
        self.name, self._engine = _engine(url)
        try:
            with self.connect() as connection:
                self.schema = _schema(connection, self.name)
        except BaseException:
            self._engine.dispose()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Opens a connection in a transaction of its own.

        Yields
        ------
        Connection
            The connection.

        Raises
        ------
        StoreUnavailable
            The store does not answer.
        OptionsError
            It is not a store of ML Metadata, or may not be read.
        """
        try:
            with self._engine.connect() as connection:
                yield connection
        except OperationalError as error:
            if "no such table" in str(error.orig):
                raise OptionsError(f"{self.name}: is not a store of ML Metadata") from None
            if error.orig is not None and error.orig.args[:1] and error.orig.args[0] in _DENIED:
                raise OptionsError(f"{self.name}: {error.orig.args[-1]}") from None
            raise StoreUnavailable(f"{self.name}: {error.orig}") from None
        except DBAPIError as error:
            raise OptionsError(f"{self.name}: is not a store of ML Metadata: {error.orig}") from None


def called(url: str) -> str:
    """The name of a store in messages.

    Parameters
    ----------
    url
        A file, or a URL.

    Returns
    -------
    str
        The file's path, or the URL without the password.

    Raises
    ------
    OptionsError
        It is not the URL of a store that can be read.
    """
    if "://" not in url:
        return url
    try:
        return make_url(url).render_as_string()
    except ArgumentError as error:
        raise OptionsError(f"{url.split('://')[0]}: not the URL of a store that can be read: {error}") from None


def _engine(url: str) -> tuple[str, Engine]:
    if "://" not in url:
        return url, _sqlite(url)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return str(parsed.database), _sqlite(str(parsed.database))
        return parsed.render_as_string(), create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise OptionsError(f"{url.split('://')[0]}: not the URL of a store that can be read: {error}") from None


def _sqlite(path: str) -> Engine:
    if not Path(path).is_file():
        raise OptionsError(f"{path}: no such file")
    address = _read_only(path)
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=_BUSY_S), poolclass=NullPool
    )


def _read_only(path: str) -> str:
    return f"file:{quote(str(Path(path).absolute()))}?mode=ro"


def _schema(connection: Connection, name: str) -> int:
    version = connection.execute(select(_ENVIRONMENT.c.schema_version)).scalar()
    if version is None or int(version) not in SCHEMAS:
        raise OptionsError(
            f"{name}: schema version {version}, expected {SCHEMAS[0]} to {SCHEMAS[-1]}; ML Metadata can migrate it"
        )
    return int(version)
