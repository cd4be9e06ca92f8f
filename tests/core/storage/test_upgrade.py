"""Rows of version 1, as the last release wrote them: this program goes on with them as with its own."""

from __future__ import annotations

import zlib

import orjson
import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import RUNNING
from stream_app.core.outputs import Example
from stream_app.core.storage.upgrade import Row, upgrade
from tests.support.builders import at, ended, started
from tests.support.simulated import ledgers, usual_events
from tests.support.steered import Steered, whole_run

Rows = dict[bytes, bytes]

#: What version 2 added at the end of a row's value.
ADDED = {"execution": 7, "artifact": 2}


def rows_of(detector: Detector) -> Rows:
    return {key: row for key, row in detector.take_rows() if row is not None}


def downgraded(rows: Rows) -> Rows:
    """The rows as version 1 wrote them; artifacts without properties had none."""
    found = {}
    for key, row in rows.items():
        kind, pipeline, _ = key.decode().split("\x00")
        value = orjson.loads(row)[1]
        if kind in ADDED:
            value = value[: -ADDED[kind]]
        if kind == "history":
            value = {**value, "subjects": [old_entry(rows, pipeline, entry) for entry in value["subjects"]]}
        if value != [None, None]:
            found[key] = orjson.dumps([1, value])
    return found


def old_entry(rows: Rows, pipeline: str, entry: int) -> int:
    """What the history of version 1 knew a graphlet by: a checksum of its old id."""
    names = [key.decode().split("\x00")[2] for key in rows if key.startswith(b"graphlet\x00")]
    new = {zlib.crc32(f"{pipeline.replace('/', '~1')}/{name.replace(':', '~2')}".encode()): name for name in names}
    return zlib.crc32(f"{pipeline}/{new[entry]}".encode()) if entry in new else entry


def test_a_detector_of_old_rows_is_the_same() -> None:
    """Graphlets, outcomes and ledgers of a fleet, and what it announces of the events that follow."""
    events = usual_events()[:4000]
    one = Detector(Settings(), Steered(), keep_rows=True)  # type: ignore[arg-type]
    for event in events[:3000]:
        one.step(event)
    rows = rows_of(one)
    old, new = (Detector.load(one.settings, each, one.learner) for each in (downgraded(rows), rows))

    for event in events[3000:]:
        assert old.step(event) == new.step(event)
    assert list(old.graphlets()) == list(new.graphlets())
    assert ledgers(old) == ledgers(new)


@pytest.fixture
def old_rows() -> Rows:
    """A pipeline and a trainer with separators in their names: labelled not pushed, then saved as version 1."""
    detector = Detector(Settings(), Steered(), keep_rows=True)  # type: ignore[arg-type]
    detector.step(started(0, "train:1", "Trainer", run=None, pipeline="team/ads"))
    detector.step(ended(5, "train:1", "Trainer", run=None, pipeline="team/ads", state="FAILED", writes=["m"]))
    return downgraded(rows_of(detector))


@pytest.fixture
def escaped(old_rows: Rows) -> Detector:
    """A detector of those rows."""
    return Detector.load(Settings(), old_rows, Steered())  # type: ignore[arg-type]


def test_graphlets_whose_ids_differ_now_are_named_and_written_again(escaped: Detector, old_rows: Rows) -> None:
    """Once: what was written has this version, and names nothing any more."""
    assert escaped.renamed == {"team/ads/train:1": "team~1ads/train~21"}
    rows = rows_of(escaped)

    assert b"graphlet\x00team/ads\x00train:1" in rows
    assert Detector.load(Settings(), {**old_rows, **rows}, Steered()).renamed == {}  # type: ignore[arg-type]


def test_a_correction_finds_what_the_history_knew_by_the_old_id(escaped: Detector) -> None:
    """The push that follows is one of the labelled graphlets, not a further one."""
    outputs = escaped.step(ended(9, "push", "Pusher", run=None, pipeline="team/ads", reads=["m"]))

    history = escaped.pipelines["team/ads"].history
    assert [(each.label_revision, each.pushed) for each in outputs if isinstance(each, Example)] == [(2, True)]
    assert (history.labelled, history.pushes, history.outcomes) == (1, 1, [1])


def test_a_correction_after_a_further_restart_finds_it_too(escaped: Detector, old_rows: Rows) -> None:
    """The history is written again with the graphlets that it knows."""
    rows = {**old_rows, **rows_of(escaped)}
    again = Detector.load(escaped.settings, rows, escaped.learner)

    again.step(ended(9, "push", "Pusher", run=None, pipeline="team/ads", reads=["m"]))

    assert again.pipelines["team/ads"].history.outcomes == [1]


def test_names_without_separators_keep_their_ids() -> None:
    """Nothing is renamed, and nothing is written again."""
    detector = Detector(Settings(), Steered(), keep_rows=True)  # type: ignore[arg-type]
    for event in whole_run(0, "r1"):
        detector.step(event)
    loaded = Detector.load(detector.settings, downgraded(rows_of(detector)), detector.learner)

    assert loaded.renamed == {}
    assert loaded.take_rows() == []


def test_a_row_of_this_version_passes_as_it_is() -> None:
    """Whatever it holds: additions of later programs too."""
    row = Row("execution", "p", "e", 2, ["anything", "more"])

    assert upgrade(row) is row


def test_a_training_that_reported_often_to_0_2_0_is_not_lost() -> None:
    """That release kept the first 32 reports of an execution, and the time of its last event."""
    detector = Detector(Settings(), keep_rows=True)
    for minute in range(1_000):
        detector.step(started(minute, "t", "Trainer"))
    rows = rows_of(detector)
    row_key = b"execution\x00p\x00t"
    version, value = orjson.loads(rows[row_key])
    rows[row_key] = orjson.dumps([version, [*value[:18], [[at(minute), RUNNING] for minute in range(32)]]])

    loaded = Detector.load(detector.settings, rows)
    loaded.step(started(1_001, "other", "Custom", run=None))

    assert [graphlet["outcome"] for graphlet in loaded.graphlets()] == ["open"]
