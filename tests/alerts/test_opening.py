"""The folder of alerts is that of `serve` or that of a notifier: neither takes the file of the other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.opening import open_store
from stream_app.alerts.saved import Changes, LogPage
from stream_app.errors import OptionsError
from tests.alerts.records import NOW, record

KEY = b"a key for the tests only"


def test_a_notifier_does_not_take_the_file_of_serve(tmp_path: Path) -> None:
    """The first page of the alert log would delete its delivery log."""
    entry = LogEntry("m", Fate.SENT, NOW, 1, "", ("m",))
    with closing(open_store(tmp_path, KEY)) as store:
        store.save(Changes(deliveries=[("s", entry)]))
    with pytest.raises(OptionsError, match="is that of stream-app serve: give stream-app notify another folder"):
        open_store(tmp_path, KEY, follows=True)

    with closing(open_store(tmp_path, KEY)) as store:
        assert [each.entry for each in store.deliveries("s", 9)] == [entry]


def test_a_file_of_serve_is_known_by_what_it_has(tmp_path: Path) -> None:
    """An earlier release has not noted for whom it is."""
    with closing(open_store(tmp_path, KEY)) as store:
        store.append_flags([record()], NOW)
        store.erase(lambda db: db.execute("DELETE FROM meta"))
    with pytest.raises(OptionsError, match="another folder"):
        open_store(tmp_path, KEY, follows=True)


@pytest.mark.parametrize("pages", [[], [LogPage("id", 3)]])
def test_serve_does_not_take_the_file_of_a_notifier(tmp_path: Path, pages: list[LogPage]) -> None:
    """Also before its first page: it would be deleted then."""
    with closing(open_store(tmp_path, KEY, follows=True)) as store:
        for page in pages:
            store.follow(page)
    with pytest.raises(OptionsError, match="is that of stream-app notify: give stream-app serve another folder"):
        open_store(tmp_path, KEY)

    with closing(open_store(tmp_path, KEY, follows=True)) as store:
        assert store.followed() == (("id", 3) if pages else ("", 0))
