"""A log that refuses to be written, and that is written again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stream_app.service import availability as module
from stream_app.service.availability import Availability
from stream_app.service.event_log import Accepted, Entry, EventLog, LogUnavailableError
from stream_app.sources import NATIVE


def test_a_log_that_may_only_be_read_is_tried_until_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a volume that was mounted anew; each change is one line."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    event_log = EventLog(tmp_path / "log")
    known = Availability(event_log)
    event_log._db.execute("PRAGMA query_only=1")
    with pytest.raises(LogUnavailableError, match="readonly") as refused:
        event_log.append([Entry(0, 0, b"{}")])
    known.note(str(refused.value))
    reasons = []
    for _ in range(3):
        known.retry()
        reasons.append(known.reason)
    event_log._db.execute("PRAGMA query_only=0")
    known.retry()
    event_log.close()

    assert len(set(reasons)) == 1
    assert "readonly" in reasons[0]
    assert known.reason == ""
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_an_access_that_does_not_end_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it ends."""
    monkeypatch.setattr(module, "HANGING_SECONDS", -1.0)
    event_log = EventLog(tmp_path / "log")
    known = Availability(event_log)
    with event_log._busy():
        during = known.reason
    event_log.close()

    assert "has not answered" in during
    assert known.reason == ""


def test_deliveries_are_kept_with_their_entries_while_they_may_be_repeated(tmp_path: Path) -> None:
    """In the order in which they were taken, over a restart."""
    event_log = EventLog(tmp_path / "log")
    event_log.append(
        [Entry(0, ms, b"{}", NATIVE, Accepted(b"{}", None, NATIVE, name)) for name, ms in (("b", 1_000), ("a", 2_000))]
    )
    event_log.append([Entry(0, 3_000, b"{}", NATIVE, Accepted(b"{}", None, NATIVE))])
    event_log.close()
    event_log = EventLog(tmp_path / "log")

    assert list(event_log.deliveries(5_000).items()) == [("b", 1_000), ("a", 2_000)]
    assert event_log.deliveries(601_500) == {"a": 2_000}
    assert event_log.deliveries(5_000) == {"a": 2_000}
    event_log.close()
