"""A store of ML Metadata, opened for reading: its documented tables, through SQLAlchemy.

The library `ml-metadata` pins versions of protobuf and attrs that conflict with most other packages
(docs/decisions/0030-mlmd-tables.md). A store is only read, in short transactions: in SQLite a long one would keep its
pipelines from writing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import TracebackType

from sqlalchemy import Connection, Engine, column, create_engine, inspect, select, table, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import quoted_name

from stream_app.errors import OptionsError, StreamAppError
from stream_app.sources import sqlite_files
from stream_app.sources.mlmd.queries import EVENT_PATHS, TABLES, Schema

#: Versions of the schema that are read. 5 brought states and times; 6 to 9 add columns and tables that are not used; 10
#: adds `bool_value`.
SCHEMAS = range(5, 11)
_BOOLS = 10
#: MySQL's error codes of a login that is wrong or may not read, or of no database, which a retry does not solve.
_DENIED = frozenset((1044, 1045, 1049, 1142, 1143))
#: The same of PostgreSQL, whose drivers give a failed login as a text alone.
_DENIED_TEXTS = ("password authentication failed", "no pg_hba.conf entry", "does not exist")

#: Module of a driver -> the package that installs it and what it needs, where that has another name.
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_ENVIRONMENT = table(quoted_name("MLMDEnv", quote=False), column("schema_version"))

logger = logging.getLogger(__name__)


class StoreUnavailable(StreamAppError):  # noqa: N818 - it names a state, which may pass
    """The store cannot be read now: it is locked or damaged, or its server is down. The cursor has not moved."""


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
        #: Its name in messages, without a password; and its file, unless it is on a server.
        self.name, self._engine, self.file = _engine(url)
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

    def check(self) -> None:
        """Looks for damage in the tables of a file, which SQLite may pass in silence; servers check themselves.

        Raises
        ------
        StoreUnavailable
            The file is damaged, or locked.
        """
        if self.file is None:
            return
        with closing(sqlite_files.connect(self.file)) as connection:
            found = sqlite_files.damage(connection, [each.name for each in (*TABLES, EVENT_PATHS)])
        if found:
            raise StoreUnavailable(f"{self.name}: {found}")

    def stamp(self) -> tuple[int, ...] | None:
        """What changes when the file is written to; None for a server."""
        return None if self.file is None else sqlite_files.stamp(self.file)

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
        except DBAPIError as error:
            raise self._explained(error) from None
        except UnicodeDecodeError as error:
            raise StoreUnavailable(f"{self.name}: {sqlite_files.meaning(str(error))}") from None

    def _explained(self, error: DBAPIError) -> StreamAppError:
        """The error for a person that an error of a database is."""
        text = str(error.orig)
        if "no such table" in text:
            return OptionsError(f"{self.name}: is not a store of ML Metadata")
        if isinstance(error.orig, sqlite_files.ERRORS):
            return StoreUnavailable(f"{self.name}: {sqlite_files.meaning(text)}")
        if not isinstance(error, OperationalError):
            return OptionsError(f"{self.name}: is not a store of ML Metadata: {_in_one_line(error)}")
        code = error.orig.args[0] if error.orig is not None and error.orig.args else None
        if code in _DENIED or any(denied in text for denied in _DENIED_TEXTS):
            return OptionsError(f"{self.name}: {_in_one_line(error)}")
        return StoreUnavailable(f"{self.name}: {_in_one_line(error)}")


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
    return "MLMDEnv" in sqlite_files.tables_of(path)


def _in_one_line(error: DBAPIError) -> str:
    """What a server says, without MySQL's number of it and the lines in which PostgreSQL shows the query."""
    reason = error.orig.args[-1] if error.orig is not None and error.orig.args else error.orig
    return str(reason).strip().partition("\n")[0]


def _engine(url: str) -> tuple[str, Engine, str | None]:
    if "://" not in url:
        return url, _sqlite(url), url
    scheme = url.split("://")[0]
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database:
                raise OptionsError(f"{url}: names no file; write sqlite:///store.sqlite")
            return parsed.database, _sqlite(parsed.database), parsed.database
        return parsed.render_as_string(), create_engine(parsed, pool_pre_ping=True), None
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(error.name or "", error.name)
        raise OptionsError(f"{scheme}: its driver is not installed; try: pip install '{package}'") from None
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise OptionsError(f"{scheme}: not the URL of a store that can be read: {error}") from None


def _sqlite(path: str) -> Engine:
    found = sqlite_files.fault(path)
    if found:
        raise OptionsError(f"{path}: {found}")
    if cut := sqlite_files.truncation(path):
        raise StoreUnavailable(f"{path}: {cut}")
    return create_engine("sqlite://", creator=lambda: sqlite_files.connect(path), poolclass=NullPool)


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
