"""A whole tracking store is read as it is followed, whatever holds it, and nothing in it is changed."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from mlflow import MlflowClient

from stream_app.errors import OptionsError
from stream_app.sources.mlflow import Rules, TrackingUnavailable, is_store, messages, stores
from stream_app.sources.native import decode
from tests.sources.final_graphlets import graphlets
from tests.sources.mlflow_project import Server, now_ms
from tests.support.builders import MINUTE

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


def promoted(server: Server) -> tuple[str, str]:
    """A search that was promoted, and a run that was not; returns their ids."""
    search = server.run(0, data=["digits"])
    server.end(server.run(1, search), 5)
    server.end(search, 10, auc=0.9)
    other = server.run(20)
    server.end(other, 30, "FAILED")
    server.client.set_registered_model_alias(server.name, "champion", server.register(search))
    return search, other


def outcomes(found: list[bytes]) -> dict[str, str]:
    return {trainer: each["outcome"] for trainer, each in graphlets(map(decode, found)).items()}


def contents(folder: Path) -> dict[str, str]:
    """All files below a folder, by their contents."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture
def database(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """The database of the server, as it is now, in a folder of its own with a difficult name."""
    assert mlflow_url
    folder = tmp_path / "a b#%20"
    folder.mkdir()
    path = folder / "mlflow.db"
    server_file = tmp_path_factory.getbasetemp() / "mlflow0" / "mlflow.db"
    with closing(sqlite3.connect(server_file)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    return path


@pytest.fixture
def told(server: Server) -> tuple[str, str]:
    """The runs of `promoted`, on the server."""
    return promoted(server)


class TestServers:
    """Over HTTP."""

    def test_messages_are_the_events_of_a_first_pass_by_time(self, server: Server, mlflow_url: str) -> None:
        search, other = promoted(server)

        found = list(messages(mlflow_url, server.rules, now_ms()))

        times = [orjson.loads(message)["time"] for message in found]
        assert times == sorted(times)
        assert outcomes(found) == {search: "pushed", other: "not_pushed"}

    def test_now_bounds_the_times_of_pushes(self, server: Server, mlflow_url: str) -> None:
        promoted(server)
        told_ms = now_ms() - 60 * MINUTE

        pushes = [
            event for event in map(decode, messages(mlflow_url, server.rules, told_ms)) if "@" in event.execution_id
        ]

        assert [event.time_ms for event in pushes] == [told_ms]

    def test_no_runs_are_an_error_that_names_the_setting(self, mlflow_url: str) -> None:
        with pytest.raises(OptionsError, match=r"no runs in its experiments nowhere; see mlflow\.experiments"):
            list(messages(mlflow_url, Rules(experiments=("nowhere",))))

    def test_a_server_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

        with pytest.raises(TrackingUnavailable, match="MLflow: API request to"):
            list(messages("http://127.0.0.1:9"))


class TestDatabases:
    """Files of SQLite, and their URLs."""

    @pytest.mark.parametrize("form", ["{}", "sqlite:///{}"], ids=["file", "url"])
    def test_a_file_is_read_and_not_changed(
        self, told: tuple[str, str], database: Path, server: Server, form: str
    ) -> None:
        """It is read in a copy, which is gone afterwards."""
        before = contents(database.parent)

        found = list(messages(form.format(database), server.rules))

        assert outcomes(found) == dict(zip(told, ["pushed", "not_pushed"], strict=True))
        assert contents(database.parent) == before

    def test_a_database_of_another_version_is_refused_as_it_is(self, database: Path) -> None:
        """With what to do; a lost table is no reason to create it."""
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
            connection.execute("DROP TABLE webhooks")
        before = contents(database.parent)

        with pytest.raises(
            OptionsError, match=r"mlflow\.db: is a database of another version .*0123456789ab.*on a copy"
        ):
            list(messages(str(database)))
        assert contents(database.parent) == before

    def test_what_is_a_store(self, database: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.db"
        with closing(sqlite3.connect(other)) as connection, connection:
            connection.execute("CREATE TABLE runs (id)")
        text = tmp_path / "events.jsonl"
        text.write_text("{}\n")
        nothing = (other, text, tmp_path, tmp_path / "nowhere")

        assert is_store(str(database))
        assert is_store(f"sqlite:///{database}")
        assert not any(is_store(str(path)) for path in nothing)
        assert not is_store("postgresql://127.0.0.1:1/mlflow")
        assert not (tmp_path / "nowhere").exists()
        for path in nothing:
            with pytest.raises(OptionsError, match=path.name):
                list(messages(str(path)))

    @pytest.mark.parametrize(
        ("url", "query"),
        [
            ("postgresql://u:p4ss@h/mlflow", {"options": "-c default_transaction_read_only=on"}),
            (
                "postgresql://h/mlflow?options=-c%20search_path%3Dml",
                {"options": "-c search_path=ml -c default_transaction_read_only=on"},
            ),
            ("mysql+pymysql://h/mlflow", {"init_command": "SET SESSION TRANSACTION READ ONLY"}),
        ],
    )
    def test_a_session_of_a_database_server_cannot_write(
        self, url: str, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = []
        monkeypatch.setattr(stores, "_check_version", lambda address, shown: checked.append((address, shown)))

        address = stores._read_only(url)

        assert dict(stores._url(address).query) == query
        assert checked[0][0] == address
        assert "p4ss" not in checked[0][1]

    @pytest.mark.parametrize("url", ["oracle://u:p4ss@h/x", "ftp://u:p4ss@h/x", "postgresql://u:p4ss@127.0.0.1:1/x"])
    def test_what_cannot_be_read_is_one_line_without_the_password(self, url: str) -> None:
        with pytest.raises(OptionsError) as raised:
            list(messages(url))

        assert "p4ss" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_folder_is_read_and_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MLflow wrote it before it kept everything in a database; what its store would create there it does not."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder, elsewhere = tmp_path / "mlruns", tmp_path / "elsewhere"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", folder.as_uri())
    client = MlflowClient(folder.as_uri(), folder.as_uri())
    server = Server(client, str(client.create_experiment("digits")), "digits", now_ms() - 12 * 60 * MINUTE)
    client.create_registered_model("digits")
    search, other = promoted(server)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    shutil.rmtree(folder / ".trash")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = contents(tmp_path)

    for form in (str(folder), folder.as_uri()):
        assert is_store(form)
        assert outcomes(list(messages(form))) == {search: "pushed", other: "not_pushed"}
    assert contents(tmp_path) == before
