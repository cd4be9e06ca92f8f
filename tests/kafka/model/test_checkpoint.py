"""The local checkpoint of the model: it comes back bit for bit, or not at all."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import stream_app.core
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model import checkpoint as module
from stream_app.kafka.model.checkpoint import Checkpoint, hash_of_tree
from tests.broker.worker_process import opinions
from tests.support.simulated import usual_outputs

KEY = b"a key of the user"
TOPIC = "topic-1"


@cache
def examples() -> list[Example]:
    """What a small fleet gives to learn."""
    return [output for output in usual_outputs() if isinstance(output, Example)]


def taught(given: list[Example], learner: Learner | None = None) -> Learner:
    learner = learner or Learner()
    for example in given:
        learner.learn(example)
    return learner


class Desk:
    """A folder and checkpoints in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "model.checkpoint"
        self.counts = Counts()

    def checkpoint(self, **differing: Any) -> Checkpoint:
        given = {"key": KEY, "topic_id": TOPIC, "settings": Settings(), **differing}
        return Checkpoint(self.folder, counts=self.counts, **given)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.slow
def test_a_model_comes_back_and_goes_on_as_if_nothing_had_been(desk: Desk) -> None:
    """Restored half-way, it is at the end what it would have been, bit for bit."""
    half = len(examples()) // 2
    desk.checkpoint().write(taught(examples()[:half]), offset=half)
    restored = desk.checkpoint().read(end=half)

    assert restored is not None
    assert restored.offset == half
    assert opinions(taught(examples()[half:], restored.learner)) == opinions(taught(examples()))
    assert restored.learner.metrics() == taught(examples()).metrics()
    assert len(examples()) > 100


def test_the_last_one_counts(desk: Desk) -> None:
    """Each replaces the one before, and only its user can read it."""
    checkpoint = desk.checkpoint()
    checkpoint.write(taught(examples()[:5]), offset=5)
    checkpoint.write(taught(examples()[:9]), offset=9)
    restored = desk.checkpoint().read(end=9)

    assert restored is not None
    assert (restored.offset, restored.learner.records) == (9, 9)
    assert (checkpoint.offset, checkpoint.size) == (9, desk.path.stat().st_size)
    assert desk.path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in desk.folder.iterdir()) == ["model.checkpoint"]


def test_what_is_learned_while_it_is_written_is_not_in_it(desk: Desk) -> None:
    """Writing takes its time on another thread, and the learner goes on meanwhile."""
    checkpoint, learner = desk.checkpoint(), taught(examples()[:40])
    packed = checkpoint.pack(learner, offset=40)
    taught(examples()[40:], learner)
    checkpoint.store(packed)
    restored = desk.checkpoint().read(end=len(examples()))

    assert restored is not None
    assert restored.offset == 40
    assert opinions(restored.learner) == opinions(taught(examples()[:40]))


def test_an_older_one_does_not_replace_a_newer(desk: Desk) -> None:
    """Whichever thread comes last."""
    checkpoint = desk.checkpoint()
    older = checkpoint.pack(taught(examples()[:5]), offset=5)
    checkpoint.write(taught(examples()[:9]), offset=9)
    checkpoint.store(older)
    restored = desk.checkpoint().read(end=9)

    assert restored is not None
    assert restored.offset == checkpoint.offset == 9


def test_without_a_checkpoint_nothing_is_dropped(desk: Desk) -> None:
    """The first start is no loss."""
    assert desk.checkpoint().read(end=0) is None
    assert desk.counts.checkpoints_dropped == 0


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda stored: stored[: int(len(stored) * share)]


def flipped(place: int) -> Callable[[bytes], bytes]:
    """One bit changed, so far from the beginning (below 0: from the end)."""

    def flip(stored: bytes) -> bytes:
        changed = bytearray(stored)
        changed[place] ^= 4
        return bytes(changed)

    return flip


