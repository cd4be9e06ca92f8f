"""What the log has taken is there; what it has not, is not."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path

import pytest

from stream_app.errors import OptionsError, StateError
from stream_app.service import event_log
from stream_app.service.event_log import Changes, Entry, EventLog, LogUnavailableError, StoredVerdict


def entries(*messages: bytes | None, received_ms: int = 5) -> list[Entry]:
    """Entries that are not in a log yet."""
    return [Entry(0, received_ms, message) for message in messages]


def messages(log: EventLog, position: int = 0) -> list[bytes | None]:
    """What a log holds after a position."""
    return [entry.message for entry in log.after(position)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a log, in a folder that is not there yet."""
    return tmp_path / "data" / "events.sqlite"


def test_entries_are_there_when_the_log_is_opened_again(path: Path) -> None:
    """In their order, with rising positions; a tick is an entry without a message."""
    log = EventLog(path)
    given = entries(b"a", None, b"b")
    log.append(given)
    log.append(entries(*(b"%d" % number for number in range(2500))))
    log.close()

    log = EventLog(path)
    assert [entry.position for entry in given] == [1, 2, 3]
    assert list(log.after(0))[:3] == given
    assert messages(log, 3) == [b"%d" % number for number in range(2500)]
    log.close()


def test_the_log_is_its_users_alone(path: Path) -> None:
    """File, folder and what SQLite keeps beside it, whatever the umask, and also when an earlier release made it."""
    before = os.umask(0)
    try:
        log = EventLog(path)
        log.append(entries(b"a"))
        made = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        log.close()
        path.chmod(0o666)
        path.with_name("events.sqlite-wal").touch(mode=0o666)
        log = EventLog(path)
        log.append(entries(b"b"))
        again = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        log.close()
    finally:
        os.umask(before)

    assert made == {"events.sqlite": 0o600, "events.sqlite-wal": 0o600}
    assert again == made
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_state_and_its_position_change_together(path: Path) -> None:
    """Rows and verdicts are replaced or dropped, examples added."""
    log = EventLog(path)
    first, second = StoredVerdict(b"v1", 1, 5), StoredVerdict(b"v2", 2, 6)
    log.save(Changes(1, {b"a": b"1", b"b": b"2"}, {"g": first, "h": second}, [b"x"]))
    log.save(Changes(2, {b"a": b"3", b"b": None}, {"g": None}, [b"y"]))
    log.close()

    log = EventLog(path)
    assert (log.applied(), log.rows()) == (2, {b"a": b"3"})
    assert (list(log.verdicts()), list(log.examples())) == ([second], [b"x", b"y"])
    log.close()


def test_old_entries_that_the_state_holds_are_deleted(path: Path) -> None:
    """Never one that is not applied, and positions are not used again."""
    log = EventLog(path)
    log.append(entries(b"a", b"b", received_ms=5))
    log.append(entries(b"c", received_ms=9))
    log.delete(before_ms=100)
    assert messages(log) == [b"a", b"b", b"c"]

    log.save(Changes(3))
    log.delete(before_ms=9)
    assert messages(log) == [b"c"]
    log.delete(before_ms=100)
    (last,) = entries(b"d")
    log.append([last])
    assert (messages(log), last.position) == ([b"d"], 4)
    log.close()


