"""Passes: what is sent, when the cursor moves, and what is borne."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stream_app.core.events import Event
from stream_app.errors import OptionsError, StateError, StreamAppError
from stream_app.follow import follower as module
from stream_app.follow.cursor_file import CursorFile, CursorNotSavedError
from stream_app.follow.follower import GROUP_MAX, Follower, Message
from stream_app.sources.native import decode
from tests.support.builders import ran

OF = {"kind": "mlmd", "store": "a.sqlite", "to": "events"}


class AwayError(StreamAppError):
    """Something does not answer."""


class Growing:
    """A list that is followed; its cursor is how much of it was read."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.failures: list[StreamAppError] = []

    def begin(self, saved: bytes | None) -> tuple[Iterator[Event], Callable[[], bytes]]:
        taken = [int(saved or 0)]

        def events() -> Iterator[Event]:
            if self.failures:
                raise self.failures.pop(0)
            yield from self.events[taken[0] :]
            taken[0] = len(self.events)

        return events(), lambda: b"%d" % taken[0]


class Box:
    """An outlet that keeps all, and fails when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[Message]] = []
        self.failures: dict[int, StreamAppError] = {}
        #: How often it was asked whether it takes anything.
        self.asked = 0

    def send(self, messages: Sequence[Message]) -> None:
        if not messages:
            self.asked += 1
            return
        self.groups.append(list(messages))
        failure = self.failures.pop(len(self.groups), None)
        if failure is not None:
            raise failure

    @property
    def executions(self) -> list[str]:
        return [decode(message).execution_id for group in self.groups for message, _ in group]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other without a pause."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> CursorFile:
    return CursorFile(tmp_path / "cursor", OF)


def events(count: int) -> list[Event]:
    return [ran(number, f"e{number}", "Trainer")[0] for number in range(count)]


def test_only_what_changed_is_sent(file: CursorFile) -> None:
    """By a later process too; a pass over what did not change sends and saves nothing."""
    growing, box = Growing(events(2)), Box()
    follower = Follower(growing.begin, box, file, retries=False)

    assert (follower.one_pass(), follower.one_pass()) == (2, 0)
    saved = file.path.stat().st_mtime_ns
    growing.events += events(3)[2:]
    again = Follower(growing.begin, box, file, retries=False)
    assert file.path.stat().st_mtime_ns == saved
    assert (again.one_pass(), again.one_pass()) == (1, 0)
    assert box.executions == ["e0", "e1", "e2"]
    assert {pipeline for group in box.groups for _, pipeline in group} == {"p"}


def test_a_mistake_is_told_before_anything_changes(file: CursorFile) -> None:
    """The outlet is asked once whether it would take some."""
    box = Box()
    follower = Follower(Growing([]).begin, box, file, retries=False)

    assert (follower.one_pass(), follower.one_pass(), box.asked) == (0, 0, 1)


def test_the_cursor_stays_when_the_last_group_is_not_acknowledged(file: CursorFile) -> None:
    """Though all of the store was read by then: the next pass sends it."""
    growing, box = Growing(events(GROUP_MAX + 1)), Box()
    box.failures = {2: AwayError("gone")}
    follower = Follower(growing.begin, box, file, retries=False)

    with pytest.raises(AwayError):
        follower.one_pass()
    assert file.read() is None
    assert follower.one_pass() == GROUP_MAX + 1
    assert file.read() == b"%d" % (GROUP_MAX + 1)
    assert set(box.executions) == {event.execution_id for event in growing.events}


def test_the_patient_send_a_group_again_and_say_one_line(file: CursorFile, caplog: pytest.LogCaptureFixture) -> None:
    """Not the groups before it; and they say when it goes on."""
    growing, box = Growing(events(GROUP_MAX + 1)), Box()
    box.failures = {number: AwayError("cannot reach\nhim") for number in (2, 3, 4)}

    with caplog.at_level(logging.INFO, module.__name__):
        sent = Follower(growing.begin, box, file, retries=True).one_pass()

    assert sent == GROUP_MAX + 1
    assert [len(group) for group in box.groups] == [GROUP_MAX, 1, 1, 1, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "cannot reach him; trying again every 0 s",
        "following again",
    ]


def test_the_patient_read_again_what_did_not_answer(file: CursorFile) -> None:
    growing, box = Growing(events(1)), Box()
    growing.failures = [AwayError("locked"), AwayError("locked")]

    assert Follower(growing.begin, box, file, retries=True).one_pass() == 1


def test_nobody_waits_for_what_only_the_user_can_mend(file: CursorFile) -> None:
    growing, box = Growing(events(1)), Box()
    growing.failures = [OptionsError("no such file"), StateError("of another version")]
    follower = Follower(growing.begin, box, file, retries=True)

    for fault in (OptionsError, StateError):
        with pytest.raises(fault):
            follower.one_pass()


def test_an_event_over_the_limit_is_ignored(file: CursorFile, caplog: pytest.LogCaptureFixture) -> None:
    """No reader would take it, and those after it shall not wait for ever."""
    growing, box = Growing(events(2)), Box()
    growing.events[0].properties = {f"k{number}": "x" * 1000 for number in range(1100)}

    assert Follower(growing.begin, box, file, retries=True).one_pass() == 1
    assert "e0 of p is ignored" in caplog.text


class TestCursorFile:
    """Where it is kept how far a store was read."""

    def test_it_belongs_to_one_store_and_one_target(self, file: CursorFile) -> None:
        """Or what was never sent there would count as sent."""
        file.write(b'{"at":1}')

        assert CursorFile(file.path, OF).read() == b'{"at":1}'
        with pytest.raises(OptionsError, match=r"belongs to mlmd, a\.sqlite, events, not to mlmd, b\.sqlite, events"):
            CursorFile(file.path, OF | {"store": "b.sqlite"}).read()

    @pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"of":{}}'])
    def test_what_is_no_cursor_is_told(self, file: CursorFile, text: bytes) -> None:
        file.path.write_bytes(text)

        with pytest.raises(OptionsError, match="cannot be read as a cursor"):
            file.read()

    def test_a_place_for_no_file_is_told_at_once(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere" / "cursor"):
            with pytest.raises(OptionsError, match="a file cannot be made there"):
                CursorFile(path, OF)

    def test_what_cannot_be_written_leaves_the_old_one(self, file: CursorFile) -> None:
        file.write(b"1")
        (file.path.parent / "cursor.part").mkdir()

        with pytest.raises(CursorNotSavedError, match="cannot write"):
            file.write(b"2")
        assert file.read() == b"1"