@pytest.mark.parametrize(
    "damage",
    [
        *(cut(share) for share in (0.0001, 0.001, 0.5, 0.9999)),
        *(flipped(place) for place in (0, 10, 30, 60, 300, 5_000, -1)),
        lambda stored: stored + b"\x00",
        cut(0.0),
        lambda stored: b"not a checkpoint at all\n" * len(stored),
    ],
)
def test_what_was_changed_or_cut_short_is_dropped(
    desk: Desk, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever it was: it is never unpickled, the log says so, it is counted, and it is gone."""
    desk.checkpoint().write(taught(examples()[:20]), offset=20)
    desk.path.write_bytes(damage(desk.path.read_bytes()))

    assert desk.checkpoint().read(end=20) is None
    assert desk.counts.checkpoints_dropped == 1
    assert "checkpoint of the model dropped: its signature is wrong" in caplog.text
    assert not desk.path.exists()


@pytest.mark.parametrize(
    ("differing", "why"),
    [
        ({"key": b"another user's key"}, "its signature is wrong"),
        ({"topic_id": "topic-2"}, "its topic_id is 'topic-1', not 'topic-2'"),
        ({"settings": Settings(policy=Policy(budget=0.03))}, "its budgets is"),
        ({"settings": Settings(retention_ms=60 * DAY_MS)}, "its retention_ms is 3196800000, not 5788800000"),
        ({"settings": Settings(lateness_ms=0)}, "its retention_ms is 3196800000, not 2592000000"),
    ],
)
def test_what_is_of_something_else_is_dropped(
    desk: Desk, differing: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another owner, another log, other thresholds, or another memory of labels."""
    desk.checkpoint().write(taught(examples()[:20]), offset=20)

    assert desk.checkpoint(**differing).read(end=20) is None
    assert desk.counts.checkpoints_dropped == 1
    assert why in caplog.text


@pytest.mark.parametrize("what", ["stream_app", "core", "river", "python", "machine"])
def test_what_other_code_made_is_dropped(desk: Desk, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old one would be a model that no fold of today gives."""
    older = {**module.versions(), what: "older"}
    with monkeypatch.context() as old:
        old.setattr(module, "versions", lambda: older)
        desk.checkpoint().write(taught(examples()[:20]), offset=20)

    assert desk.checkpoint().read(end=20) is None
    assert desk.counts.checkpoints_dropped == 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of code with a sub-package."""
    folder = tmp_path / "code"
    (folder / "inner").mkdir(parents=True)
    (folder / "outer.py").write_text("a = 1\n")
    (folder / "inner" / "one.py").write_text("b = 2\n")
    (folder / "inner" / "two.py").write_text("c = 3\n")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "outer.py").write_text("a = 2\n"),
        lambda folder: (folder / "inner" / "one.py").write_text("b = 3\n"),
        lambda folder: (folder / "inner" / "one.py").rename(folder / "inner" / "three.py"),
        lambda folder: (folder / "inner" / "one.py").rename(folder / "one.py"),
        lambda folder: (folder / "inner").rename(folder / "other"),
        lambda folder: (folder / "inner" / "empty.py").touch(),
        lambda folder: (folder / "inner" / "two.py").unlink(),
    ],
    ids=["changed", "changed below", "renamed", "moved", "folder renamed", "added", "gone"],
)
def test_other_code_has_another_hash(tree: Path, change: Callable[[Path], object]) -> None:
    """Wherever in the tree it is other code."""
    before = hash_of_tree(tree)
    change(tree)

    assert hash_of_tree(tree) != before


def test_text_that_moves_from_one_file_to_the_next_gives_another_hash(tree: Path) -> None:
    """What a file holds cannot be taken for the name of another and what that holds."""
    (tree / "outer.py").write_text("a = 1\nz.py\0z = 1\n")
    one = hash_of_tree(tree)
    (tree / "outer.py").write_text("a = 1\n")
    (tree / "z.py").write_text("z = 1\n")

    assert hash_of_tree(tree) != one


def test_the_same_code_has_the_same_hash_wherever_it_lies(tree: Path, tmp_path: Path) -> None:
    """What Python compiles beside it does not matter, and nothing else that is no code."""
    before = hash_of_tree(tree)
    (tree / "inner" / "__pycache__").mkdir()
    (tree / "inner" / "__pycache__" / "one.cpython-311.pyc").write_bytes(b"compiled")
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "stray.py").write_text("d = 4\n")
    (tree / "notes.txt").write_text("notes")
    there = tree.rename(tmp_path / "elsewhere")

    assert hash_of_tree(there) == before


def test_a_checkpoint_names_the_hash_of_all_of_the_core() -> None:
    """Also of packages within it."""
    assert module.versions()["core"] == hash_of_tree(Path(*stream_app.core.__path__))


def test_what_goes_beyond_the_log_is_dropped(desk: Desk) -> None:
    """A log that is shorter than what was folded of it has lost something."""
    desk.checkpoint().write(taught(examples()[:20]), offset=20)

    assert desk.checkpoint().read(end=19) is None
    assert desk.counts.checkpoints_dropped == 1


def test_a_model_that_is_to_stay_as_it_is_is_never_deleted(desk: Desk) -> None:
    """It is no cache then: nothing could make it again, and a worker without it would say other things."""
    desk.checkpoint().write(taught(examples()[:20]), offset=20)

    with pytest.raises(OptionsError, match=r"kafka\.learning is false"):
        desk.checkpoint(settings=Settings(lateness_ms=0)).read(end=20, cache=False)
    assert desk.checkpoint().read(end=20, cache=False) is not None


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harm",)


