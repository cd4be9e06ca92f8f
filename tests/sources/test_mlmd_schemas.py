"""Stores of other releases of ML Metadata, and how a store is addressed."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import mysql, postgresql

from stream_app.errors import OptionsError
from stream_app.sources.mlmd import Store, is_store, messages
from stream_app.sources.mlmd.queries import TABLES
from tests.sources.mlmd_store import StoreWriter, golden_store


def of_version(path: Path, version: int) -> Path:
    """A store of schema 10 that says it is of another version."""
    with StoreWriter(path) as writer:
        writer.execution(0, "Trainer")
        writer.sql("UPDATE MLMDEnv SET schema_version = ?", version)
    return path


@pytest.mark.parametrize("schema", [5, 6, 7, 8])
def test_schemas_without_boolean_values_are_read(tmp_path: Path, schema: int) -> None:
    with StoreWriter(tmp_path / "store.sqlite", schema) as writer:
        execution = writer.execution(0, "Trainer", accuracy=0.9, depth=3, owner="ads")
        writer.update(1, execution, "COMPLETE")

    last = list(messages(str(tmp_path / "store.sqlite")))[-1]

    assert b'"properties":{"accuracy":0.9,"depth":3,"owner":"ads"}' in last


@pytest.mark.parametrize("version", [4, 0])
def test_an_older_schema_is_one_line_that_says_how_to_migrate_it(tmp_path: Path, version: int) -> None:
    path = of_version(tmp_path / "store.sqlite", version)

    with pytest.raises(OptionsError, match=rf"version {version} is too old .*enable_upgrade_migration") as raised:
        Store(str(path))

    assert "\n" not in str(raised.value)


def test_a_newer_schema_is_read_with_a_warning_when_all_that_is_needed_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = of_version(tmp_path / "store.sqlite", 11)

    assert len(list(messages(str(path)))) == 1
    assert "schema version 11 is newer than 10" in caplog.text


def test_a_newer_schema_without_what_is_needed_is_one_line_that_names_it(tmp_path: Path) -> None:
    path = of_version(tmp_path / "store.sqlite", 11)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE ExecutionProperty DROP COLUMN bool_value")
        connection.execute("DROP TABLE Association")

    with pytest.raises(OptionsError, match=r"no Association\.id, .*ExecutionProperty\.bool_value; update") as raised:
        Store(str(path))

    assert "\n" not in str(raised.value)


def test_a_store_that_names_no_version_is_none(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        writer.sql("DELETE FROM MLMDEnv")

    with pytest.raises(OptionsError, match="it has no schema version"):
        Store(str(tmp_path / "store.sqlite"))


def test_a_store_without_event_paths_is_read(tmp_path: Path) -> None:
    path = of_version(tmp_path / "store.sqlite", 10)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE EventPath")

    assert len(list(messages(str(path)))) == 1


def test_a_file_and_its_url_are_the_same_store(tmp_path: Path) -> None:
    path = golden_store(tmp_path / "store.sqlite", 10)

    assert list(messages(f"sqlite:///{path}")) == list(messages(str(path)))


def test_a_url_of_sqlite_without_a_file_is_one_line() -> None:
    with pytest.raises(OptionsError, match="names no file"):
        Store("sqlite://")


@pytest.mark.parametrize(
    ("driver", "module", "package"),
    [
        ("postgresql+pg8000", "pg8000", "pg8000"),
        ("postgresql+psycopg", "psycopg", "psycopg[binary]"),
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary"),
        ("mysql", "MySQLdb", "mysqlclient"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    driver: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the package to install, which may have another name than the module."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(OptionsError) as caught:
        Store(f"{driver}://user@host/mlmd")

    assert str(caught.value) == f"{driver}: its driver is not installed; try: pip install '{package}'"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_are_found_whatever_the_case_in_which_a_server_keeps_them(table) -> None:  # type: ignore[no-untyped-def]
    """PostgreSQL keeps names without quotes in lower case, MySQL as they are; neither name is quoted."""
    for dialect in (postgresql.dialect(), mysql.dialect()):
        assert f"FROM {table.name}" in str(select(table).compile(dialect=dialect)).replace("\n", "")


def test_stores_are_told_from_other_files(tmp_path: Path) -> None:
    """Nothing is written, and a file that is not there is not made."""
    golden_store(tmp_path / "store.sqlite", 5)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    connection.close()
    (tmp_path / "events.jsonl").write_text("{}\n" * 100)

    found = {name: is_store(str(tmp_path / name)) for name in ("store.sqlite", "mlflow.db", "events.jsonl", "none")}

    assert found == {"store.sqlite": True, "mlflow.db": False, "events.jsonl": False, "none": False}
    assert {path.name for path in tmp_path.iterdir()} == {"store.sqlite", "mlflow.db", "events.jsonl"}
