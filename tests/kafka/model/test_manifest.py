"""Checkpoints that are signed with the right key and wrong all the same: dropped in one line, counted, never raised."""

from __future__ import annotations

import hmac
import logging
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.checkpoint import _MAGIC, Checkpoint, Restored

KEY = b"a key of the user"
END = 20


def opened(folder: Path, counts: Counts | None = None, key: bytes | None = KEY) -> Checkpoint:
    return Checkpoint(folder, key, "topic-1", Settings(), counts or Counts())


def signed(line: bytes, pickled: bytes | None = None) -> bytes:
    """A checkpoint with that manifest."""
    body = line + b"\n" + (pickle.dumps(Learner(), protocol=5) if pickled is None else pickled)
    return _MAGIC + hmac.digest(KEY, _MAGIC + body, "sha256") + body


def manifest(**differing: Any) -> dict[str, Any]:
    """That of a valid checkpoint, with other fields."""
    with tempfile.TemporaryDirectory() as folder:
        line, _, _ = opened(Path(folder)).pack(Learner(), END).body.partition(b"\n")
    return {**orjson.loads(line), **differing}


VALID = manifest()


class Lines(logging.Handler):
    """The lines logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def read(content: bytes) -> tuple[Restored | None, Counts, list[str]]:
    """What becomes of such a checkpoint."""
    lines, counts = Lines(), Counts()
    logger = logging.getLogger("stream_app.kafka.model.checkpoint")
    logger.addHandler(lines)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.checkpoint"
            path.write_bytes(content)
            found = opened(Path(folder), counts).read(END)
            assert path.exists() == (found is not None)
    finally:
        logger.removeHandler(lines)
    return found, counts, lines.lines


def check_dropped(content: bytes, why: str) -> None:
    found, counts, lines = read(content)

    assert found is None
    assert counts.checkpoints_dropped == 1
    assert len(lines) == 1
    assert "checkpoint of the model dropped: " in lines[0]
    assert why in lines[0]
    assert "\n" not in lines[0]
    assert len(lines[0]) < 1_000


def test_a_valid_manifest_is_accepted() -> None:
    """What the other tests change is the only reason for which they are dropped."""
    found, counts, lines = read(signed(orjson.dumps(VALID)))

    assert found is not None
    assert (found.first, found.offset, counts.checkpoints_dropped, lines) == (0, END, 0, [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "its manifest is not JSON"),
        (b"{", "its manifest is not JSON"),
        (b"\xff\xfe", "its manifest is not JSON"),
        (b"NaN", "its manifest is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "its manifest is not JSON"),
        (b'{"offset": ' * 100_000, "its manifest is not JSON"),
        (b"null", "its manifest is not an object"),
        (b"[]", "its manifest is not an object"),
        (b'"text"', "its manifest is not an object"),
        (b"{}", "its budgets is None"),
        (b'{"offset": NaN}', "its manifest is not JSON"),
        *(
            (orjson.dumps({name: value for name, value in VALID.items() if name != missing}), why)
            for missing, why in [
                ("offset", "it goes from offset 0 to None"),
                ("first", "it goes from offset None to 20"),
                ("written", "it was written at None"),
                ("core", "its core is None"),
                ("topic_id", "its topic_id is None"),
            ]
        ),
        *(
            (orjson.dumps({**VALID, name: value}), why)
            for name, value, why in [
                ("offset", "20", "to '20'"),
                ("offset", 20.0, "to 20.0"),
                ("offset", True, "to True"),
                ("offset", None, "to None"),
                ("offset", [20], "to [20]"),
                ("offset", -1, "to -1"),
                ("offset", 21, "it goes up to offset 21 of a log that ends at 20"),
                ("offset", 2**63 - 1, "it goes up to offset 9223372036854775807"),
                ("first", 21, "it goes from offset 21 to 20"),
                ("first", -1, "it goes from offset -1"),
                ("first", False, "it goes from offset False"),
                ("written", "today", "it was written at 'today'"),
                ("written", -1.0, "it was written at -1.0"),
                ("written", {}, "it was written at {}"),
                ("core", "x" * 1_000_000, "its core is 'xxx"),
                ("core", "two\nlines", "its core is 'two\\nlines'"),
                ("python", {"deep": [[]]}, "its python is"),
                ("budgets", None, "its budgets is None"),
                ("stream_app", 999, "its stream_app is 999"),
                ("topic_id", ["topic-1"], "its topic_id is ['topic-1']"),
            ]
        ),
        (orjson.dumps(VALID).replace(b'"offset":20', b'"offset":1e999'), "its manifest is not JSON"),
        (orjson.dumps(VALID).replace(b'"offset":20', b'"offset":' + b"9" * 5_000), "it"),
    ],
)
def test_a_malformed_manifest_is_dropped(line: bytes, why: str) -> None:
    """Wrong types, missing fields, absurd numbers, other versions, no JSON."""
    check_dropped(signed(line), why)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.data())
def test_whatever_a_manifest_says_nothing_is_raised(data: st.DataObject) -> None:
    """Fields left out, put in and replaced, and bytes cut and changed: it is valid and accepted, or dropped."""
    changed = dict(VALID)
    for name in data.draw(st.lists(st.sampled_from(sorted(VALID)), max_size=3), "left out"):
        changed.pop(name, None)
    changed.update(data.draw(st.dictionaries(st.sampled_from(sorted(VALID)) | st.text(max_size=8), JSON, max_size=3)))
    line = orjson.dumps(changed)
    if data.draw(st.booleans(), "damaged"):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.binary(max_size=5)) + line[at + data.draw(st.integers(0, 30)) :]
    found, counts, lines = read(signed(line))

    assert (found is None) == (counts.checkpoints_dropped == 1) == (len(lines) == 1)
    if found is not None:
        said = orjson.loads(line)
        assert {name: said[name] for name in VALID if name not in ("first", "offset", "written")} == {
            name: VALID[name] for name in VALID if name not in ("first", "offset", "written")
        }
        assert 0 <= found.first <= found.offset <= END


@pytest.mark.parametrize(
    ("pickled", "why"),
    [
        (b"", "it cannot be unpickled"),
        (b"\x80\x05N.", "it holds a NoneType"),
        (pickle.dumps(Learner(), protocol=5)[:-9], "it cannot be unpickled"),
        (pickle.dumps(Learner.__new__(Learner), protocol=5), "its learner has no _stages"),
    ],
)
def test_a_learner_that_is_none_is_dropped(pickled: bytes, why: str) -> None:
    """One without its parts would fail at the first prediction."""
    check_dropped(signed(orjson.dumps(VALID), pickled), why)


WRONG_PARTS = [
    (name, value)
    for name, part in sorted(vars(Learner()).items())
    for value in (None, "text", [1], float("nan"))
    if type(value) is not type(part) or value != value  # a part of the same type may be right, but for NaN
]


@pytest.mark.parametrize(("name", "value"), WRONG_PARTS)
def test_a_learner_with_a_part_of_another_type_is_dropped(name: str, value: object) -> None:
    """Whichever part it is."""
    learner = Learner()
    setattr(learner, name, value)
    found, _, _ = read(signed(orjson.dumps(VALID), pickle.dumps(learner, protocol=5)))

    assert found is None


def put_folder(path: Path) -> None:
    path.mkdir()
    (path / "something").touch()


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_nothing(path: Path) -> None:
    path.touch()


def put_terabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def put_circle(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (put_folder, "it is not a file"),
        (put_pipe, "it is not a file"),
        (put_nothing, "its signature is wrong"),
        (put_terabyte, "it has 1,099,511,627,776 bytes"),
        (put_circle, "Too many levels of symbolic links"),
    ],
)
def test_what_is_in_its_place_is_dropped(
    tmp_path: Path, put: Callable[[Path], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without reading a terabyte, or waiting at a pipe for ever."""
    counts = Counts()
    put(tmp_path / "model.checkpoint")

    assert opened(tmp_path, counts).read(END) is None
    assert counts.checkpoints_dropped == 1
    assert len(caplog.messages) == 1
    assert why in caplog.text
