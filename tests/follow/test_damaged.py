"""A store that is damaged, or replaced, while it is followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.follow import follower as module
from stream_app.follow import stores
from stream_app.follow.cursor_file import CursorFile
from stream_app.follow.follower import Follower, Message
from stream_app.follow.stores import mlmd_passes
from stream_app.sources.mlmd import Rules, Store, StoreUnavailable
from tests.sources.history import history
from tests.sources.mlmd_store import StoreWriter, write_history


class Sent:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.messages += messages


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    with StoreWriter(path) as writer:
        write_history(writer, history())
    return path


def follower_of(store: Path, sent: Sent, *, retries: bool) -> Follower:
    file = CursorFile(store.with_name("cursor"), {"store": store.name})
    return Follower(mlmd_passes(str(store), Rules()), sent, file, retries=retries)


def cleared(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_text("being copied")


@pytest.mark.parametrize("damage", [cleared, emptied, overwritten, Path.unlink])
def test_it_is_told_once_and_read_on_when_it_is_whole(
    store: Path, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The cursor stays where it was meanwhile, so that nothing is left out."""
    monkeypatch.setattr(stores, "_PAUSE_FACTOR", 0)
    caplog.set_level("INFO")
    sent = Sent()
    follower = follower_of(store, sent, retries=True)
    first = follower.one_pass()
    whole, cursor = store.read_bytes(), store.with_name("cursor").read_bytes()
    damage(store)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        assert store.with_name("cursor").read_bytes() == cursor
        if len(waits) == 3:
            store.write_bytes(whole)
            with StoreWriter.of(store) as writer:
                writer.execution(9_000, "Trainer", pipeline="p9_000", run="r9_000")

    monkeypatch.setattr(module.time, "sleep", wait)
    second = follower.one_pass()

    assert (first > 20, second, len(waits)) == (True, 1, 3)
    told = [each.message for each in caplog.records if each.name == module.__name__]
    assert len(told) == 2
    assert told[0].startswith(f"{store}: ")
    assert told[1] == "following again"


def test_what_was_read_between_two_checks_is_read_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks take at most 1 % of the time; a pass between them may have read a damaged store, and moved on."""
    monkeypatch.setattr(stores, "_PAUSE_FACTOR", 1e9)
    sent = Sent()
    follower = follower_of(store, sent, retries=False)
    follower.one_pass()
    with StoreWriter.of(store) as writer:
        writer.execution(9_000, "Trainer", pipeline="p9_000", run="r9_000")
    between = follower.one_pass()
    with StoreWriter.of(store) as writer:
        writer.execution(9_001, "Trainer", pipeline="p9_001", run="r9_001")
    monkeypatch.setattr(stores.time, "monotonic", lambda: 1e12)
    damaged = pytest.MonkeyPatch()
    damaged.setattr(Store, "check", _refuse)
    with pytest.raises(StoreUnavailable):
        follower.one_pass()
    damaged.undo()
    with StoreWriter.of(store) as writer:
        writer.execution(9_002, "Trainer", pipeline="p9_002", run="r9_002")

    assert between == 1
    # The three of all passes since; the one that was sent before changes nothing.
    assert follower.one_pass() == 3


def _refuse(store: Store) -> None:
    raise StoreUnavailable(f"{store.name}: is damaged")


@pytest.mark.parametrize("damage", [emptied, overwritten, Path.unlink])
def test_what_was_no_store_at_the_start_ends_it(store: Path, damage: Callable[[Path], None]) -> None:
    """A wrong name is no store that comes back."""
    damage(store)

    with pytest.raises(OptionsError, match=r"store\.sqlite: "):
        follower_of(store, Sent(), retries=True).one_pass()