class Call:
    """Calls a function of the core when it is unpickled."""

    def __reduce__(self) -> Any:
        from stream_app.core.learning.stage import unit

        return unit, (0.5,)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (Evil(), "it names posix.system, which is not part of a learner"),
        ([Evil()], "it names posix.system"),
        (Call(), "it names stream_app.core.learning.stage.unit"),
        (Path("x"), "it names pathlib"),
        ([1.0], "it holds a list"),
    ],
)
def test_nothing_but_a_model_is_ever_made(
    desk: Desk, content: Any, why: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even of what is rightly signed: somebody might have the key."""
    monkeypatch.chdir(desk.folder)
    desk.checkpoint().write(content, offset=0)

    assert desk.checkpoint().read(end=0) is None
    assert desk.counts.checkpoints_dropped == 1
    assert why in caplog.text
    assert not Path("harm").exists()


def test_a_pickle_that_breaks_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever unpickling raises is no reason to end."""
    monkeypatch.setattr(pickle, "dumps", lambda learner, protocol: b"\x80\x05cbroken")  # noqa: ARG005
    desk.checkpoint().write(Learner(), offset=0)

    assert desk.checkpoint().read(end=0) is None
    assert desk.counts.checkpoints_dropped == 1


def test_without_a_key_one_is_made_and_kept(desk: Desk) -> None:
    """Readable by its user alone; when it is lost or damaged, so is the checkpoint."""
    desk.checkpoint(key=None).write(taught(examples()[:20]), offset=20)
    key = desk.folder / "model.key"
    again = desk.checkpoint(key=None).read(end=20)
    mode = key.stat().st_mode & 0o777
    key.write_bytes(b"short")

    assert again is not None
    assert mode == 0o600
    assert desk.checkpoint(key=None).read(end=20) is None
    assert desk.counts.checkpoints_dropped == 1


def test_what_cannot_be_written_is_counted(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk, say: the worker goes on, and the checkpoint before is still there."""
    checkpoint = desk.checkpoint()
    checkpoint.write(taught(examples()[:5]), offset=5)
    (desk.folder / "model.checkpoint.part").mkdir()
    checkpoint.write(taught(examples()[:9]), offset=9)
    restored = desk.checkpoint().read(end=9)

    assert desk.counts.checkpoint_failures == 1
    assert "checkpoint of the model not written" in caplog.text
    assert restored is not None
    assert (restored.offset, checkpoint.offset) == (5, 5)


def test_a_disk_that_takes_nothing_is_told_once(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is tried; each attempt is counted, and its end is told. The one before stays meanwhile."""
    caplog.set_level(logging.INFO)
    checkpoint = desk.checkpoint()
    checkpoint.write(taught(examples()[:5]), offset=5)

    def full(path: Path, content: bytes) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(module, "replace_file", full)
        for offset in (6, 7, 8):
            checkpoint.write(taught(examples()[:offset]), offset=offset)
    told = [line for line in caplog.messages if "not written" in line]
    meanwhile = desk.checkpoint().read(end=9)
    checkpoint.write(taught(examples()[:9]), offset=9)
    after = desk.checkpoint().read(end=9)

    assert desk.counts.checkpoint_failures == 3
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert meanwhile is not None
    assert meanwhile.offset == 5
    assert "checkpoints of the model are written again" in caplog.messages
    assert after is not None
    assert after.offset == 9


def test_a_folder_that_disappears_ends_nothing(desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start learns from the log; when the folder is there again, so are checkpoints."""
    desk.folder = tmp_path / "folder"
    desk.path = desk.folder / "model.checkpoint"
    checkpoint = desk.checkpoint()
    checkpoint.write(taught(examples()[:5]), offset=5)
    shutil.rmtree(desk.folder)
    checkpoint.write(taught(examples()[:6]), offset=6)
    checkpoint.write(taught(examples()[:7]), offset=7)
    missing = desk.counts.checkpoint_failures
    desk.folder.mkdir()
    checkpoint.write(taught(examples()[:8]), offset=8)
    restored = desk.checkpoint().read(end=8)

    assert missing == 2
    assert len([line for line in caplog.messages if "not written" in line]) == 1
    assert restored is not None
    assert restored.offset == 8


def test_without_a_place_for_the_key_the_worker_goes_on(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is read-only or cannot be looked into, say: told once, counted, and tried again each time."""
    (desk.folder / "model.key").mkdir()
    checkpoint = desk.checkpoint(key=None)
    found = checkpoint.read(end=9)
    checkpoint.write(taught(examples()[:9]), offset=9)
    failures = desk.counts.checkpoint_failures
    (desk.folder / "model.key").rmdir()
    checkpoint.write(taught(examples()[:9]), offset=9)
    restored = desk.checkpoint(key=None).read(end=9)

    assert found is None
    assert failures == 2
    assert len([line for line in caplog.messages if "not written" in line]) == 1
    assert restored is not None
    assert restored.offset == 9


def test_a_checkpoint_that_cannot_be_read_is_dropped(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor deleted, on a disk that is read-only: the log is read instead."""
    desk.checkpoint().write(taught(examples()[:5]), offset=5)

    def refused(path: Path, *_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)
    monkeypatch.setattr(Path, "unlink", refused)

    assert desk.checkpoint().read(end=5) is None
    assert desk.counts.checkpoints_dropped == 1
    assert len(caplog.messages) == 1
    assert "(it stays, input/output error)" in caplog.text


def test_files_of_an_earlier_release_are_tightened(desk: Desk) -> None:
    """Nobody else reads the key or the model from then on."""
    desk.checkpoint(key=None).write(taught(examples()[:5]), offset=5)
    key = desk.folder / "model.key"
    for path in (desk.path, key):
        path.chmod(0o664)
    restored = desk.checkpoint(key=None).read(end=5)

    assert restored is not None
    assert [path.stat().st_mode & 0o777 for path in (desk.path, key)] == [0o600, 0o600]
