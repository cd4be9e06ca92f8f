"""`stream-app replay` reads a store of ML Metadata like a file of events."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
from typer.testing import CliRunner

from stream_app.cli.main import app

GOLDEN = Path(__file__).parents[1] / "sources" / "golden" / "mlmd-schema-10.sql"


def test_a_store_is_told_from_its_first_bytes_and_replayed(tmp_path: Path) -> None:
    """The name does not matter; its trainers become graphlets with outcomes."""
    store = tmp_path / "metadata.whatever"
    with sqlite3.connect(store) as database:
        database.executescript(GOLDEN.read_text())
    found = CliRunner().invoke(app, ["replay", str(store), "--graphlets", str(tmp_path / "graphlets.jsonl"), "--json"])

    assert found.exit_code == 0, found.output
    graphlets = [orjson.loads(line) for line in (tmp_path / "graphlets.jsonl").read_bytes().splitlines()]
    assert {graphlet["outcome"] for graphlet in graphlets} >= {"pushed", "not_pushed"}


def test_a_database_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    """Somebody's own SQLite file is refused with a reason."""
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    found = CliRunner().invoke(app, ["replay", str(other)])

    assert found.exit_code != 0
    assert "Traceback" not in found.output
    assert str(other) in str(found.exception)
