"""One kind of argument names files, stores of MLflow and of ML Metadata, and folders of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
import pytest

from stream_app.cli.stores import stores_of
from stream_app.errors import OptionsError
from stream_app.options import Options
from tests.cli.test_cli import Run, run  # noqa: F401 - a fixture
from tests.sources.mlmd_store import golden_store


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow with a run whose version has an alias that means nothing by default."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tracked") / "tracked.db"
    client = MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}")
    made = client.create_run(client.create_experiment("churn"))
    client.set_terminated(made.info.run_id)
    client.create_registered_model("churn")
    version = client.create_model_version("churn", "file:///nowhere", made.info.run_id)
    for alias in ("candidate", "prod-eu"):
        client.set_registered_model_alias("churn", alias, version.version)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_database_of_mlflow_is_told_from_its_tables(form: str, tracked: Path, run: Run) -> None:  # noqa: F811
    """By its path and by its URL, for each command."""
    source = form.format(tracked)
    trainer = orjson.loads(run(f"check {source} --json").out)["unended"]

    assert trainer == []
    assert "1 graphlet" in run(f"check {source}").out
    assert "no push: no execution is of group deploy (types seen: Trainer)" in run(f"replay {source}").out


@pytest.mark.slow
def test_an_alias_that_means_nothing_is_named_and_proposed(tracked: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    """One that speaks of production, and not every other; with the settings there is a push."""
    first = run(f"check {tracked} --write-rules {tmp_path / 'rules.toml'}")
    then = run(f"check {tracked} --config {tmp_path / 'rules.toml'}")

    assert "aliases (@) and stages (#) that mean no push: @candidate, @prod-eu" in first.out
    assert '"prod-eu"]' in (tmp_path / "rules.toml").read_text()
    assert "candidate" not in (tmp_path / "rules.toml").read_text()
    assert "1 graphlet: 1 pushed" in then.out


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
@pytest.mark.parametrize("command", ["check", "replay"])
def test_a_store_of_ml_metadata_is_told_from_its_tables(command: str, form: str, tmp_path: Path, run: Run) -> None:  # noqa: F811
    """Its name does not matter."""
    store = golden_store(tmp_path / "whatever", 10)

    ran = run(f"{command} {form.format(store)}")

    assert ran.code == 0
    assert "graphlets" in ran.out


def test_files_and_stores_are_read_together(tmp_path: Path, run: Run) -> None:  # noqa: F811
    """In the order in which they are named."""
    store = golden_store(tmp_path / "store.sqlite", 10)
    event = {
        "time": "2026-03-01T00:00:00Z",
        "pipeline": "mine",
        "execution": {"id": "t", "type": "Trainer", "state": "NEW"},
    }
    (tmp_path / "mine.jsonl").write_bytes(orjson.dumps(event))

    alone = orjson.loads(run(f"check {store} --json").out)
    both = orjson.loads(run(f"check {store} {tmp_path / 'mine.jsonl'} --json").out)

    assert both["events"] == alone["events"] + 1
    assert both["pipelines"] == alone["pipelines"] + 1


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftp://host/events.jsonl", "ftp://: no address that is read; expected a file, http(s)://, sqlite:///"),
        ("oracle://host/db", "oracle://: no address that is read"),
        ("sqlite:///gone.db", "gone.db: no such file"),
        ("file:///gone/events.jsonl", "name a file by its path alone, without file://"),
        ("file:/gone/mlruns", "is no folder of MLflow"),
        ("kafka:///topic", "expected kafka://host:port/topic"),
        ("kafka://host:9092", "expected kafka://host:port/topic"),
        ("kafka://host:9092/a/b", "expected kafka://host:port/topic"),
        ("kafka://host:9092/a?b=c", "expected kafka://host:port/topic"),
        ("kafka://me:pw@host:9092/topic", "user and password in an address end up in logs"),
        ("https://me:pw@host", "user and password in an address end up in logs"),
    ],
)
def test_an_address_that_is_not_read_is_one_line(address: str, says: str) -> None:
    """Which never has the password."""
    with pytest.raises(OptionsError) as caught:
        stores_of(Options())(address)

    assert says in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "file:{}", "file://localhost{}", "mlruns", "file:mlruns"])
def test_a_folder_of_mlflow_is_named_in_each_form_that_mlflow_takes(
    form: str,
    folder_of_mlflow: Path,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder_of_mlflow.parent)
    source = form.format(folder_of_mlflow)

    assert "1 graphlet: 1 open" in run(f"check {source}").out
    assert "1 still open" in run(f"replay {source}").out


@pytest.fixture(scope="module")
def folder_of_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As MLflow wrote it before it kept everything in a database."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("folder") / "mlruns"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(folder.as_uri(), folder.as_uri())
        client.set_terminated(client.create_run(client.create_experiment("churn")).info.run_id)
    return folder


def test_what_is_no_store_is_a_file(tmp_path: Path) -> None:
    """The reader of files says what is wrong with it."""
    (tmp_path / "events.jsonl").write_text("{}")

    stores = stores_of(Options())

    assert [stores(str(tmp_path / name)) for name in ("events.jsonl", "missing", ".")] == [None] * 3


@pytest.mark.parametrize("address", ["postgresql://h/db", "mysql+pymysql://h/db"])
def test_what_a_server_holds_is_not_known_before_there_is_a_driver(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So both extras are named."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(OptionsError) as caught:
        stores_of(Options())(address)

    assert "for ML Metadata pip install 'stream-app[mlmd]'" in str(caught.value)
    assert "for MLflow pip install 'stream-app[mlflow]'" in str(caught.value)


def test_another_database_is_refused(tmp_path: Path) -> None:
    """Before anything is read."""
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (id INTEGER)")

    with pytest.raises(OptionsError, match="no store of ML Metadata or MLflow"):
        stores_of(Options())(str(path))
