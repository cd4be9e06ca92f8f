"""What a second pass over a store says: what changed, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.core.events import COMPLETE, NEW, RUNNING, Event
from stream_app.errors import StateError
from stream_app.sources.mlmd import Cursor, Store, follow, queries
from stream_app.sources.mlmd.cursor import ID_WINDOW, Ids
from stream_app.sources.mlmd.records import Record
from tests.sources.history import history
from tests.sources.mlmd_store import OUTPUT, StoreWriter, write_history
from tests.support.builders import MINUTE, T0


class Followed:
    """A store that is written to, and the passes over it."""

    def __init__(self, path: Path) -> None:
        self.writer = StoreWriter(path)
        self.store = Store(str(path))
        self.cursor = Cursor()

    def passed(self) -> list[Event]:
        """One pass; the cursor is written and read between two of them."""
        events = list(follow(self.store, self.cursor))
        self.cursor = Cursor.from_json(self.cursor.to_json())
        return events

    def close(self) -> None:
        self.store.close()
        self.writer.sql("SELECT 1")


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """A store with one training under way, seen once, whose clock has moved on since."""
    found = Followed(tmp_path / "store.sqlite")
    found.writer.execution(0, "Trainer", name="training")
    found.writer.execution(10, "StatisticsGen", "COMPLETE")
    found.passed()
    yield found
    found.close()


TRAINER = 1


def test_a_pass_over_an_unchanged_store_says_nothing(followed: Followed) -> None:
    assert followed.passed() == []
    assert followed.passed() == []


def test_the_order_in_which_a_server_returns_properties_is_no_change(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL returns rows of a table in any order."""
    followed.writer.properties("Execution", TRAINER, {"a": 1, "b": 2})
    followed.writer.update(20, TRAINER, "COMPLETE")
    assert followed.passed()

    def backwards(*arguments: Any) -> list[Record]:
        found = read(*arguments)
        for record in found:
            record.properties = dict(reversed(record.properties.items()))
        return found

    read = queries.records
    monkeypatch.setattr(queries, "records", backwards)

    assert followed.passed() == []


def test_a_pass_over_an_empty_store_says_nothing(tmp_path: Path) -> None:
    found = Followed(tmp_path / "store.sqlite")

    assert found.passed() == []
    assert found.passed() == []


def test_an_execution_that_ends_is_told_again(followed: Followed) -> None:
    followed.writer.update(20, TRAINER, "COMPLETE")

    assert [(event.execution_id, event.state) for event in followed.passed()] == [("1", RUNNING), ("1", COMPLETE)]
    assert followed.passed() == []


def test_an_edge_alone_is_a_change_though_it_touches_no_execution(followed: Followed) -> None:
    followed.passed()
    artifact = followed.writer.artifact(20)
    followed.passed()
    followed.writer.edge(20, TRAINER, artifact, OUTPUT)

    assert [str(artifact)] == [ref.id for event in followed.passed() for ref in event.outputs]
    assert followed.passed() == []


def test_an_execution_waits_for_its_pipeline_context(tmp_path: Path) -> None:
    """Libraries register executions first and their contexts after; a pass may come between."""
    found = Followed(tmp_path / "store.sqlite")
    execution = found.writer.execution(0, "Trainer", pipeline=None, run=None)
    found.writer.execution(100, "Trainer")
    assert [event.execution_id for event in found.passed()] == ["2"]

    found.writer.associate(101, execution, "pipeline", "late")

    assert [(event.pipeline, event.execution_id) for event in found.passed()] == [("late", "1")]


def test_a_later_change_of_an_output_is_told_at_its_own_time(followed: Followed) -> None:
    artifact = followed.writer.artifact(20)
    followed.writer.edge(20, TRAINER, artifact, OUTPUT)
    followed.writer.update(20, TRAINER, "COMPLETE")
    followed.passed()

    followed.writer.touch(60 * 24, artifact, auc=0.9)

    told = followed.passed()
    assert told[-1].outputs[0].properties == {"auc": 0.9}
    assert (told[-1].state, (told[-1].time_ms - told[-2].time_ms) / 60_000) == (NEW, 60 * 24 - 20)
    assert followed.passed() == []


