"""Stores of ML Metadata become the graphlets and outcomes that the same history told natively has."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from dataclasses import fields
from itertools import count
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from stream_app.core.events import CANCELED
from stream_app.errors import OptionsError
from stream_app.options import MlmdOptions, load
from stream_app.sources.mlmd import Cursor, Rules, Store, StoreUnavailable, follow, messages
from stream_app.sources.native import decode
from tests.sources.final_graphlets import as_dicts, graphlets, native, shape
from tests.sources.history import history
from tests.sources.mlmd_store import OUTPUT, StoreWriter, golden_store, names, write_history
from tests.sources.trained import accuracies


@pytest.mark.parametrize("schema", [5, 6, 7, 8, 10])
def test_a_store_of_the_real_library_gives_the_graphlets_and_outcomes_of_native_events(
    tmp_path: Path, schema: int
) -> None:
    """Hung, cached, canceled and failed runs, refused pushes, a schema that all runs read, and baselines among them."""
    path = golden_store(tmp_path / "store.sqlite", schema)
    with Store(str(path)) as store:
        told = list(follow(store, Cursor()))

    assert shape(graphlets(native(history()))) == shape(graphlets(told, names(path)))


def test_a_real_training_gives_the_same_graphlets_outcomes_costs_and_times(tmp_path: Path) -> None:
    steps = history(accuracies())
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        write_history(writer, steps)
    with Store(str(tmp_path / "store.sqlite")) as store:
        found = graphlets(follow(store, Cursor()), names(tmp_path / "store.sqlite"))

    assert graphlets(native(steps)) == found
    assert {
        outcome: sum(each["outcome"] == outcome for each in found.values())
        for outcome in ("pushed", "not_pushed", "open")
    } == {"pushed": 2, "not_pushed": 4, "open": 1}


def test_a_store_read_while_it_grows_tells_what_one_reading_at_the_end_tells(tmp_path: Path) -> None:
    """The pipeline's own end is told at the end alone, and no earlier pass may spoil it."""
    steps = history()
    path = tmp_path / "store.sqlite"
    cursor = Cursor()
    calls = count()
    told = []
    with StoreWriter(path) as writer, Store(str(path)) as store:
        write = writer.sql

        def write_and_follow(statement: str, *values: object) -> int:
            row = write(statement, *values)
            if next(calls) % 7 == 0:
                told.extend(follow(store, cursor))
            return row

        writer.sql = write_and_follow  # type: ignore[method-assign]
        write_history(writer, steps)
        told.extend(follow(store, cursor))
        at_once = graphlets(follow(store, Cursor()), names(path))

    assert at_once == graphlets(told, names(path))


def test_events_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        write_history(writer, history())
    with Store(str(tmp_path / "store.sqlite")) as store:
        times = [event.time_ms for event in follow(store, Cursor())]

    assert sorted(times) == times


def test_messages_are_native_events(tmp_path: Path) -> None:
    path = golden_store(tmp_path / "store.sqlite", 10)
    with Store(str(path)) as store:
        events = list(follow(store, Cursor()))

    decoded = [decode(message) for message in messages(str(path))]

    assert as_dicts(events) == as_dicts(decoded)


def test_hostile_names_and_values_are_still_native_events(tmp_path: Path) -> None:
    """Control characters are replaced, what no property can hold is left out."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        execution = writer.execution(
            0,
            "Tra\x00iner",
            "COMPLETE",
            pipeline="p\n",
            run="r" * 250,
            huge=1e300,
            endless=float("inf"),
            long="x" * 9000,
        )
        writer.properties("Execution", execution, {"\x07": 1, "struct": "mlmd-struct::CgQ=", "": 2, "fine": "é"})
        writer.edge(0, execution, writer.artifact(0, "\x1b[31m"), OUTPUT)

    (first, last) = [decode(message) for message in messages(str(tmp_path / "store.sqlite"))]

    assert (first.pipeline, first.execution_type) == ("p?", "Tra?iner")
    assert last.properties == {"?": 1, "fine": "é"}
    assert last.outputs[0].type == "?[31m"


def test_a_canceled_execution_without_edges_is_told(tmp_path: Path) -> None:
    """In MLMD that is what a precondition not met looks like."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        writer.execution(0, "Trainer", "CANCELED", pruned_by="p/t#1")
    with Store(str(tmp_path / "store.sqlite")) as store:
        states = [(event.state, event.properties) for event in follow(store, Cursor())]

    assert states == [("NEW", {}), (CANCELED, {"pruned_by": "p/t#1"})]


def test_executions_outside_every_pipeline_are_ignored_unless_the_rules_name_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.sqlite"
    with StoreWriter(path) as writer:
        writer.execution(0, "Trainer", pipeline=None, run=None)
    with Store(str(path)) as store:
        assert list(follow(store, Cursor())) == []
        assert "executions in no context, so that their pipeline is not known: 1" in caplog.text
        assert [event.pipeline for event in follow(store, Cursor(), Rules(pipeline="mine"))] == ["mine"]