def test_many_old_entries_are_deleted_some_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is told that there are no more."""
    monkeypatch.setattr(event_log, "_DELETED_AT_ONCE", 10)
    log = EventLog(path)
    log.append(entries(*[b"a"] * 25, received_ms=5))
    log.save(Changes(25))

    assert [log.delete(before_ms=100) for _ in range(3)] == [True, True, False]
    assert messages(log) == []
    log.close()


def test_only_one_process_has_a_log(path: Path) -> None:
    """The second is told so, and the first goes on."""
    log = EventLog(path)
    code = (
        "import sys, pathlib; from stream_app.service.event_log import EventLog\n"
        "try: EventLog(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    said = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout

    assert said == f"OptionsError {path}: cannot be opened: another process has it\n"
    log.append(entries(b"a"))
    log.close()


def test_a_full_disk_keeps_nothing_of_a_write(path: Path) -> None:
    """And what is smaller than the room that is left is taken afterwards."""
    log = EventLog(path, allow_pages=20)
    log.append(entries(b"a"))

    with pytest.raises(LogUnavailableError, match="full"):
        log.append(entries(b"b", b"c" * 100_000))
    with pytest.raises(LogUnavailableError, match="full"):
        log.save(Changes(1, {b"r": b"x" * 100_000}))

    assert (messages(log), log.applied(), log.rows()) == ([b"a"], 0, {})
    log.append(entries(b"d"))
    log.close()
    assert messages(EventLog(path)) == [b"a", b"d"]


@pytest.mark.parametrize("damage", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xff" * 8176])
def test_a_damaged_file_is_refused_and_left_alone(path: Path, damage: bytes) -> None:
    """Whoever runs the service is told which file it is."""
    path.parent.mkdir()
    path.write_bytes(damage)

    with pytest.raises(StateError, match=r"events\.sqlite: is damaged"):
        EventLog(path)
    assert path.read_bytes() == damage


def test_a_page_that_was_overwritten_is_found_when_the_log_is_opened(path: Path) -> None:
    """Not when it is needed."""
    log = EventLog(path)
    log.append(entries(*(b"x" * 500 for _ in range(200))))
    log.close()
    with path.open("r+b") as file:
        for page in range(3, 12):
            file.seek(4096 * page)
            file.write(b"\xa5" * 4096)

    with pytest.raises(StateError, match="is damaged"):
        EventLog(path)


def test_a_page_that_is_overwritten_while_the_log_is_open_is_told(path: Path) -> None:
    """Where the log is read, as where it is written."""
    log = EventLog(path)
    for _ in range(40):  # more than is kept in memory
        log.append(entries(*(b"x" * 1_000 for _ in range(200))))
    log.save(Changes(8_000))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    with pytest.raises(LogUnavailableError, match="cannot read"):
        log.delete(before_ms=100)
    with pytest.raises(LogUnavailableError, match="cannot read"):
        list(log.after(0))
    log.close()


def test_a_log_of_another_kind_is_refused(path: Path) -> None:
    """Somebody else's database is not written to; one of a later version is not guessed at."""
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE entries (x)")
    other.close()
    with pytest.raises(StateError, match="of another program"):
        EventLog(path)

    path.unlink()
    EventLog(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version=3")
    later.close()
    with pytest.raises(StateError, match="of version 3, expected 2"):
        EventLog(path)


#: As the first release made them.
VERSION_1 = """
CREATE TABLE entries (position INTEGER PRIMARY KEY AUTOINCREMENT, received_ms INTEGER NOT NULL, message BLOB);
CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE verdicts (graphlet TEXT PRIMARY KEY, verdict BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE examples (position INTEGER PRIMARY KEY AUTOINCREMENT, example BLOB NOT NULL);
CREATE TABLE applied (position INTEGER NOT NULL);
INSERT INTO applied VALUES (0);
INSERT INTO entries VALUES (1, 5, 'a');
INSERT INTO verdicts VALUES ('g', 'v');
PRAGMA user_version=1;
PRAGMA application_id=1396797552;
"""


def test_a_log_of_the_first_version_is_upgraded(path: Path) -> None:
    """Formats are not known then, and verdicts count as issued now: none is old."""
    path.parent.mkdir()
    with sqlite3.connect(path) as earlier:
        earlier.executescript(VERSION_1)
    earlier.close()
    before_ms = time.time() * 1000 - 2_000

    log = EventLog(path)
    (entry,), (verdict,) = log.after(0), log.verdicts()
    log.append([Entry(0, 6, b"b", "native")])
    log.save(Changes(0, verdicts={"h": StoredVerdict(b"w", 1, 7)}))
    log.close()
    log = EventLog(path)
    formats, verdicts = [each.format for each in log.after(0)], sorted(log.verdicts(), key=itemgetter(1))
    log.close()

    assert (entry.message, entry.format, verdict.record, verdict.number) == ("a", None, "v", 0)
    assert before_ms <= verdict.issued_ms <= before_ms + 60_000
    assert (formats, verdicts) == ([None, "native"], [verdict, StoredVerdict(b"w", 1, 7)])


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(OptionsError, match="cannot be opened"):
        EventLog(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OptionsError, match="cannot be opened"):
        EventLog(tmp_path / "file" / "events.sqlite")
