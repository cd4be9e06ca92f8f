"""A file that a training writes: every line is taken once, however it is written, replaced or interrupted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.sidecar import tailing
from stream_app.sidecar.spool import Spool
from stream_app.sidecar.spool_thread import SpoolThread
from stream_app.sidecar.tailing import Tail


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"id":%d}\n' % number for number in numbers)


class Following:
    """A file and who follows it; `again` is another process that goes on with the same spool."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self._folder = folder / "spool"
        self.bad = 0
        self._begin()

    def _begin(self) -> None:
        self.spool = Spool(self._folder)
        self.tail = Tail(self.path, SpoolThread(self.spool), self._count)

    def _count(self, _: int, bad: int) -> None:
        self.bad += bad

    def write(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content)

    def read(self) -> None:
        async def all_there_is() -> None:
            while await self.tail.read():
                pass

        asyncio.run(all_there_is())

    def finish(self) -> None:
        asyncio.run(self.tail.finish())

    def again(self) -> None:
        self.spool.close()
        self._begin()

    @property
    def taken(self) -> list[int]:
        return [orjson.loads(each.message.body)["id"] for each in self.spool.take(10_000, 1 << 30)]


@pytest.fixture
def following(tmp_path: Path) -> Following:
    return Following(tmp_path)


def test_lines_are_taken_as_they_are_written(following: Following) -> None:
    """A file that is not there yet is waited for; a line counts once it has its end."""
    following.read()
    following.write(lines(1, 2) + b'{"id"')
    following.read()
    first = following.taken
    following.write(b":3}\n\n   \n" + lines(4))
    following.read()

    assert (first, following.taken, following.bad) == ([1, 2], [1, 2, 3, 4], 0)


def test_the_last_line_needs_no_end_when_the_training_is_over(following: Following) -> None:
    following.write(lines(1) + b'{"id":2}')
    following.finish()

    assert following.taken == [1, 2]


@given(cuts=st.lists(st.integers(0, 60), max_size=12), restarts=st.sets(st.integers(0, 12)))
def test_each_line_is_taken_once(cuts: list[int], restarts: set[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever writes are cut, and whenever the sidecar is killed."""
    following = Following(tmp_path_factory.mktemp("tail"))
    content, place = lines(*range(9)), 0
    for number, cut in enumerate(sorted({min(each, len(content)) for each in cuts} | {len(content)})):
        following.write(content[place:cut])
        place = cut
        following.read()
        if number in restarts:
            following.again()

    following.read()
    assert following.taken == list(range(9))
    following.spool.close()


def test_a_file_that_is_replaced_is_read_to_its_end_first(following: Following) -> None:
    """As when logs are rotated: the old one is renamed, and a new one is begun."""
    following.write(lines(1))
    following.read()
    following.write(lines(2))
    following.path.rename(following.path.with_suffix(".1"))
    following.write(lines(3))
    following.read()
    following.again()
    following.write(lines(4))
    following.read()

    assert following.taken == [1, 2, 3, 4]


def test_a_file_that_is_emptied_is_read_from_its_beginning(following: Following) -> None:
    following.write(lines(1, 2, 3))
    following.read()
    following.path.write_bytes(lines(4))
    following.read()

    assert following.taken == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"\xff\xfe{}",
        b"{'id': 1}",
        b"not json",
        b'{"id": NaN}',
        b"\x00\x00",
        b"[" * 5_000,
    ],
)
def test_what_is_no_event_is_left_out(following: Following, bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """And said; the lines around it are taken."""
    following.write(lines(1) + bad + b"\n" + lines(2))
    following.read()

    assert (following.taken, following.bad) == ([1, 2], 1)
    assert caplog.text.count("is no event, and is left out") == 1


def test_a_line_without_end_is_given_up(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it takes no memory; what comes after it is taken."""
    monkeypatch.setattr(tailing, "_CHUNK", 1_000)
    monkeypatch.setattr(tailing, "LINE_MAX", 5_000)
    following.write(lines(1) + b'{"id": "' + b"x" * 30_000)
    following.read()
    following.write(b"x" * 3_000 + b'"}\n' + lines(2))
    following.read()

    assert (following.taken, following.bad > 0) == ([1, 2], True)


def test_lines_wait_in_the_file_while_the_spool_takes_none(tmp_path: Path) -> None:
    """Where its folder cannot be written: nothing is lost when it can be again."""
    (tmp_path / "spool").write_text("")
    following = Following(tmp_path)
    following.write(lines(1, 2))
    following.read()
    before = following.taken
    (tmp_path / "spool").unlink()
    following.read()

    assert (before, following.taken) == ([], [1, 2])


def test_a_folder_in_its_place_is_no_error(following: Following, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and the sidecar goes on."""
    following.path.mkdir()
    following.read()
    following.read()

    assert (following.taken, caplog.text.count("cannot be read: Is a directory")) == ([], 1)
