"""A store of ML Metadata, opened for reading: its documented tables, through SQLAlchemy.

The library `ml-metadata` pins versions of protobuf and attrs that conflict with most other packages
(docs/decisions/0030-mlmd-tables.md). A store is only read, in short transactions: in SQLite a long one would keep its
pipelines from writing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from sqlalchemy import Connection, Engine, column, create_engine, inspect, select, table, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import quoted_name

from stream_app.errors import OptionsError, StreamAppError
from stream_app.sources.mlmd.queries import TABLES, Schema

#: Versions of the schema that are read. 5 brought states and times; 6 to 9 add columns and tables that are not used; 10
#: adds `bool_value`.
SCHEMAS = range(5, 11)
_BOOLS = 10
#: Seconds to wait for a writer of a SQLite store.
_BUSY_S = 5.0

#: MySQL's error codes of a login that is wrong or may not read, or of no database, which a retry does not solve.
_DENIED = frozenset((1044, 1045, 1049, 1142, 1143))
#: The same of PostgreSQL, whose drivers give a failed login as a text alone.
_DENIED_TEXTS = ("password authentication failed", "no pg_hba.conf entry", "does not exist")

#: Module of a driver -> the package that installs it and what it needs, where that has another name.
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_ENVIRONMENT = table(quoted_name("MLMDEnv", quote=False), column("schema_version"))

logger = logging.getLogger(__name__)


class StoreUnavailable(StreamAppError):  # noqa: N818 - it names a state, which may pass
    """The store does not answer now: it is locked, or its server is down. The cursor has not moved; try again."""


class Store:
    """An open store; a context manager.

    Parameters
    ----------
    url
        A SQLite file, or a URL as SQLAlchemy takes it: `sqlite:///store.sqlite`, `mysql+pymysql://user@host/mlmd`,
        `postgresql+psycopg://user@host/mlmd`.

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
            code = error.orig.args[0] if error.orig is not None and error.orig.args else None
            if code in _DENIED or any(denied in str(error.orig) for denied in _DENIED_TEXTS):
                raise OptionsError(f"{self.name}: {_in_one_line(error)}") from None
            raise StoreUnavailable(f"{self.name}: {_in_one_line(error)}") from None
        except DBAPIError as error:
            raise OptionsError(f"{self.name}: is not a store of ML Metadata: {_in_one_line(error)}") from None


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


def is_store(path: str) -> bool:
    """Whether a file is a store of ML Metadata.

    Parameters
    ----------
    path
        A file.

    Returns
    -------
    bool
        True for a SQLite database with the table `MLMDEnv`; False for any other file, and where there is none.
    """
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'MLMDEnv'")
            return found.fetchone() is not None
    except sqlite3.Error:
        return False


def _in_one_line(error: DBAPIError) -> str:
    """What a server says, without MySQL's number of it and the lines in which PostgreSQL shows the query."""
    reason = error.orig.args[-1] if error.orig is not None and error.orig.args else error.orig
    return str(reason).strip().partition("\n")[0]


def _engine(url: str) -> tuple[str, Engine]:
    if "://" not in url:
        return url, _sqlite(url)
    scheme = url.split("://")[0]
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database:
                raise OptionsError(f"{url}: names no file; write sqlite:///store.sqlite")
            return parsed.database, _sqlite(parsed.database)
        return parsed.render_as_string(), create_engine(parsed, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(error.name or "", error.name)
        raise OptionsError(f"{scheme}: its driver is not installed; try: pip install '{package}'") from None
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise OptionsError(f"{scheme}: not the URL of a store that can be read: {error}") from None


def _sqlite(path: str) -> Engine:
    if not Path(path).is_file():
        raise OptionsError(f"{path}: no such file")
    return create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)


def _connect(path: str) -> sqlite3.Connection:
    """A connection that cannot write, nor make a file."""
    address = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S)


def _schema(connection: Connection, name: str) -> Schema:
    """The schema of a store, which is read where its version is known or all that is needed is there."""
    version = connection.execute(select(_ENVIRONMENT.c.schema_version)).scalar()
    if version is None:
        raise OptionsError(f"{name}: is not a store of ML Metadata: it has no schema version")
    version = int(version)
    if version < SCHEMAS[0]:
        raise OptionsError(
            f"{name}: schema version {version} is too old to be read, which needs {SCHEMAS[0]} to {SCHEMAS[-1]}; "
            "migrate it: open a copy once with the library ml-metadata, "
            "MetadataStore(config, enable_upgrade_migration=True)"
        )
    tables = {each.lower() for each in inspect(connection).get_table_names()}
    if version > SCHEMAS[-1]:
        missing = []
        for each in TABLES:
            stored = each.name.lower() in tables
            columns = connection.execute(select(text("*")).select_from(each).limit(0)).keys() if stored else ()
            stored_columns = {column.lower() for column in columns}
            missing += [f"{each.name}.{column.name}" for column in each.columns if column.name not in stored_columns]
        if missing:
            raise OptionsError(
                f"{name}: schema version {version} is newer than {SCHEMAS[-1]} and has no {', '.join(missing)}; "
                f"update stream-app, or have ml-metadata downgrade a copy to schema {SCHEMAS[-1]} (downgrade_schema)"
            )
        logger.warning(
            "%s: schema version %d is newer than %d, the last that was tried; all that is needed is there",
            name,
            version,
            SCHEMAS[-1],
        )
    return Schema(version, version >= _BOOLS, "eventpath" in tables)