def test_what_is_committed_late_is_not_lost(followed: Followed) -> None:
    """A transaction that began earlier and ends later bears an earlier time and lower ids."""
    followed.writer.execution(9.5, "Transform", "COMPLETE")

    assert {"3"} == {event.execution_id for event in followed.passed()}
    assert followed.passed() == []


def test_a_gap_in_the_ids_is_looked_at_again(followed: Followed) -> None:
    artifacts = [followed.writer.artifact(20) for _ in range(2)]
    skipped = followed.writer.edge(20, TRAINER, artifacts[0], OUTPUT)
    followed.writer.sql("UPDATE Event SET id = ? WHERE id = ?", skipped + 1, skipped)
    followed.passed()
    assert followed.passed() == []

    followed.writer.sql(
        "INSERT INTO Event (id, artifact_id, execution_id, type) VALUES (?, ?, ?, ?)",
        skipped, artifacts[1], TRAINER, OUTPUT,
    )  # fmt: skip

    assert {str(artifact) for artifact in artifacts} == {ref.id for event in followed.passed() for ref in event.outputs}


def test_two_changes_within_a_millisecond_are_two(followed: Followed) -> None:
    followed.writer.update(20, TRAINER, "RUNNING")
    followed.passed()
    followed.writer.update(20, TRAINER, "COMPLETE")

    assert followed.passed()[-1].state == COMPLETE


def test_a_row_from_the_future_does_not_hide_the_present(followed: Followed) -> None:
    far = 60 * 24 * 365 * 50
    followed.writer.execution(far, "Trainer", name="from the future")
    assert {"3"} == {event.execution_id for event in followed.passed()}
    assert followed.passed() == []

    followed.writer.execution((time.time() * 1000 - T0) / MINUTE, "Trainer", name="now")

    assert {"4"} == {event.execution_id for event in followed.passed()}


def test_a_pass_broken_off_is_said_again(followed: Followed) -> None:
    followed.writer.update(20, TRAINER, "COMPLETE")
    whole = list(follow(followed.store, Cursor.from_json(followed.cursor.to_json())))

    next(follow(followed.store, followed.cursor))

    assert whole == followed.passed()


def test_garbage_collection_does_not_make_an_old_push_new(tmp_path: Path) -> None:
    """It touches artifacts for weeks after; who reads the store only then still sees when the push was."""
    found = Followed(tmp_path / "store.sqlite")
    pusher = found.writer.execution(0, "Pusher")
    pushed = found.writer.artifact(5, "PushedModel", pushed=1)
    found.writer.edge(5, pusher, pushed, OUTPUT)
    found.writer.update(5, pusher, "COMPLETE")
    found.writer.touch(60 * 24 * 20, pushed)

    complete = next(event for event in found.passed() if event.state == COMPLETE)

    assert complete.outputs[0].properties == {"pushed": 1}


def test_the_cursor_stays_small(tmp_path: Path) -> None:
    """It keeps the last minute of the store, not the store."""
    found = Followed(tmp_path / "store.sqlite")
    write_history(found.writer, history())
    found.passed()
    before = len(found.cursor.to_json())

    found.writer.execution(60 * 24 * 30, "Trainer", name="much later")
    found.passed()

    assert len(found.cursor.to_json()) <= before
    assert len(found.cursor.said) == 1


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "frontier_ms": "x"}'])
def test_a_cursor_that_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(StateError, match="cursor"):
        Cursor.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frontier_ms", 3e37),
        ("frontier_ms", 2**63),
        ("frontier_ms", "7"),
        ("executions", {"9" * 30: 1}),
        ("artifacts", {"1": 1.5}),
        ("edges", {"last": "x", "gaps": []}),
        ("associations", {"last": 1, "gaps": [None]}),
        ("said", {"1": [True, "digest"]}),
    ],
)
def test_a_number_that_no_pass_wrote_is_refused(field: str, value: object) -> None:
    """It would end the next pass, or could not be written again."""
    with pytest.raises(StateError, match="cursor that cannot be read"):
        Cursor.from_json(json.dumps({**json.loads(Cursor().to_json()), field: value}).encode())


def test_ids_keep_their_latest_gaps_only() -> None:
    ids = Ids().after([1, 2, 5])
    assert Ids(5, [3, 4]) == ids
    assert Ids(5, [4]) == ids.after([3])

    far = ids.after([ID_WINDOW * 3])

    assert far.last == ID_WINDOW * 3
    assert len(far.gaps) == ID_WINDOW - 1