class TestStoresWithNothingToRead:
    """One line says why, and which setting changes it."""

    def test_executions_in_no_context(self, tmp_path: Path) -> None:
        with StoreWriter(tmp_path / "store.sqlite") as writer:
            writer.execution(0, "Trainer", pipeline=None, run=None)

        with pytest.raises(OptionsError, match=r'in no context.*: 1; mlmd\.pipeline = "name"'):
            list(messages(str(tmp_path / "store.sqlite")))

    def test_executions_in_contexts_of_other_types_are_named_with_them(self, tmp_path: Path) -> None:
        with StoreWriter(tmp_path / "store.sqlite") as writer:
            writer.execution(0, "Trainer", kinds=("experiment", "trial"))

        with pytest.raises(OptionsError, match=r"type 'experiment', 'trial': .*mlmd\.pipeline_contexts = \[\"type\"\]"):
            list(messages(str(tmp_path / "store.sqlite")))
        assert list(messages(str(tmp_path / "store.sqlite"), Rules(pipeline_contexts=("experiment",))))

    def test_executions_from_no_possible_time(self, tmp_path: Path) -> None:
        with StoreWriter(tmp_path / "store.sqlite") as writer:
            writer.execution(0, "Trainer")
            writer.sql("UPDATE Execution SET create_time_since_epoch = 1, last_update_time_since_epoch = 1")

        with pytest.raises(OptionsError, match="created at no possible time: 1"):
            list(messages(str(tmp_path / "store.sqlite")))

    def test_an_empty_store(self, tmp_path: Path) -> None:
        with StoreWriter(tmp_path / "store.sqlite"):
            pass

        with pytest.raises(OptionsError, match="it has no execution of a component yet"):
            list(messages(str(tmp_path / "store.sqlite")))


class TestFilesThatAreNoStores:
    """Each is the user's mistake, said in one line."""

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match="no such file"):
            Store(str(tmp_path / "none.sqlite"))

        assert not (tmp_path / "none.sqlite").exists()

    def test_another_kind_of_file(self, tmp_path: Path) -> None:
        (tmp_path / "events.jsonl").write_text("{}\n" * 100)

        with pytest.raises(OptionsError, match=r"events\.jsonl: is no database of SQLite"):
            Store(str(tmp_path / "events.jsonl"))

    def test_another_database(self, tmp_path: Path) -> None:
        path = tmp_path / "store.sqlite"
        with StoreWriter(path) as writer:
            writer.sql("DROP TABLE MLMDEnv")

        with pytest.raises(OptionsError, match="is not a store of ML Metadata"):
            Store(str(path))

    @pytest.mark.parametrize(
        ("code", "text"), [(1045, "Access denied for user 'reader'"), (1049, "Unknown database 'metadb'")]
    )
    def test_a_login_that_a_server_refuses(self, code: int, text: str) -> None:
        """In its own words, and without the password."""
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            threading.Thread(target=_refuse, args=(server, code, text), daemon=True).start()
            port = server.getsockname()[1]

            with pytest.raises(OptionsError, match=rf"reader:\*\*\*@.*: {text}$"):
                Store(f"mysql+pymysql://reader:secret@127.0.0.1:{port}/metadb")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('FATAL:  password authentication failed for user "reader"', OptionsError),
            ('FATAL:  database "metadb" does not exist', OptionsError),
            ("connection refused\n\tIs the server running on that host?", StoreUnavailable),
        ],
    )
    def test_what_postgresql_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: type[Exception]
    ) -> None:
        """Its drivers give no code; a server that is away may come back."""

        def refuse(_: Engine) -> None:
            raise OperationalError("", None, Exception(text))

        with Store(str(golden_store(tmp_path / "store.sqlite", 10))) as store:
            monkeypatch.setattr(Engine, "connect", refuse)
            with pytest.raises(expected) as raised, store.connect():
                pass

        assert str(raised.value) == f"{store.name}: {text.splitlines()[0]}"

    def test_a_url_of_no_database(self) -> None:
        with pytest.raises(OptionsError, match="not the URL of a store"):
            Store("nosuch://host/mlmd")


def _refuse(server: socket.socket, code: int, text: str) -> None:
    """Answers as MySQL does: a length, a sequence number, and the packet of an error."""
    error = b"\xff" + code.to_bytes(2, "little") + b"#28000" + text.encode()
    connection, _ = server.accept()
    with connection:
        connection.sendall(len(error).to_bytes(3, "little") + b"\0" + error)


def test_a_server_that_is_away_is_no_mistake_and_leaves_the_cursor(tmp_path: Path) -> None:
    path = golden_store(tmp_path / "store.sqlite", 10)
    cursor = Cursor()
    with Store(str(path)) as store:
        path.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreUnavailable):
            list(follow(store, cursor))

    assert Cursor() == cursor


def test_reading_a_store_changes_none_of_its_bytes(tmp_path: Path) -> None:
    path = golden_store(tmp_path / "store.sqlite", 10)
    before = path.read_bytes()

    orjson.dumps([orjson.loads(message) for message in messages(str(path))])

    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_rules_come_from_the_options(tmp_path: Path) -> None:
    """What is not set there stays as it is; every rule but the operators has an option of its name."""
    (tmp_path / "settings.toml").write_text(
        '[mlmd]\npipeline = "mine"\npushed_types = ["Release"]\n[mlmd.properties]\nlive = "pushed"\n'
    )

    rules = Rules(**load(tmp_path / "settings.toml").mlmd.model_dump(exclude_none=True))

    assert rules == Rules(pipeline="mine", pushed_types=("Release",), properties={"live": "pushed"})
    assert {"operators", *MlmdOptions.model_fields} == {each.name for each in fields(Rules)}


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mlmd.md").read_text()
    golden_store(tmp_path / "metadata.sqlite", 10)
    monkeypatch.chdir(tmp_path)

    exec(page.split("```python\n")[1].split("```")[0], {})

    assert "'digits/5': 'pushed'" in capsys.readouterr().out
    assert Cursor.from_json((tmp_path / "cursor.json").read_bytes()).frontier_ms > 0
