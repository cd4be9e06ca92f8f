"""From an argument of `replay`, `check` and `explain` to what it names: a file of events, a store, a topic."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stream_app.cli.assembly import connection_of, mlflow_rules_of, mlmd_rules_of, prepare_mlflow
from stream_app.cli.flags import need
from stream_app.errors import OptionsError
from stream_app.extras import how_to_get

if TYPE_CHECKING:
    from stream_app.options import Options
    from stream_app.replay.reading import Stores

#: What can be read, for the help of the commands.
SOURCES_HELP = (
    "Events: .jsonl, .json (a document, an array or lines), either gzipped; - for standard input. Or a store of ML "
    "Metadata or MLflow: a database of SQLite, mysql+pymysql://..., postgresql://..., a folder mlruns, the address "
    "of a tracking server. Or a topic: kafka://host:9092/topic."
)


def stores_of(options: Options) -> Stores:
    """How arguments that are no files of events are read.

    Parameters
    ----------
    options
        All options: the meaning of names in each store, and the login of Kafka.
    """

    from stream_app.sources import sqlite_files

    def messages(address: str) -> Iterator[bytes] | None:
        if address.startswith("file:"):
            return _folder_url(address, options)
        scheme = address.partition("://")[0].lower() if "://" in address else ""
        if scheme in ("http", "https"):
            return _mlflow(address, options)
        if scheme == "kafka":
            return _topic(address, options)
        backend = scheme.partition("+")[0]
        if backend in ("sqlite", "mysql", "postgresql") or sqlite_files.is_sqlite(address):
            return _database(address, options)
        if scheme:
            raise OptionsError(
                f"{scheme}://: no address that is read; expected a file, http(s)://, sqlite:///, mysql+pymysql://, "
                "postgresql:// or kafka://"
            )
        if os.path.isdir(address):
            return _folder(address, options)
        return None

    return messages


def _database(address: str, options: Options) -> Iterator[bytes]:
    from stream_app.sources import mlflow, sqlite_files

    path = address.partition(":///")[2] if address.startswith("sqlite:///") else address
    if "://" not in path:
        if found := sqlite_files.fault(path):
            raise OptionsError(f"{path}: {found}")
        if found := sqlite_files.truncation(path) or sqlite_files.unopened(path):
            raise sqlite_files.DamagedFileError(f"{path}: {found}")
        if mlflow.is_store(path):
            return _mlflow(address, options)
    if "://" in path and importlib.util.find_spec("sqlalchemy") is None:
        raise OptionsError(
            f"reading a database needs more packages: for ML Metadata {how_to_get('mlmd')}, for MLflow "
            f"{how_to_get('mlflow')}"
        )
    need("mlmd", "sqlalchemy")
    from stream_app.sources import mlmd

    if "://" not in path:
        if mlmd.is_store(path):
            return mlmd.messages(path, mlmd_rules_of(options))
        raise OptionsError(f"{path}: is a database of SQLite, but no store of ML Metadata or MLflow")
    try:
        mlmd.Store(address).close()
    except OptionsError:
        if mlflow.is_store(address):
            return _mlflow(address, options)
        raise
    return mlmd.messages(address, mlmd_rules_of(options))


def _folder(path: str, options: Options) -> Iterator[bytes] | None:
    from stream_app.sources import mlflow

    return _mlflow(path, options) if mlflow.is_store(path) else None


def _folder_url(address: str, options: Options) -> Iterator[bytes]:
    found = _folder(address, options)
    if found is None:
        raise OptionsError(f"{address}: is no folder of MLflow; name a file by its path alone, without file://")
    return found


def _mlflow(uri: str, options: Options) -> Iterator[bytes]:
    from stream_app.sources import mlflow

    prepare_mlflow(uri)
    return mlflow.messages(uri, mlflow_rules_of(options))


def _topic(address: str, options: Options) -> Iterator[bytes]:
    parts = urlsplit(address)
    topic = parts.path.strip("/")
    if not parts.netloc or not topic or "/" in topic or parts.query or parts.fragment:
        raise OptionsError(f"{_public(address)}: expected kafka://host:port/topic")
    if "@" in parts.netloc:
        raise OptionsError("user and password in an address end up in logs: set kafka.username and kafka.password_file")
    need("worker", "aiokafka", "kafka")
    from stream_app.kafka.clients.topic_reader import messages
    from stream_app.kafka.processing.partitioner import TICK

    connection = connection_of(options.kafka.model_copy(update={"bootstrap_servers": parts.netloc}))
    return messages(connection, topic, TICK)


def _public(address: str) -> str:
    """An address without user and password."""
    scheme, mark, rest = address.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else address
