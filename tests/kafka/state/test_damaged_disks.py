"""Files of a local copy that a disk damaged are never taken for what was written: flips, cuts, missing, swapped files.

A thousand damages: `make chaos`.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.kafka.state.local_store import DamagedCopyError, LocalStore, StorePosition

#: Rows and position after each commit.
History = dict[StorePosition, dict[bytes, bytes]]
COMMITS, ROWS = 60, 40


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    """A copy after many commits, in several files and in the log of the last writes; and what it held after each."""
    folder, draw = tmp_path_factory.mktemp("copy") / "0", random.Random(1)
    store, rows, history = LocalStore(folder), dict[bytes, bytes](), History()
    for commit in range(COMMITS):
        changed: list[tuple[bytes, bytes | None]] = []
        for _ in range(ROWS):
            key = b"row\x00%05d" % draw.randrange(900)
            changed.append((key, None if draw.random() < 0.2 else draw.randbytes(draw.randrange(20, 400))))
        position = StorePosition("changelog-1", 100 * commit, 1, 10 * commit)
        store.write(changed, position)
        for key, value in dict(changed).items():
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
        history[position] = dict(rows)
        if commit % 14 == 13:
            store._db.flush()
    store.close()
    return folder, history


def flip(folder: Path, draw: random.Random) -> str:
    file = draw.choice([each for each in sorted(folder.iterdir()) if each.stat().st_size])
    content = bytearray(file.read_bytes())
    place = draw.randrange(len(content))
    content[place] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    return f"bit at {place} of {file.name}"


def zero(folder: Path, draw: random.Random) -> str:
    file = draw.choice([each for each in sorted(folder.iterdir()) if each.stat().st_size])
    content = bytearray(file.read_bytes())
    place = draw.randrange(len(content))
    content[place : place + 4096] = bytes(len(content[place : place + 4096]))
    file.write_bytes(content)
    return f"zeros from {place} of {file.name}"


def cut(folder: Path, draw: random.Random) -> str:
    file = draw.choice([each for each in sorted(folder.iterdir()) if each.stat().st_size])
    length = draw.randrange(file.stat().st_size)
    file.write_bytes(file.read_bytes()[:length])
    return f"{file.name} cut at {length}"


def lose(folder: Path, draw: random.Random) -> str:
    file = draw.choice(sorted(folder.iterdir()))
    file.unlink()
    return f"{file.name} is gone"


def swap(folder: Path, draw: random.Random) -> str:
    one, other = draw.sample(sorted(folder.glob("*.sst")), 2)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return f"{one.name} and {other.name} swapped"


DAMAGES: tuple[Callable[[Path, random.Random], str], ...] = (flip, flip, flip, zero, cut, lose, swap)


def damaged(written: tuple[Path, History], tmp_path: Path, seeds: range) -> Counter[str]:
    """Damages copies in many ways; counts those that are told and those that hold an earlier commit."""
    original, history = written
    found: Counter[str] = Counter()
    for seed in seeds:
        draw, folder = random.Random(seed), tmp_path / str(seed)
        shutil.copytree(original, folder)
        what = draw.choice(DAMAGES)(folder, draw)
        store = LocalStore(folder)
        try:
            held = store.held()
        except DamagedCopyError:
            found["told"] += 1
        else:
            assert held is not None or store.damage is not None, (seed, what, "an empty copy without a word")
            assert held is None or history[held.position] == held.rows, (seed, what)
            found["held"] += 1
        store.close()
        shutil.rmtree(folder)

    return found


def test_a_damaged_copy_is_told_or_holds_what_was_written(written: tuple[Path, History], tmp_path: Path) -> None:
    """An earlier commit is no damage: the changelog has what followed."""
    found = damaged(written, tmp_path, range(100))

    assert found["told"] > 10
    assert found["held"] > 10


def test_a_row_that_cannot_be_read_is_not_replaced_in_silence(written: tuple[Path, History], tmp_path: Path) -> None:
    """The sum of digests needs the value before."""
    folder = tmp_path / "0"
    shutil.copytree(written[0], folder)
    for file in folder.glob("*.sst"):
        content = bytearray(file.read_bytes())
        for place in range(0, len(content) // 2, 500):
            content[place] ^= 255
        file.write_bytes(content)
    store = LocalStore(folder)

    rows = [(b"row\x00%05d" % key, b"1") for key in range(900)]
    with pytest.raises(DamagedCopyError):
        store.write(rows, StorePosition("changelog-1", 10**6, 2, 1))
