"""What is stored: rows of state, examples, outboxes and cursors are read, or refused as state that cannot be read.

The first byte of an input says what the rest is. Rows are lines of `kind|pipeline|name|value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from stream_app.core.detector import Detector, Settings
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.storage import rows
from stream_app.errors import StateError
from stream_app.kafka.state import changelog, outbox
from stream_app.sources.mlflow.cursor import Cursor as MlflowCursor
from stream_app.sources.mlmd.cursor import Cursor as MlmdCursor
from stream_app.wire import example_from_dict, example_to_dict, upgrade
from tests.support.kafka_records import record, row

MAX_BYTES = 8192
_SETTINGS = Settings()
_SEPARATOR = b"|"
_EPOCH_MAX = 2**32 - 1


def check(data: bytes) -> None:
    """What is read is the same after it was written and read again."""
    look = _KINDS.get(data[:1])
    if look is not None:
        look(data[1:])


def _check_rows(text: bytes) -> None:
    saved = {}
    for line in text.split(b"\n"):
        *names, value = line.split(_SEPARATOR, 3)
        saved[b"\0".join(names)] = value
    try:
        written = all_rows(saved)
    except StateError:
        return
    assert all_rows(written) == written


def all_rows(saved: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The rows of all that some rows are loaded to."""
    found: dict[bytes, bytes] = {}
    for pipeline in Detector.load(_SETTINGS, saved).pipelines.values():
        found[rows.key(rows.PIPELINE, pipeline.name, "")] = rows.encode(rows.pipeline_row(pipeline))
        for entity in _entities(pipeline):
            kind, name = entity.row
            found[rows.key(kind, pipeline.name, name)] = rows.encode(rows.value_of(entity))
    return found


def _entities(pipeline: Pipeline) -> Iterator[object]:
    yield pipeline.history
    for entities in (
        pipeline.executions, pipeline.artifacts, pipeline.graphlets, pipeline.retired, pipeline.runs,
    ):  # fmt: skip
        yield from entities.values()


def _check_example(text: bytes) -> None:
    with suppress(orjson.JSONDecodeError, StateError):
        written = orjson.dumps(example_to_dict(example_from_dict(orjson.loads(text))))
        assert orjson.dumps(example_to_dict(example_from_dict(orjson.loads(written)))) == written


def _check_verdict(text: bytes) -> None:
    with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        upgraded = upgrade(orjson.loads(text))
        assert upgrade(upgraded) is upgraded


def _check_outbox(packed: bytes) -> None:
    with suppress(StateError):
        messages = outbox.unpack(packed)
        assert outbox.unpack(outbox.pack(messages)) == messages


def _check_changelog(text: bytes) -> None:
    """Records as `key|rank|value`: once the next owner has begun, the last record of each key tells all the state."""
    log = []
    for offset, line in enumerate(text.split(b"\n")):
        key, _, rest = line.partition(_SEPARATOR)
        rank, _, value = rest.partition(_SEPARATOR)
        log.append(record(offset, value or None, key=key, headers=(("rank", rank),)))
    with suppress(StateError):
        fold = _folded(log)
        if fold.rank.epoch < _EPOCH_MAX:
            taken = changelog.Rank(fold.rank.epoch + 1, 0)
            group = [(changelog.FENCE, b"word"), *((key, fold.rows.get(key)) for key in sorted(fold.to_write_again()))]
            group.append((changelog.POSITION, b"{}"))
            log += [row(offset, *each, taken) for offset, each in enumerate(group, len(log))]
            last = {each.key: each for each in log}
            assert _folded(sorted(last.values(), key=lambda each: each.offset)).rows == _folded(log).rows


def _folded(log: list[Any]) -> changelog.Fold:
    fold = changelog.Fold({}, changelog.Rank(0, 0))
    for each in log:
        fold.add(each)
    return fold


def _check_cursor(text: bytes) -> None:
    for kind in (MlflowCursor, MlmdCursor):
        with suppress(StateError):
            cursor = kind.from_json(text)
            assert kind.from_json(cursor.to_json()) == cursor


_KINDS: Mapping[bytes, Callable[[bytes], None]] = {
    b"r": _check_rows,
    b"e": _check_example,
    b"v": _check_verdict,
    b"o": _check_outbox,
    b"c": _check_changelog,
    b"p": _check_cursor,
}


def seeds() -> Iterator[bytes]:
    """Rows of small histories, with an example and what else is stored; of this version and of the one before."""
    from stream_app.core.outputs import Example
    from stream_app.kafka.state.changelog import Rank, rank_headers
    from tests.core.storage.test_upgrade import downgraded
    from tests.support.builders import artifact, ran, started
    from tests.support.steered import PERIOD, Steered, past

    for unversioned, runs in ((False, 1), (True, 2)):
        detector = Detector(Settings(), Steered(), keep_rows=True)  # type: ignore[arg-type]
        steps = [*past(runs, pushed=True), started(99 * PERIOD, "prep", "Transform", run="now")]
        table = artifact("table", versioned=False, rows=3)
        if unversioned:
            steps += [*ran(0, "gen", "CsvExampleGen", writes=[table]), *ran(5, "r", "Custom", reads=[table])]
        outputs = [output for event in steps for output in detector.step(event)]
        saved = {key: row for key, row in detector.take_rows() if row is not None}
        yield b"r" + lines(saved)
        yield b"r" + lines(downgraded(saved))
        yield from (b"r" + lines({key: row}) for key, row in saved.items())
        yield from (b"e" + orjson.dumps(example_to_dict(each)) for each in outputs if isinstance(each, Example))
    messages = [outbox.Message("topic", b"key", None, (("header", b"x"),)), outbox.Message("t", None, b"value")]
    yield b"o" + outbox.pack(messages)
    rank = rank_headers(Rank(1, 7))[0][1]
    yield b"c" + b"\n".join((b"\0fence|" + rank + b"|x", b"k|" + rank + b"|v", b"\0position|" + rank + b"|{}"))
    yield b"p" + MlflowCursor(1, 2, 3, {"r": 4}, {"r": (1, "d")}, ["p"], ["r"], ["u"], {"r": [(1, 2)]}).to_json()
    yield b"p" + MlmdCursor(1, {2: 3}, {4: 5}, said={1: (2, "d")}).to_json()
    yield b"v" + b'{"pipeline":"p","run":"r","trainer":null,"policy":"observe 5 %","revision":1,"reasons":["x"]}'


def lines(saved: Mapping[bytes, bytes]) -> bytes:
    """Rows as an input has them."""
    return b"\n".join(key.replace(b"\0", _SEPARATOR) + _SEPARATOR + row for key, row in saved.items())
